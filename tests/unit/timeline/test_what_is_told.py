"""What a source says of itself goes no further: a destination is told what the headers say, and other small scripts."""

import pytest

from streamferry.media.tag import AUDIO, METADATA, OTHER, SCRIPT, SEQUENCE_HEADER, START, VIDEO
from streamferry.timeline import Timeline
from streamferry.wire.aac import silent_header
from streamferry.wire.amf0 import EcmaArray, serialize_amf0
from streamferry.wire.flv import parse_metadata, serialize_metadata

AVC_HEADER = b"\x17\0\0\0\0config"
AAC_HEADER = silent_header(44100, 2)
KEY, INTER, SOUND = b"\x17\x01\0\0\0key", b"\x27\x01\0\0\0inter", b"\xaf\x01sound"
SECRET = "SECRET-SOURCE-TOKEN"
LIES = {
    "width": 1.0,
    "token": SECRET,
    "audiocodecid": 2.0,
    "keyframes": {"times": [1.0] * 5000, "filepositions": [2.0] * 5000},
}
CUE = serialize_amf0("onCuePoint", {"name": "ad"})


@pytest.fixture
def timeline():
    timeline = Timeline()
    timeline.begin_live()
    return timeline


def lay(timeline, tags):
    laid = []
    for tag in tags:
        timeline.lay([tag], laid)
    return laid


def stream(ms=0, *, seconds=1, claims=(), headers=(AVC_HEADER, AAC_HEADER)):
    """25 pictures and 50 sounds a second."""
    tags = [*((SCRIPT, ms, body) for body in claims), *((VIDEO if b[0] == 0x17 else AUDIO, ms, b) for b in headers)]
    for at in range(ms, ms + 1000 * seconds, 40):
        tags += [(VIDEO, at, KEY if at == ms else INTER), (AUDIO, at, SOUND), (AUDIO, at + 20, SOUND)]
    return tags


def metadata_of(laid):
    return [parse_metadata(tag[2]) for tag in laid if tag[3] == METADATA]


@pytest.mark.parametrize(
    "claims",
    [
        (),
        (serialize_metadata({"metadatacreator": "x", "encoder": SECRET}),),
        (serialize_metadata(LIES),),
        (b"\x02\0\x0d@setDataFrame" + serialize_metadata(LIES),),
        (serialize_metadata(LIES),) * 7,
        (b"\x02\0\x0aonMetaData",),
        (b"\x02\0\x0aonMetaData\x08\xff\xff\xff\xff",),
        (b"\x02\0\x0aonMetaData" + b"\x03\0\1a" * 1000,),
        (b"\x02\0\x0aonMetaData" + serialize_amf0(EcmaArray({"": 1.0})) + bytes(1 << 20),),
    ],
    ids=["none", "names", "lies", "set", "resent", "no value", "count", "deep", "1 MB"],
)
def test_what_the_source_claims_went_to_every_destination(timeline, claims):
    """Secrets, lies and megabytes; once, before the headers and the first frame, comes what is true."""
    laid = lay(timeline, stream(claims=claims) + stream(1000, claims=claims))
    assert [tag[3] for tag in laid[:4]] == [METADATA, SEQUENCE_HEADER, SEQUENCE_HEADER, START]
    (values,) = metadata_of(laid)
    assert (values["videocodecid"], values["audiocodecid"], values["audiosamplerate"]) == (7, 10, 44100)
    assert not any(SECRET.encode() in tag[2] for tag in (*laid, *timeline.headers))
    assert max(len(tag[2]) for tag in laid) < 1000


def test_it_is_told_again_when_it_changes(timeline):
    """Sound that comes later, other sound, and the same again after a break: each change once, before its header."""
    laid = lay(timeline, [tag for tag in stream(headers=(AVC_HEADER,)) if tag[0] == VIDEO])
    assert [set(values) for values in metadata_of(laid)] == [{"videocodecid"}]
    laid = lay(timeline, stream(1000))
    assert [values["audiosamplerate"] for values in metadata_of(laid)] == [44100]
    laid = lay(timeline, [(AUDIO, 2000, silent_header(48000, 1)), (AUDIO, 2000, SOUND)])
    assert [tag[3] for tag in laid[:2]] == [METADATA, SEQUENCE_HEADER]
    assert metadata_of(laid)[0]["audiosamplerate"] == 48000
    timeline.begin_live()
    laid = lay(timeline, stream(headers=(AVC_HEADER, silent_header(48000, 1))))
    assert metadata_of(laid) == []
    timeline.begin_live()
    laid = lay(timeline, [tag for tag in stream(headers=(AVC_HEADER,)) if tag[0] == VIDEO])
    assert [set(values) for values in metadata_of(laid)] == [{"videocodecid"}]


def test_sound_without_a_header_is_told_when_it_comes(timeline):
    """MP3 has none: players that count tracks by metadata would not look for it."""
    mp3 = [(AUDIO, ms, b"\x2fsound") for ms in range(0, 400, 20)]
    laid = lay(timeline, [tag for tag in stream(headers=(AVC_HEADER,)) if tag[0] == VIDEO] + mp3)
    assert metadata_of(laid)[-1] == {"videocodecid": 7, "audiocodecid": 2}
    assert metadata_of(timeline.headers)[-1] == metadata_of(laid)[-1]


def test_headers_of_a_session_that_has_not_begun_reach_nobody(timeline):
    """A source that restarts its encoder again and again before a keyframe comes."""
    lay(timeline, stream())
    timeline.begin_live()
    assert lay(timeline, [(VIDEO, 0, AVC_HEADER + bytes((n,))) for n in range(50)]) == []
    laid = lay(timeline, [(AUDIO, 0, AAC_HEADER), (VIDEO, 0, KEY)])
    assert [tag[2] for tag in laid if tag[3] == SEQUENCE_HEADER] == [AVC_HEADER + b"\x31"]


@pytest.mark.parametrize(
    "body", [b"", b"\x02", b"\x02\xff\xff", b"\x02\0\0", b"\x00" + bytes(8), b"\x05", CUE[:-2], CUE + b"\x11\x01"]
)
def test_scripts_that_cannot_be_read_close_no_publish(timeline, body):
    """nginx-rtmp ends the session at each of the first three."""
    assert (SCRIPT, body) not in [(tag[0], tag[2]) for tag in lay(timeline, [*stream(), (SCRIPT, 900, body)])]


def test_scripts_that_are_large_or_many_cost_nobody_time(timeline):
    """A megabyte is not passed on, nor are more than ten in one visit; a caption now and then is, at its own time."""
    lay(timeline, stream())
    laid = []
    large = serialize_amf0("onTextData", {"text": "x" * 20_000})
    timeline.lay([(SCRIPT, 980, large), *[(SCRIPT, 980, CUE)] * 500], laid)
    assert large not in [tag[2] for tag in laid]
    assert 0 < len(laid) <= 10
    assert lay(timeline, [(SCRIPT, 990, CUE)])[0][2:] == (CUE, OTHER)


def test_a_cue_point_was_stamped_with_the_end_of_all_that_was_laid(timeline):
    """Its own stamp is kept, where the picture is ahead of the sound and it belongs between them."""
    tags = [(VIDEO, 5000, AVC_HEADER), (AUDIO, 5000, AAC_HEADER), (VIDEO, 5000, KEY), (AUDIO, 5000, SOUND)]
    tags += [(VIDEO, 5000 + ms, INTER) for ms in range(40, 840, 40)]
    (cue,) = lay(timeline, [*tags, (SCRIPT, 5600, CUE)])[-1:]
    assert cue[:3] == (SCRIPT, 600, CUE)
    (late,) = lay(timeline, [(SCRIPT, 4000, CUE)])
    (early,) = lay(timeline, [(SCRIPT, 99_000, CUE)])
    assert 0 <= late[1] <= 600
    assert early[1] <= 840


def test_a_header_that_changes_while_sound_is_ahead_goes_back_on_no_track(timeline):
    """It is where its own track is: on the same chunk stream stamps rise."""
    lay(timeline, [*stream(), *((AUDIO, ms, SOUND) for ms in range(1000, 1340, 20))])
    laid = lay(timeline, [(VIDEO, 1000, AVC_HEADER + b"new"), (VIDEO, 1000, KEY), (VIDEO, 1040, INTER)])
    stamps = [tag[1] for tag in laid if tag[0] == VIDEO]
    assert stamps == sorted(stamps)
    assert stamps[-1] == 1040
