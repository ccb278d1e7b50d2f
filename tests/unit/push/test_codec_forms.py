"""Bodies in the form that a destination reads."""

import random

import pytest

from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, METADATA, SCRIPT, SEQUENCE_HEADER, SIDE_DATA, VIDEO
from streamferry.push.forms import Forms
from streamferry.wire.flv import parse_metadata
from streamferry.wire.on_metadata import on_metadata

NONE, ALL, HEVC = Forms(()), Forms(("*",)), Forms(("avc1", "hvc1"))


def laid(tag_type, body):
    body = bytes.fromhex(body)
    return tag_type, 40, body, tag_kind(tag_type, body)


@pytest.mark.parametrize("forms", [NONE, ALL, HEVC])
@pytest.mark.parametrize(
    ("tag_type", "came", "leaves"),
    [
        (VIDEO, "90 61766331 0164001f", "17 00 000000 0164001f"),
        (VIDEO, "91 61766331 000050 0000000165", "17 01 000050 0000000165"),
        (VIDEO, "93 61766331 0000000165", "17 01 000000 0000000165"),
        (VIDEO, "a3 61766331 0000000141", "27 01 000000 0000000141"),
        (AUDIO, "90 6d703461 1190", "af 00 1190"),
        (AUDIO, "91 6d703461 2110", "af 01 2110"),
        # Places of loudspeakers (ffmpeg 9 before 5.1 sound), and colours of a picture that is written the old way.
        (AUDIO, "94 6d703461 01 06 0000003f", None),
        (VIDEO, "94 61766331 02", None),
        # As they came.
        (VIDEO, "17 00 000000 0164001f", "17 00 000000 0164001f"),
        (VIDEO, "27 01 000000 0000000141", "27 01 000000 0000000141"),
        (AUDIO, "af 01 2110", "af 01 2110"),
        (VIDEO, "90 68766331 0164001f", "90 68766331 0164001f"),
        (VIDEO, "94 68766331 02", "94 68766331 02"),
        (VIDEO, "96 00 61766331 00 0164001f", "96 00 61766331 00 0164001f"),
        (AUDIO, "90 4f707573 1190", "90 4f707573 1190"),
    ],
)
def test_what_every_server_reads(forms, tag_type, came, leaves):
    tag = laid(tag_type, came)
    written = forms.write([tag])
    assert [bytes(body).hex() for _, _, body, _ in written] == ([] if leaves is None else [leaves.replace(" ", "")])
    assert forms.concern([tag]) is (leaves != came)
    for written_type, dts_ms, body, kind in written:
        assert (written_type, dts_ms, kind) == (tag[0], tag[1], tag[3])
        assert tag_kind(written_type, body) == kind


@pytest.mark.parametrize(
    ("came", "enhanced"),
    [
        ("1c 00 000000 01646100", "90 68766331 01646100"),
        ("1c 01 000050 0000000126", "91 68766331 000050 0000000126"),
        ("2c 01 000000 0000000102", "a1 68766331 000000 0000000102"),
        ("1d 00 000000 81040c00", "90 61763031 81040c00"),
        ("2d 01 000000 120032", "a1 61763031 120032"),
    ],
)
def test_hevc_and_av1_of_chinese_networks(came, enhanced):
    """In the form of Enhanced RTMP to who lists the codec; to all others as they came."""
    tag = laid(VIDEO, came)
    ((_, _, body, _),) = ALL.write([tag])
    assert body.hex() == enhanced.replace(" ", "")
    assert tag_kind(VIDEO, body) == tag[3]
    assert NONE.write([tag]) == [tag]
    assert not NONE.concern([tag])


def test_hevc_alone_is_listed():
    hevc, av1 = laid(VIDEO, "1c 00 000000 01646100"), laid(VIDEO, "1d 00 000000 81040c00")
    assert HEVC.concern([hevc])
    assert not HEVC.concern([av1])


def test_whatever_comes_stays_what_it_is():
    """Of random bodies none raises, and none becomes another kind; frames and headers are not lost."""
    chance = random.Random(1)
    for _ in range(20_000):
        tag_type = chance.choice((AUDIO, VIDEO))
        name = chance.choice((b"avc1", b"hvc1", b"mp4a", b"av01", chance.randbytes(4)))
        body = bytes((chance.randrange(256),)) + chance.choice((name, chance.randbytes(4), b""))
        body += chance.randbytes(chance.randrange(8))
        kind = tag_kind(tag_type, body)
        for forms in (NONE, ALL, HEVC):
            written = forms.write([(tag_type, 0, memoryview(body), kind)])
            if kind <= SEQUENCE_HEADER and len(body) > 9:
                assert tag_kind(tag_type, written[0][2]) == kind
            else:
                assert written or kind == SIDE_DATA


def test_metadata_names_what_is_sent():
    """Our own has the FourCC of what came."""
    headers = [laid(VIDEO, "90 61766331 0164001f"), laid(AUDIO, "90 6d703461 1190")]
    told = on_metadata([(tag_type, body) for tag_type, _, body, _ in headers])
    metadata = (SCRIPT, 0, told, METADATA)
    assert not NONE.concern([metadata])
    (_, _, body, _), *_ = NONE.write([metadata, *headers])
    assert parse_metadata(body) | {"videocodecid": 7, "audiocodecid": 10} == parse_metadata(body)
    told = on_metadata([(VIDEO, bytes.fromhex("1c000000000164"))])
    assert parse_metadata(HEVC.write([(SCRIPT, 0, told, METADATA)])[0][2])["videocodecid"] == 0x68766331
    assert parse_metadata(NONE.write([(SCRIPT, 0, told, METADATA)])[0][2])["videocodecid"] == 12
