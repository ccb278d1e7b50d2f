"""What one look at a body tells: frames, headers, what rides along, and what is nothing to see or hear."""

import pytest

from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, TagKind, kind_of_audio, kind_of_video

VIDEO_KINDS = {
    # FLV E.4.3.1: the codecs whose second byte is a packet type.
    "17 00 000000 01": TagKind.SEQUENCE_HEADER,
    "27 00 000000 01": TagKind.SEQUENCE_HEADER,
    "17 01 000000 01": TagKind.KEYFRAME,
    "27 01 000000 01": TagKind.FRAME,
    "37 01 000000 01": TagKind.FRAME,
    "17 02 000000": TagKind.OTHER,
    "1c 00 000000 01": TagKind.SEQUENCE_HEADER,
    "1c 01 000000 01": TagKind.KEYFRAME,
    "1d 01 000000 01": TagKind.KEYFRAME,
    "17": TagKind.OTHER,
    "": TagKind.OTHER,
    # The others begin with the picture.
    "12 00": TagKind.KEYFRAME,
    "22 00": TagKind.FRAME,
    "14": TagKind.KEYFRAME,
    # Commands: start and end of a seek. They have no packet type.
    "57 00": TagKind.OTHER,
    "57 01": TagKind.OTHER,
    "52 00": TagKind.OTHER,
    # Enhanced RTMP.
    "90 68766331 01": TagKind.SEQUENCE_HEADER,
    "91 68766331 000000 01": TagKind.KEYFRAME,
    "a1 68766331 000000 01": TagKind.FRAME,
    "93 68766331 01": TagKind.KEYFRAME,
    "a3 68766331 01": TagKind.FRAME,
    "92 68766331": TagKind.OTHER,
    "95 61763031 01": TagKind.SEQUENCE_HEADER,
    "9e 68766331 01": TagKind.OTHER,
    "d0 00": TagKind.OTHER,
    "d1 00": TagKind.OTHER,
    # HDR colours are metadata whatever their frame type says.
    "94 68766331 02": TagKind.SIDE_DATA,
    "d4 68766331 02": TagKind.SIDE_DATA,
    # Multitrack and ModEx: what lies inside counts.
    "96 00 61766331 01 01": TagKind.SEQUENCE_HEADER,
    "96 01 61766331 01 01": TagKind.KEYFRAME,
    "a6 01 61766331 01 01": TagKind.FRAME,
    "96 04 61766331 01 02": TagKind.SIDE_DATA,
    "d6 01 61766331 01 01": TagKind.OTHER,
    "97 02 000001 00 61766331 01": TagKind.SEQUENCE_HEADER,
    "97 02 000001 01 61766331 000000 01": TagKind.KEYFRAME,
    "97 02 000001 04 61766331 02": TagKind.SIDE_DATA,
    "d7 02 000001 01 00": TagKind.OTHER,
    "97 02 000001 06 01 61766331 03 01": TagKind.KEYFRAME,
}

AUDIO_KINDS = {
    "af 00 1210": TagKind.SEQUENCE_HEADER,
    "af 01 21": TagKind.FRAME,
    "af": TagKind.OTHER,
    "2f ff": TagKind.FRAME,
    "": TagKind.OTHER,
    "90 6d703461 1210": TagKind.SEQUENCE_HEADER,
    "91 6d703461 21": TagKind.FRAME,
    "92 6d703461": TagKind.OTHER,
    "94 6d703461 01 06": TagKind.SIDE_DATA,
    "95 00 6d703461 01 1210": TagKind.SEQUENCE_HEADER,
    "95 01 6d703461 01 21": TagKind.FRAME,
    "97 02 000001 01 6d703461 21": TagKind.FRAME,
    "97 02 000001 00 6d703461 1210": TagKind.SEQUENCE_HEADER,
}


@pytest.mark.parametrize(("body", "kind"), VIDEO_KINDS.items())
def test_a_picture_tag_is_what_its_first_bytes_say(body, kind):
    """Headers, frames, side data, commands and ends, in FLV's own form and in that of Enhanced RTMP."""
    data = bytes.fromhex(body)
    assert TagKind(tag_kind(VIDEO, data)) is kind
    assert TagKind(tag_kind(VIDEO, memoryview(data))) is kind


@pytest.mark.parametrize(("body", "kind"), AUDIO_KINDS.items())
def test_a_sound_tag_is_what_its_first_bytes_say(body, kind):
    """The same for sound."""
    assert TagKind(tag_kind(AUDIO, bytes.fromhex(body))) is kind


def test_no_tag_says_of_itself_that_a_viewer_can_begin():
    """That is the timeline's to say: the kind of no body is START."""
    bodies = [bytes((first, second)) + b"avc1\x00\x01" for first in range(256) for second in (0, 1, 2, 0x10, 0x20)]
    kinds = {tag_kind(tag_type, body) for tag_type in (AUDIO, VIDEO, SCRIPT) for body in bodies}
    assert TagKind.START not in kinds
    assert TagKind.NESTED not in kinds


@pytest.mark.parametrize("body", ["1700000000", "af00", "af01", "1701000000", "2701000000", "1c00000000", "af"])
def test_what_has_no_payload_is_nothing(body: str) -> None:
    """It was forwarded, and empty headers were kept as those of the stream: later sessions were black and mute."""
    data = bytes.fromhex(body)
    assert (kind_of_audio if body.startswith("af") else kind_of_video)(data) == TagKind.OTHER
