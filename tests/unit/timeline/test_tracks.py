"""Where a viewer can begin, and tracks beside the first one, as the timeline marks and lays them."""

import pytest

from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, SEQUENCE_HEADER, SIDE_DATA, START, VIDEO
from streamferry.timeline import Timeline
from streamferry.timeline.timeline import PICTURE_PATIENCE_MS

AVC_HEADER = b"\x17\x00\x00\x00\x00avc"
AAC_HEADER = b"\xaf\x00\x12\x10"
HEVC_HEADER = b"\x90hvc1config"
KEY, INTER, SOUND = b"\x17\x01\x00\x00\x00key", b"\x27\x01\x00\x00\x00inter", b"\xaf\x01sound"
HEVC_KEY, HEVC_INTER = b"\x91hvc1\x00\x00\x00key", b"\xa1hvc1\x00\x00\x00inter"
COLOUR_A, COLOUR_B = b"\x94hvc1colours A", b"\x94hvc1colours B"


def of_track(number, packet=1, *, is_key=False, payload=b"frame", tag_type=VIDEO):
    """A multitrack body of one track."""
    first = (0x96 if is_key or packet == 0 else 0xA6) if tag_type == VIDEO else 0x95
    return bytes((first, packet)) + (b"avc1" if tag_type == VIDEO else b"mp4a") + bytes((number,)) + payload


def many(packet, first, *tracks):
    """A multitrack body of several tracks of one codec."""
    body = bytes((first, 0x10 | packet)) + b"avc1"
    return body + b"".join(bytes((number,)) + len(load).to_bytes(3, "big") + load for number, load in tracks)


@pytest.fixture
def timeline():
    """A timeline inside its first live segment."""
    begun = Timeline()
    begun.begin_live()
    return begun


def lay(timeline, tags):
    """In beats of five."""
    out = []
    for at in range(0, len(tags), 5):
        timeline.lay(tags[at : at + 5], out)
    return out


def frames(laid, tag_type=VIDEO):
    return [tag for tag in laid if tag[0] == tag_type and tag[3] <= KEYFRAME]


def headers(timeline):
    """What a new session gets besides metadata."""
    return [tag for tag in timeline.headers if tag[3] != METADATA]


def starts(laid):
    return [tag[:2] for tag in laid if tag[3] == START]


def test_beside_a_picture_only_keyframes_are_starts(timeline):
    """Sound never is, not before the next keyframe either."""
    tags = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]
    for ms in range(0, 400, 40):
        tags += [(VIDEO, ms, INTER if ms % 200 else KEY), (AUDIO, ms, SOUND)]
    assert starts(lay(timeline, tags)) == [(VIDEO, 0), (VIDEO, 200)]


def test_sound_behind_a_picture_header_is_a_start(timeline):
    """A server that kept a camera's header gives sound alone: all of it can be begun with."""
    tags = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]
    laid = lay(timeline, tags + [(AUDIO, 20 * n, SOUND) for n in range(2000)])
    assert len(starts(laid)) == len(frames(laid, AUDIO)) > 1000


def test_a_picture_that_stays_away_leaves_the_sound(timeline):
    """After 15 s each sound is a start, until a keyframe: frames without theirs are not laid any more."""
    laid = lay(timeline, [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER), (VIDEO, 0, KEY), (AUDIO, 0, SOUND)])
    assert starts(laid) == [(VIDEO, 0)]
    laid = lay(timeline, [(AUDIO, ms, SOUND) for ms in range(20, PICTURE_PATIENCE_MS + 2000, 20)])
    assert starts(laid)[0][1] == pytest.approx(PICTURE_PATIENCE_MS, abs=200)
    ms = PICTURE_PATIENCE_MS + 2000
    laid = lay(timeline, [(VIDEO, ms, INTER), (AUDIO, ms, SOUND), (VIDEO, ms + 40, KEY), (AUDIO, ms + 40, SOUND)])
    assert starts(laid) == [(AUDIO, ms), (VIDEO, ms + 40)]
    assert [tag[1] for tag in frames(laid)] == [ms + 40]


@pytest.mark.parametrize("command", [b"\x57\x00", b"\x57\x01", b"\xd0\x00", b"\xd1\x00"])
def test_a_command_to_the_player_is_no_header(timeline, command):
    """Start and end of a seek: nothing is dropped for it, and a new session does not get it for a header."""
    lay(timeline, [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, KEY)])
    laid = lay(timeline, [(VIDEO, 40, command), (VIDEO, 40, INTER), (VIDEO, 80, INTER)])
    assert [tag[1] for tag in laid] == [40, 80]
    assert [tag[2] for tag in headers(timeline)] == [AVC_HEADER]


def test_changed_colours_drop_nothing(timeline):
    """HDR metadata in the middle of a group of pictures goes through, and is kept beside the header."""
    tags = [(VIDEO, 0, HEVC_HEADER), (VIDEO, 0, COLOUR_A), (VIDEO, 0, HEVC_KEY)]
    tags += [(VIDEO, 40 * n, HEVC_INTER) for n in range(1, 10)]
    tags += [(VIDEO, 400, COLOUR_B), *((VIDEO, 40 * n, HEVC_INTER) for n in range(10, 50))]
    laid = lay(timeline, tags)
    assert len(frames(laid)) == 50
    assert [tag[2:] for tag in laid if tag[3] == SIDE_DATA] == [(COLOUR_A, SIDE_DATA), (COLOUR_B, SIDE_DATA)]
    assert [tag[2:] for tag in headers(timeline)] == [(HEVC_HEADER, SEQUENCE_HEADER), (COLOUR_B, SIDE_DATA)]


def test_the_places_of_loudspeakers_are_no_reason_to_wait(timeline):
    """A configuration of channels that changes while sound goes on."""
    header, places = b"\x90mp4aconfig", b"\x94mp4a\x01\x06"
    tags = [(VIDEO, 0, KEY), (AUDIO, 0, header), (AUDIO, 0, places), (AUDIO, 0, b"\x91mp4asound")]
    laid = lay(timeline, [*tags, (AUDIO, 20, b"\x94mp4a\x02\x06"), (AUDIO, 20, b"\x91mp4asound")])
    assert [tag[3] for tag in laid].count(SIDE_DATA) == 2
    assert len(frames(laid, AUDIO)) == 2
    assert [tag[3] for tag in headers(timeline)] == [SEQUENCE_HEADER, SIDE_DATA]


def test_headers_that_a_new_session_does_not_repeat_are_not_in_force(timeline):
    """Colours of an HEVC session, and the AAC header of one that had sound, are not sent for an H.264 one without."""
    lay(timeline, [(AUDIO, 0, AAC_HEADER)])
    lay(timeline, [(VIDEO, 0, HEVC_HEADER), (VIDEO, 0, COLOUR_A), (VIDEO, 0, HEVC_KEY), (AUDIO, 0, SOUND)])
    timeline.begin_live()
    assert len(headers(timeline)) == 3
    lay(timeline, [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, KEY), (VIDEO, 40, INTER)])
    assert [tag[2] for tag in headers(timeline)] == [AVC_HEADER]


def test_headers_that_are_repeated_stay_in_force_and_are_not_sent_again(timeline):
    """A source that came back as it was."""
    tags = [(VIDEO, 0, HEVC_HEADER), (VIDEO, 0, COLOUR_A), (AUDIO, 0, AAC_HEADER), (VIDEO, 0, HEVC_KEY)]
    lay(timeline, tags)
    timeline.begin_live()
    assert [tag[2] for tag in lay(timeline, tags)] == [HEVC_KEY]
    assert [tag[2] for tag in headers(timeline)] == [HEVC_HEADER, COLOUR_A, AAC_HEADER]


def test_another_codec_ends_the_colours_of_the_one_before(timeline):
    """Within one session, too: an encoder that falls back from HEVC to H.264."""
    lay(timeline, [(VIDEO, 0, HEVC_HEADER), (VIDEO, 0, COLOUR_A), (VIDEO, 0, HEVC_KEY)])
    lay(timeline, [(VIDEO, 40, AVC_HEADER), (VIDEO, 40, KEY)])
    assert [tag[2] for tag in headers(timeline)] == [AVC_HEADER]


def two_tracks(seconds, *, form="one"):
    """Two pictures at 30 a second with the same stamps, two sounds, and the headers of all four."""
    tags = [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, of_track(1, 0)), (AUDIO, 0, AAC_HEADER)]
    tags.append((AUDIO, 0, of_track(1, 0, tag_type=AUDIO)))
    for index in range(int(seconds * 30)):
        ms = index * 33
        is_key = index % 30 == 0
        if form == "one":
            tags += [(VIDEO, ms, KEY if is_key else INTER), (VIDEO, ms, of_track(1, is_key=is_key))]
        else:
            tags.append((VIDEO, ms, many(1, 0x96 if is_key else 0xA6, (0, b"first"), (1, b"other"))))
        tags += [(AUDIO, ms, SOUND), (AUDIO, ms, of_track(1, tag_type=AUDIO))]
    return tags


@pytest.mark.parametrize("start", [0, (1 << 32) - 500])
@pytest.mark.parametrize("form", ["one", "many"])
def test_tracks_with_the_same_stamps_need_no_repair(timeline, form, start):
    """Each keeps its own time, over a wrap as well, and begins with the first picture."""
    tags = [(tag_type, to_wire_ms(start + ms), body) for tag_type, ms, body in two_tracks(3, form=form)]
    laid = lay(timeline, tags)
    assert timeline.repairs == 0
    wanted = [33 * n for n in range(90) for _ in range(2 if form == "one" else 1)]
    assert [tag[1] for tag in frames(laid)] == wanted
    assert [tag[1] for tag in frames(laid, AUDIO)] == [33 * n for n in range(90) for _ in (0, 1)]
    assert starts(laid) == [(VIDEO, 0), (VIDEO, 990), (VIDEO, 1980)]


def test_a_new_session_gets_the_headers_of_all_tracks(timeline):
    """And no header is a start."""
    laid = lay(timeline, two_tracks(1))
    wanted = [AVC_HEADER, of_track(1, 0), AAC_HEADER, of_track(1, 0, tag_type=AUDIO)]
    assert [tag[2] for tag in headers(timeline)] == wanted
    assert [tag[3] for tag in laid[:5]] == [METADATA] + [SEQUENCE_HEADER] * 4


def test_headers_of_many_tracks_in_one_tag_are_kept_by_track(timeline):
    """Each is sent, once; a later change of one track leaves the other's header in force, and is sent alone."""
    both = many(0, 0x96, (0, b"config 0"), (1, b"config 1"))
    laid = lay(timeline, [(VIDEO, 0, both), (VIDEO, 0, both), (VIDEO, 0, many(1, 0x96, (0, b"one"), (1, b"other")))])
    sent = [of_track(0, 0, payload=b"config 0"), of_track(1, 0, payload=b"config 1")]
    assert [tag[2] for tag in laid if tag[3] == SEQUENCE_HEADER] == sent
    laid = lay(timeline, [(VIDEO, 0, many(0, 0x96, (1, b"changed")))])
    assert [tag[2] for tag in laid] == [of_track(1, 0, payload=b"changed")]
    kept = [of_track(0, 0, payload=b"config 0"), of_track(1, 0, payload=b"changed")]
    assert [tag[2] for tag in headers(timeline)] == kept


def test_a_changed_header_stops_its_own_track_only(timeline):
    """The other goes on; the changed one waits for its keyframe."""
    lay(timeline, two_tracks(1))
    changed = of_track(1, 0, payload=b"changed")
    tags = [(VIDEO, 1000, changed), (VIDEO, 1000, INTER), (VIDEO, 1000, of_track(1)), (VIDEO, 1033, INTER)]
    laid = lay(timeline, [*tags, (VIDEO, 1033, of_track(1, is_key=True)), (VIDEO, 1066, of_track(1))])
    assert [(tag[1], tag[2][0]) for tag in frames(laid)] == [(1000, 0x27), (1033, 0x27), (1033, 0x96), (1066, 0xA6)]


def test_the_first_track_leads_though_another_has_its_keyframe_before(timeline):
    """A segment does not begin in the midst of the first track's group."""
    tags = [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, of_track(1, 0))]
    tags += [(VIDEO, 0, of_track(1, is_key=True)), (VIDEO, 0, INTER), (VIDEO, 33, KEY), (VIDEO, 33, of_track(1))]
    laid = lay(timeline, [*tags, (VIDEO, 66, of_track(1, is_key=True))])
    assert [(tag[1], tag[3]) for tag in frames(laid)] == [(0, START), (33, KEYFRAME)]


def test_a_stream_whose_only_track_has_a_number_is_relayed(timeline):
    """No track 0 is waited for."""
    tags = [(VIDEO, 0, of_track(2, 0)), (VIDEO, 0, of_track(2, is_key=True)), (VIDEO, 33, of_track(2))]
    tags += [(AUDIO, 33, SOUND)]
    laid = lay(timeline, tags)
    assert starts(laid) == [(VIDEO, 0)]
    assert [tag[1] for tag in laid if tag[3] != METADATA] == [0, 0, 33, 33]


def test_a_mod_ex_around_a_header_is_a_header(timeline):
    """A stamp in nanoseconds makes no frame of it."""
    header = b"\x97\x02\x00\x00\x05\x00avc1config"
    laid = lay(timeline, [(VIDEO, 0, header), (VIDEO, 0, b"\x97\x02\x00\x00\x05\x01avc1\x00\x00\x00key")])
    assert [tag[3] for tag in laid] == [METADATA, SEQUENCE_HEADER, START]
    assert [tag[2] for tag in headers(timeline)] == [b"\x90avc1config"]
    assert laid[1][2] == b"\x90avc1config"


def test_more_tracks_than_are_told_apart_cost_nothing(timeline):
    """A source that numbers a track for each tag: what is beyond the limit is left out, and nothing of it is kept."""
    tags = [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, KEY)]
    for number in range(256):
        tags += [(VIDEO, 40, of_track(number, 0, payload=bytes(1000))), (VIDEO, 40, of_track(number, is_key=True))]
    lay(timeline, tags)
    assert len(timeline.headers) <= 17
    assert sum(len(tag[2]) for tag in timeline.headers) < 20_000


def test_an_empty_session_does_not_forget_where_other_tracks_ended(timeline):
    """The session before it had a track that the first two do not know."""
    laid = lay(timeline, [(VIDEO, at, of_track(1, is_key=True)) for at in (0, 40, 80)])
    timeline.begin_live()
    timeline.begin_live()
    laid += lay(timeline, [(VIDEO, 5, of_track(1, is_key=True))])
    assert [tag[1] for tag in laid] == [0, 40, 80, 120]
