"""Enhanced RTMP packets around others: what they hold, what is no packet, and the first track taken out of them."""

import pytest

from streamferry.media.enhanced import MAX_HEADER_BYTES, MAX_TRACKS, FirstTracks, codec_of, headers_in, tag_kind, unwrap
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, TagKind

SIZE = (5).to_bytes(3, "big")
ONE = b"\x96\x01avc1\x03frame"
MANY = b"\xa6\x11avc1\x00" + SIZE + b"first" + b"\x02" + SIZE + b"other"
MANY_CODECS = b"\x96\x20avc1\x00" + SIZE + b"avc-h" + b"hvc1\x01" + SIZE + b"hvc-h"


def parts(body, tag_type=VIDEO):
    return [(part.track_id, part.fourcc, bytes(part.payload)) for part in unwrap(tag_type, body).parts]


def test_the_three_forms_of_multitrack():
    """One track, several of one codec, and several with a codec each."""
    assert parts(ONE) == [(3, b"avc1", b"frame")]
    assert parts(MANY) == [(0, b"avc1", b"first"), (2, b"avc1", b"other")]
    assert parts(MANY_CODECS) == [(0, b"avc1", b"avc-h"), (1, b"hvc1", b"hvc-h")]
    assert parts(b"\x95\x01mp4a\x01sound", AUDIO) == [(1, b"mp4a", b"sound")]


@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 65_536])
def test_a_mod_ex_is_stepped_over_whatever_its_size(size):
    """Up to 255 bytes are told in one byte, more in two behind it."""
    told = bytes((size - 1,)) if size < 256 else b"\xff" + (size - 1).to_bytes(2, "big")
    wrapped = b"\x97" + told + b"m" * size + b"\x01" + b"avc1frame"
    assert unwrap(VIDEO, wrapped).kind == TagKind.KEYFRAME
    assert parts(wrapped) == [(0, b"avc1", b"frame")]


def test_mod_ex_and_multitrack_nest():
    """A stamp in nanoseconds around a multitrack packet, as the specification draws it."""
    assert parts(b"\x97\x02\0\0\x01\x07" + b"\x02\0\0\x02\x06" + ONE[1:]) == [(3, b"avc1", b"frame")]


DAMAGED = {
    "nothing but the first byte": b"\x96",
    "no codec": b"\x96\x01av",
    "no track": b"\x96\x01avc1",
    "no track of many": b"\x96\x11avc1",
    "no size": b"\x96\x11avc1\x00\x00",
    "a track longer than the packet": b"\x96\x11avc1\x00\xff\xff\xffshort",
    "bytes behind the last track": MANY + b"\x03\x00",
    "a track that comes twice": MANY + b"\x02" + SIZE + b"again",
    "no codec of the second track": MANY_CODECS + b"hv",
    "a form that is reserved": b"\x96\x31avc1\x00" + SIZE + b"first",
    "multitrack inside multitrack": b"\x96\x06avc1\x00frame",
    "ModEx inside multitrack": b"\x96\x07avc1\x00frame",
    "a ModEx without an end": b"\x97\xff\xff\xffm",
    "nothing in a ModEx": b"\x97\x00m",
    "a tower of ModEx": b"\x97" + b"\x00m\x07" * 40 + b"\x00m\x01avc1frame",
    "more tracks than are told apart": b"\xa6\x11avc1" + b"".join(bytes((n, 0, 0, 0)) for n in range(MAX_TRACKS + 1)),
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_lengths_that_do_not_fit_are_no_packet(body):
    """It is OTHER and has no tracks, for everybody who asks; nobody is thrown an error."""
    assert unwrap(VIDEO, body).kind == TagKind.OTHER
    assert tag_kind(VIDEO, body) == TagKind.OTHER
    assert headers_in(VIDEO, body) == {}
    assert codec_of(VIDEO, body) == b""
    assert FirstTracks().take(VIDEO, body) is None


def test_headers_are_told_apart_by_track_and_packet_type():
    """Each as a tag that holds no other track's, so that one can be replaced without the others."""
    assert headers_in(VIDEO, b"\x17\x00\0\0\0avc") == {(VIDEO, 0, 0): b"\x17\x00\0\0\0avc"}
    assert headers_in(VIDEO, b"\x90hvc1config") == {(VIDEO, 0, 0): b"\x90hvc1config"}
    assert headers_in(VIDEO, b"\x94hvc1colour") == {(VIDEO, 0, 4): b"\x94hvc1colour"}
    assert headers_in(VIDEO, b"\x96\x00avc1\x05config") == {(VIDEO, 5, 0): b"\x96\x00avc1\x05config"}
    found = headers_in(VIDEO, MANY_CODECS)
    assert found == {(VIDEO, 0, 0): b"\x96\x00avc1\x00avc-h", (VIDEO, 1, 0): b"\x96\x00hvc1\x01hvc-h"}
    for (_, track_id, _), body in found.items():
        assert [part.track_id for part in unwrap(VIDEO, body).parts] == [track_id]


def test_what_is_too_long_for_a_header_is_none():
    """It would have to be kept, of each of many tracks."""
    assert headers_in(VIDEO, b"\x17\x00\0\0\0" + bytes(MAX_HEADER_BYTES)) == {}
    assert headers_in(VIDEO, b"\x90hvc") == {}


@pytest.mark.parametrize(
    ("body", "codec"),
    [
        (b"\x17\x00\0\0\0avc", b"\x07"),
        (b"\x90hvc1config", b"hvc1"),
        (b"\x96\x00avc1\x05config", b"avc1"),
        (b"\x97\x00m\x00av01config", b"av01"),
        (b"", b""),
    ],
)
def test_the_codec_of_a_header(body, codec):
    """Whatever it is wrapped in."""
    assert codec_of(VIDEO, body) == codec


def test_the_first_track_is_taken_out():
    """As a body that needs to know of no tracks; tags of other tracks are left out."""
    first = FirstTracks()
    assert first.take(VIDEO, b"\x96\x00hvc1\x01config") == b"\x90hvc1config"
    assert first.take(VIDEO, b"\x96\x00hvc1\x02config") is None
    assert first.take(VIDEO, MANY) == b"\xa1avc1first"
    assert first.take(VIDEO, b"\x96\x01hvc1\x01late") is None
    assert first.take(AUDIO, b"\x95\x01mp4a\x07sound") == b"\x91mp4asound"
    assert first.take(VIDEO, b"\x27\x01plain") == b"\x27\x01plain"
    assert first.take(SCRIPT, b"text") == b"text"
