"""Where another stretch begins, in bytes split anywhere; and nothing raises for what is no media."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.tag import AUDIO, VIDEO
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.stretches import FlvStretches, Stretches, TsStretches

HEADER = (VIDEO, 0, b"\x17\x00\x00\x00\x00avc")
SOUND_HEADER = (AUDIO, 0, b"\xaf\x00\x12\x10")


def flv(begin_ms: int, *, headers: bool = True) -> bytes:
    """A second of pictures and sound."""
    tags = [HEADER, SOUND_HEADER] if headers else []
    for number in range(25):
        stamp_ms = begin_ms + 40 * number
        tags += [(VIDEO, stamp_ms, b"\x17\x01\0\0\0" + bytes(50)), (AUDIO, stamp_ms, b"\xaf\x01x")]
    return b"".join(serialize_tag(*tag) for tag in tags)


def cuts(data: bytes, kind: type[Stretches], sizes: random.Random | None = None) -> list[int]:
    """Where stretches begin, fed in pieces."""
    found, begin = [], 0
    while True:
        stretches, at = kind(begin), begin  # type: ignore[call-arg]
        while at < len(data) and stretches.cut is None:
            size = 1 << 20 if sizes is None else sizes.randint(1, 700)
            stretches.feed(data[at : at + size])
            at += size
            assert stretches.cut is not None or begin <= stretches.safe
        if stretches.cut is None:
            return found
        assert stretches.cut > begin
        found.append(begin := stretches.cut)


@pytest.mark.parametrize("seed", range(5))
def test_an_flv_that_was_appended_to(seed: int) -> None:
    """With headers, without them, and with a whole file behind it; the same however it is split."""
    first = serialize_flv_header(True, True) + flv(20_000)
    second, third = flv(5_000), flv(0, headers=False)
    fourth = serialize_flv_header(True, True) + flv(500)
    data = first + second + third + fourth
    expected = [len(first), len(first + second), len(first + second + third)]
    assert cuts(data, FlvStretches) == expected
    assert cuts(data, FlvStretches, random.Random(seed)) == expected


def test_what_was_in_force_is_read_before_a_stretch_without_headers() -> None:
    """A decoder of the stretch alone could not begin otherwise."""
    first = serialize_flv_header(True, True) + flv(20_000)
    stretches = FlvStretches(0)
    stretches.feed(first + flv(0, headers=False))
    assert stretches.cut == len(first)
    assert stretches.prefix == serialize_flv_header(True, True) + serialize_tag(*HEADER) + serialize_tag(*SOUND_HEADER)


@given(data=st.binary(max_size=4096), sync=st.booleans())
def test_nothing_raises(data: bytes, sync: bool) -> None:
    """Of whatever comes."""
    packed = (b"G" + data[at : at + 187].ljust(187, b"\xff") for at in range(0, len(data), 187))
    packets = b"".join(packed) if sync else data
    cuts(packets * 3, TsStretches)
    cuts(data, FlvStretches)
    cuts(serialize_flv_header(True, True) + data, FlvStretches)
