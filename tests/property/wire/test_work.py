"""What a hostile source can make the beat do: work is counted as calls, which no machine makes faster or slower."""

import sys
from random import Random

import pytest

from scripted.previewable import AAC_HEADER, AVC_HEADER
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, metadata_tells_picture
from streamferry.timeline import Timeline
from streamferry.wire.amf0 import EcmaArray, serialize_amf0
from streamferry.wire.codecs import parse_audio_header, parse_video_header
from streamferry.wire.flv import parse_metadata, serialize_metadata
from streamferry.wire.rtmp.message import MessageType, parse_command, parse_status, tags_of_message

#: A header or a message may cost this many calls, whatever is in it: 2 ms.
MOST = 10_000


def calls_of(function):
    """Calls of Python and C functions that ``function`` makes; RemoteProtocolError and ValueError are answers."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    except (RemoteProtocolError, ValueError):
        pass
    finally:
        sys.setprofile(None)
    return count


def golombs(*numbers):
    """Bits of unsigned Exp-Golomb numbers."""
    return "".join("0" * ((n + 1).bit_length() - 1) + f"{n + 1:b}" for n in numbers)


def avc(bits, tail=b"\xff" * 16384):
    """A sequence header whose SPS has profile 66, these bits, and a long tail."""
    bits += "1" * (-len(bits) % 8)
    sps = b"\x67\x42\x00\x1e" + int(bits, 2).to_bytes(len(bits) // 8, "big") + tail
    return b"\x17\0\0\0\0\x01\x42\0\x1e\xff\xe1" + min(len(sps), 0xFFFF).to_bytes(2, "big") + sps


def hostile_headers(random):
    """Headers of pictures, each with something that makes a naive reader work without end."""
    yield avc(golombs(0, 0, 1) + "0" + golombs(0, 0, (1 << 20) - 2))
    yield avc(golombs(0, 0, 1) + "0" + golombs(0, 0, 255))
    yield avc("0" * 8, bytes(0xFF00))
    yield avc(golombs(0, 0, 0), b"\xff" * (8 << 20))
    arrays = b"".join(bytes((0x20,)) + b"\xff\xff" + bytes(2 * 0xFFFF) for _ in range(8))
    yield b"\x1c\0\0\0\0" + bytes(22) + b"\xff" + arrays
    yield b"\x1c\0\0\0\0" + bytes(22) + b"\xff" + b"\x20\xff\xff"
    for _ in range(60):
        body = bytearray(random.choice((AVC_HEADER, avc("1" * 64))))
        for _ in range(random.randint(1, 8)):
            body[random.randrange(5, len(body))] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(body) + random.choice((b"", b"\xff" * 60_000, bytes(60_000)))


def test_no_header_of_a_picture_is_much_work():
    """Counts from the stream drive no loop, and a reader's steps do not grow with what it has not read."""
    for header in hostile_headers(Random(7)):
        assert calls_of(lambda header=header: parse_video_header(header)) < MOST, header[:40].hex()


def test_no_header_of_sound_is_much_work():
    """The same for AAC."""
    for config in (b"\xff" * (8 << 20), bytes(8 << 20), b"\xf8" * 100_000):
        assert calls_of(lambda config=config: parse_audio_header(b"\xaf\x00" + config)) < MOST


class Counted(bytes):
    """Bytes that count how many of them were taken."""

    taken = 0

    def __getitem__(self, index):
        part = super().__getitem__(index)
        Counted.taken += len(part) if isinstance(part, bytes) else 1
        return part


def test_bits_are_read_in_linear_time():
    """A reader of a long header touches what it reads, not the rest of it with each bit."""
    from streamferry.wire.bits import BitReader

    bits = BitReader(Counted(b"\xff" * 65536))
    Counted.taken = 0
    for _ in range(4096):
        assert bits.read_golomb() == 0
    assert 4096 // 8 <= Counted.taken <= 2 * 4096


KEYFRAME_INDEX = {"keyframes": {"times": [1.0] * 65_000, "filepositions": [2.0] * 65_000}}


def test_metadata_is_not_parsed_in_the_beat():
    """A recorder's keyframe index, changed with each tag: it is looked into for a name only, and goes no further."""
    timeline, laid = Timeline(), []
    timeline.begin_live()
    for number in range(3):
        body = serialize_metadata({"number": float(number), **KEYFRAME_INDEX})
        assert calls_of(lambda body=body: timeline.lay([(SCRIPT, 0, body)], laid)) < 100
    assert laid == []


@pytest.mark.parametrize(
    ("values", "tells"),
    [
        ({}, False),
        ({"width": 1280.0}, True),
        ({"width": 0.0, "height": 0.0}, False),
        ({"videocodecid": 7.0}, True),
        ({"videocodecid": "avc1"}, True),
        ({"videocodecid": ""}, False),
        ({"videocodecid": 0.0, "width": 640.0}, True),
        ({"audiocodecid": 10.0, "duration": 3.0}, False),
        ({"duration": 3.0, "width": 320.0, **KEYFRAME_INDEX}, True),
    ],
)
@pytest.mark.parametrize("with_set_data_frame", [True, False])
def test_a_picture_is_found_in_metadata_as_by_a_parser(values, tells, with_set_data_frame):
    """The short look gives what reading all of it would have given."""
    body = (serialize_amf0("@setDataFrame") if with_set_data_frame else b"") + serialize_metadata(values)
    parsed = parse_metadata(body)
    assert bool(parsed.get("videocodecid") or parsed.get("width")) is tells
    assert metadata_tells_picture(body) is tells


def hostile_messages():
    """What a server may say beside media, as large as a message may be."""
    yield serialize_amf0("onStatus", 0, None) + b"\x05" * (1 << 20)
    yield serialize_amf0("onStatus", 0, None, EcmaArray({str(n): float(n) for n in range(60_000)}))
    yield serialize_amf0("onStatus") + b"\x0c" + (4 << 20).to_bytes(4, "big") + b"\xff" * (4 << 20)
    yield serialize_amf0("onStatus") + b"\x0a\x00\x00\x3f\xff" + b"\x05" * 0x3FFF
    yield serialize_amf0("onMetaData") + b"\x03\x00\x01a" * 50_000


def test_no_message_is_much_work():
    """Commands, statuses and data of a server that is played from; what is too large is what RTMP does not allow."""
    for payload in hostile_messages():
        for read in (
            lambda payload=payload: parse_command(MessageType.COMMAND, payload),
            lambda payload=payload: parse_status(MessageType.DATA, payload),
            lambda payload=payload: tags_of_message(MessageType.DATA, 0, payload),
        ):
            assert calls_of(read) < MOST


def test_no_long_command_is_decoded():
    """Text that is no UTF-8 takes 50 ns a byte to replace: 0.4 s for the largest message."""
    with pytest.raises(RemoteProtocolError, match="more than 16384"):
        parse_command(MessageType.COMMAND, serialize_amf0("close", 0, "x" * 20_000))


def test_kinds_are_told_by_a_few_bytes():
    """Of the largest tag as of the smallest."""
    for tag_type in (AUDIO, VIDEO, SCRIPT):
        for first in range(256):
            body = bytes((first,)) + b"\xff" * 100_000
            assert calls_of(lambda body=body, tag_type=tag_type: tag_kind(tag_type, body)) < 50
    assert parse_audio_header(AAC_HEADER)
