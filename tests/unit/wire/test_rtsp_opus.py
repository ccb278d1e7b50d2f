"""Opus of RTP as one stream of Ogg, whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.opus_sound import OpusSoundTrack, samples_of
from streamferry.wire.rtsp.plain_sound import MAX_GAP_S, MAX_WAITING_BYTES
from streamferry.wire.rtsp.sdp import parse_description

MS = 48


def track_of(rtpmap="opus/48000/2"):
    text = f"v=0\r\nm=audio 0 RTP/AVP 98\r\na=rtpmap:98 {rtpmap}\r\n"
    return OpusSoundTrack(parse_description(text.encode()).media[0], [], is_ordered=True)


def rtp(number, stamp, payload):
    return bytes((0x80, 98)) + (number & 0xFFFF).to_bytes(2) + (stamp & 0xFFFFFFFF).to_bytes(4) + bytes(4) + payload


def pages_of(stream):
    """(flags, position, number, body) of each page."""
    found, at = [], 0
    while at < len(stream):
        assert stream[at : at + 5] == b"OggS\0"
        head = at + 27 + stream[at + 26]
        end = head + sum(stream[at + 27 : head])
        number = int.from_bytes(stream[at + 18 : at + 22], "little")
        found.append((stream[at + 5], int.from_bytes(stream[at + 6 : at + 14], "little"), number, stream[head:end]))
        at = end
    assert at == len(stream)
    return found


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        *((b"", 0), (b"\x00", 10), (b"\x08", 20), (b"\x10", 40), (b"\x18", 60), (b"\x60", 10), (b"\x68", 20)),
        *((b"\x80", 2.5), (b"\x88", 5), (b"\xf8", 20), (b"\xf9", 40), (b"\xfa\x03abc", 40), (b"\xfb\x03", 60)),
        *((b"\xfb", 0), (b"\xfb\x00", 0), (b"\xfb\x06", 120), (b"\xfb\x07", 0), (b"\x1b\x3f", 0)),
        # Frames that are not as long as it says.
        *((b"\xf8" + bytes(1275), 20), (b"\xf8" + bytes(1276), 0), (b"\xf9abc", 0), (b"\xf9abcd", 40)),
        *((b"\xfa", 0), (b"\xfa\x03ab", 0), (b"\xfa\xfc", 0), (b"\xfa\xfc\1" + bytes(256), 40)),
        *((b"\xfb\x83\1\1ab", 60), (b"\xfb\x83\1\1a", 0), (b"\xfb\x83\1", 0), (b"\xfb\x03abc", 60), (b"\xfb\x03ab", 0)),
        # Padding.
        *((b"\xfb\x43\2abc\0\0", 60), (b"\xfb\x43\xff\0" + bytes(254), 60), (b"\xfb\x43\2a", 0)),
        *((b"\xfb\x43", 0), (b"\xfb\x43\xff", 0), (b"\xfb\xc2\1\1ab\0", 40)),
    ],
)
def test_how_long_a_packet_is(packet, milliseconds):
    """RFC 6716, 3.1 and 3.2.5: no packet holds more than 120 ms."""
    assert samples_of(packet) == milliseconds * MS


def test_it_is_a_stream_of_ogg():
    track = track_of()
    for number in range(3):
        track.receive(rtp(number, number * 20 * MS - 100, b"\xfc" + bytes((number,)) * 600), 0.0)
    pages = pages_of(track.stream)
    assert [page[:3] for page in pages] == [(2, 0, 0), (0, 0, 1), (0, 960, 2), (0, 1920, 3), (0, 2880, 4)]
    assert pages[0][3].startswith(b"OpusHead")
    assert pages[1][3].startswith(b"OpusTags")
    assert pages[2][3] == b"\xfc" + bytes(600)


def test_the_checksum_is_that_of_ogg():
    """RFC 3533, 6: bit by bit as it is written there."""
    track = track_of()
    track.receive(rtp(0, 0, b"\xfc\xff\xfe"), 0.0)
    end = track.stream.index(b"OggS", 4)
    page = bytearray(track.stream[:end])
    told, page[22:26] = int.from_bytes(page[22:26], "little"), bytes(4)
    found = 0
    for byte in page:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found & 0x80000000 else 0)) & 0xFFFFFFFF
    assert found == told


def test_what_is_missing_is_silence_and_what_comes_twice_is_left_out():
    track = track_of()
    for number, stamp in enumerate((0, 20, 20, 75, 40, 95)):
        track.receive(rtp(number, stamp * MS, b"\xf8" + bytes((number,))), 0.0)
    bodies = [(position / MS, body) for _, position, _, body in pages_of(track.stream)[2:]]
    silent = [(60, b"\xfc\xff\xfe"), *((60 + 2.5 * count, b"\xe4\xff\xfe") for count in range(1, 7))]
    assert bodies == [(20, b"\xf8\0"), (40, b"\xf8\1"), *silent, (95, b"\xf8\3"), (115, b"\xf8\5")]


def test_sound_of_another_kind_is_not_read():
    for rtpmap in ("PCMA/8000", "opus/44100/2"):
        with pytest.raises(UnsupportedCodec):
            track_of(rtpmap)


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(-400_000, 400_000)), max_size=60))
def test_whatever_comes_its_length_is_the_time_that_passed(packets):
    """And no packet makes more than the gap that is filled."""
    track, stamp, begun = track_of(), 0, None
    for number, (payload, step) in enumerate(packets):
        stamp += step
        before = len(track.stream)
        track.receive(rtp(number, stamp, payload), 0.0)
        if track.is_new:
            track.is_new, begun, before = False, stamp, 0
        assert len(track.stream) - before <= MAX_GAP_S * 50 * 40 + 20 * 40 + 200 + len(payload)
        if begun is not None:
            assert abs(begun + pages_of(track.stream)[-1][1] - track._next) % 2**32 == 0
    assert len(track.stream) <= MAX_WAITING_BYTES + 60 * 200


def test_what_nobody_encodes_does_not_grow():
    """Gaps are no longer filled."""
    track = track_of()
    for number in range(400):
        track.receive(rtp(number, number * 180_000, b"\xfc\xff\xfe"), 0.0)
    assert len(track.stream) < MAX_WAITING_BYTES + 50_000
