"""Bits of codec headers, and how much work a hostile header may make."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.wire import codecs
from streamferry.wire.bits import BitReader, BitWriter

numbers = st.integers(1, 40).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(0, (1 << bits) - 1)))


@given(st.lists(numbers, max_size=30))
def test_numbers_survive(written):
    """Of any width, one after the other; what fills the last byte is zeros."""
    writer = BitWriter()
    for bits, number in written:
        writer.put(bits, number)
    data = writer.to_bytes()
    reader = BitReader(data)
    assert [reader.read(bits) for bits, _ in written] == [number for _, number in written]
    missing = -sum(bits for bits, _ in written) % 8
    assert reader.read(missing) == 0
    with pytest.raises(ValueError, match="too soon"):
        reader.read(1)


def golomb(*values):
    writer = BitWriter()
    for value in values:
        bits = (value + 1).bit_length()
        writer.put(2 * bits - 1, value + 1)
    return writer


def test_exp_golomb_numbers():
    """Unsigned and signed, as table 9-3 of H.264 has them; one that cannot be is refused."""
    reader = BitReader(golomb(0, 1, 2, 3, 7, 1 << 20).to_bytes())
    assert [reader.read_golomb() for _ in range(6)] == [0, 1, 2, 3, 7, 1 << 20]
    reader = BitReader(golomb(0, 1, 2, 3, 4).to_bytes())
    assert [reader.read_signed_golomb() for _ in range(5)] == [0, 1, -1, 2, -2]
    with pytest.raises(ValueError, match="cannot be"):
        BitReader(bytes(10)).read_golomb()


def avc_header(sps):
    return b"\x17\0\0\0\0\1\x42\xc0\x0d\xff\xe1" + len(sps).to_bytes(2, "big") + sps


def of_pictures_in_cycles(cycle, rest):
    """An SPS whose pic_order_cnt_type 1 tells ``cycle`` pictures, and ``rest`` after that."""
    writer = golomb(0, 0, 1)  # id, log2_max_frame_num, the type
    writer.put(1, 0)
    for number in (0, 0, cycle):
        bits = (number + 1).bit_length()
        writer.put(2 * bits - 1, number + 1)
    return b"\x67\x42\xc0\x0d" + writer.to_bytes() + rest


HEVC_HEAD = b"\x90hvc1" + bytes(22)


@pytest.mark.parametrize(
    "header",
    [
        avc_header(of_pictures_in_cycles(255, b"\xff" * 60_000)),
        avc_header(of_pictures_in_cycles(256, b"\xff" * 60_000)),
        avc_header(of_pictures_in_cycles(1 << 30, b"\xff" * 16_000)),
        avc_header(of_pictures_in_cycles(0, b"\0\0\3" * 5_000)),
        HEVC_HEAD + b"\xff" + (b"\x20\xff\xff" + bytes(2)) * 3_000,
        HEVC_HEAD + b"\x01\x21\x00\x01\x3a\x98" + b"\xff" * 15_000,
    ],
    ids=["long cycle", "longer than may be", "endless cycle", "escapes", "HEVC arrays", "HEVC SPS"],
)
def test_a_hostile_header_stopped_the_beat(header, monkeypatch):
    """A preview reads headers in the beat, where nothing else moves: some hundred small reads, whatever they hold."""
    read_bits = []

    class Counting(BitReader):
        def read(self, bits):
            read_bits.append(bits)
            return super().read(bits)

    monkeypatch.setattr(codecs, "BitReader", Counting)
    with suppress(ValueError):
        codecs.parse_video_header(header)
    assert len(read_bits) < 1000
    assert max(read_bits, default=0) <= 100
