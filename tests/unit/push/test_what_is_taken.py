"""What of a stream a destination takes, by what it lists."""

import pytest

from streamferry.media.enhanced import fourcc_of
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO
from streamferry.push.forms import Forms, needed_of
from streamferry.wire.rtmp.connect import FOURCCS
from streamferry.wire.rtmp.message import Command, codecs_of


@pytest.mark.parametrize(
    ("tag_type", "body", "fourcc"),
    [
        (VIDEO, b"\x17\x00\x00\x00\x00avcC", ""),
        (VIDEO, b"\x90avc1rest", ""),
        (VIDEO, b"\x1c\x00\x00\x00\x00hvcC", "hvc1"),
        (VIDEO, b"\x90hvc1rest", "hvc1"),
        (VIDEO, b"\x1d\x00\x00\x00\x00av1C", "av01"),
        (VIDEO, b"\x90vp09rest", "vp09"),
        (VIDEO, b"\x12\x00\x00", "flv 9 2"),
        (VIDEO, b"\x90\xff\x00\n\x01rest", "ff000a01"),
        (VIDEO, b"", ""),
        (AUDIO, b"\xaf\x00\x12\x10", ""),
        (AUDIO, b"\x90mp4a\x12\x10", ""),
        (AUDIO, b"\x2f\xff\xfb", ".mp3"),
        (AUDIO, b"\x90Opusrest", "Opus"),
        (AUDIO, b"\x7e\x00", "flv 8 7"),
        (SCRIPT, b"\x02\x00\x0aonMetaData", ""),
    ],
)
def test_what_a_header_needs_listed(tag_type, body, fourcc):
    assert fourcc_of(tag_type, body) == fourcc


@pytest.mark.parametrize(
    ("needed", "listed", "is_taken"),
    [
        ((), (), True),
        (("hvc1",), (), False),
        (("hvc1",), ("avc1", "mp4a"), False),
        (("hvc1",), ("avc1", "hvc1"), True),
        (("hvc1", "Opus"), ("hvc1",), False),
        (("hvc1", "Opus"), ("hvc1", "Opus"), True),
        (("flv 8 7",), FOURCCS, False),
        (("flv 8 7", "vp09"), ("*",), True),
    ],
)
def test_a_stream_is_taken_if_all_of_it_is_listed(needed, listed, is_taken):
    assert Forms(listed).take(frozenset(needed)) is is_taken


def test_what_a_stream_needs_is_that_of_all_its_headers():
    headers = [(VIDEO, 0, b"\x90hvc1rest"), (AUDIO, 0, b"\xaf\x00\x12\x10"), (SCRIPT, 0, b"")]
    assert needed_of(headers) == {"hvc1"}
    assert needed_of([]) == frozenset()


@pytest.mark.parametrize(
    ("mask", "is_listed"),
    [
        *((1.0, True), (4.0, True), (5.0, True), (7.0, True), (2.0, False), (0.0, False)),
        *(("?", True), (True, True), (False, False), (None, True)),
        *((float("nan"), False), (float("inf"), False), (float("-inf"), False), (1e300, False)),
    ],
)
def test_a_codec_that_is_only_encoded_is_not_taken(mask, is_listed):
    """FourCcInfoMask of Enhanced RTMP v2: decode 1, encode 2, forward 4. What is no mask may be anything."""
    connected = Command("_result", 1, [{"videoFourCcInfoMap": {"hvc1": mask}}, {}])
    assert ("hvc1" in codecs_of(connected)) is is_listed
