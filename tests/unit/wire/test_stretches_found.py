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


def test_the_stamp_of_a_header_says_nothing() -> None:
    """Of the time at which a recording began, before frames from 0; of 0, where it is repeated among them."""
    frames = flv(9_000, headers=False)
    late = serialize_tag(VIDEO, 7_000_000, HEADER[2]) + serialize_tag(AUDIO, 7_000_000, SOUND_HEADER[2])
    repeated = serialize_tag(*HEADER) + serialize_tag(*SOUND_HEADER)
    start = serialize_flv_header(True, True)
    assert cuts(start + late + frames, FlvStretches) == []
    assert cuts(start + repeated + frames + repeated + frames, FlvStretches) == []


def test_headers_without_frames_are_not_held_for_ever() -> None:
    """Held back they would fill the memory."""
    stretches = FlvStretches(0)
    data = serialize_flv_header(True, True) + serialize_tag(VIDEO, 0, HEADER[2] + bytes(1000)) * 2000
    stretches.feed(data)
    assert len(data) - stretches.safe < 1 << 19


def packet(pid: int, payload: bytes, *, counter: int = 0) -> bytes:
    return bytes((0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | counter)) + payload.ljust(184, b"\xff")


def program_table(counter: int, *programs: int) -> bytes:
    """All programs have their map at 0x100."""
    entries = b"".join(program.to_bytes(2) + b"\xe1\x00" for program in programs)
    return packet(0, b"\0\0\xb0" + bytes((9 + len(entries),)) + b"\0\1\xc1\0\0" + entries + bytes(4), counter=counter)


def program_map(program: int, tracks: dict[int, int]) -> bytes:
    entries = b"".join(bytes((kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0)) for pid, kind in tracks.items())
    head = program.to_bytes(2) + b"\xc1\0\0\xe1\x01\xf0\0"
    return packet(0x100, b"\0\2\xb0" + bytes((13 + len(entries),)) + head + entries + bytes(4))


def sound(rate: int, *, pid: int = 0x101) -> bytes:
    """A PES packet of AAC; ``rate`` as ADTS numbers it."""
    return packet(pid, b"\0\0\1\xc0\0\x20\x80\0\0" + bytes((0xFF, 0xF1, 0x40 | rate << 2, 0x80)) + bytes(20))


TABLES = [program_table(counter, 1) + program_map(1, {0x101: 0x0F}) for counter in range(16)]


def test_sound_of_another_rate_begins_at_the_table_before_it() -> None:
    data = TABLES[0] + sound(3) * 5 + TABLES[1] + sound(4) * 5
    assert cuts(data, TsStretches) == [len(TABLES[0] + sound(3) * 5)]


def test_what_looks_like_a_head_once_is_none() -> None:
    """Some multiplexers begin a packet amid a frame, and some of that looks like the head of one."""
    assert cuts(TABLES[0] + sound(3) * 5 + TABLES[1] + (sound(4) + sound(3) * 5) * 9, TsStretches) == []


def test_without_a_second_table_nothing_is_divided_or_held_for_ever() -> None:
    """A stretch could not be read without one; the file was refused, and had been in memory as a whole."""
    other_first = packet(0x11, b"\0\x42")
    data = other_first + TABLES[0] + sound(3) * 5 + sound(4) * 20_000
    assert cuts(data, TsStretches) == []
    stretches = TsStretches(0)
    stretches.feed(data)
    assert len(data) - stretches.safe < 3 << 20


@given(data=st.binary(max_size=4096), sync=st.booleans())
def test_nothing_raises(data: bytes, sync: bool) -> None:
    """Of whatever comes."""
    packed = (b"G" + data[at : at + 187].ljust(187, b"\xff") for at in range(0, len(data), 187))
    packets = b"".join(packed) if sync else data
    cuts(packets * 3, TsStretches)
    cuts(data, FlvStretches)
    cuts(serialize_flv_header(True, True) + data, FlvStretches)
