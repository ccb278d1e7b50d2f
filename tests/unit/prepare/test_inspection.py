"""Hostile and odd files that are looked into before ffmpeg is: at little cost, and only our errors are raised."""

import os
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from streamferry.prepare.container import Container, look
from streamferry.prepare.inspection import inspect
from streamferry.prepare.stretch import MAX_STRETCHES, Stretch
from streamferry.wire.flv import serialize_flv_header
from streamferry.wire.mp4_index import parse_index
from streamferry.wire.parameter_sets import SequenceHeader


def box(name: bytes, *content: bytes) -> bytes:
    inner = b"".join(content)
    return (8 + len(inner)).to_bytes(4) + name + inner


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_box_larger_than_any_file(tmp_path: Path, size: int) -> None:
    """The system takes no such offset: it was a fault of ours."""
    path = tmp_path / "huge.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + b"\0\0\0\1free" + size.to_bytes(8))
    with path.open("rb") as file:
        read_at = partial(lambda offset, count: os.pread(file.fileno(), count, offset))
        assert look(read_at) is Container.MP4_MOOV_LAST
        assert not inspect(Container.MP4_MOOV_LAST, read_at).encryption


def test_packets_whose_time_looks_like_a_sync_byte() -> None:
    """Packets of 192 bytes begin with a time: the file was refused as encrypted."""
    packets = (b"G\xff\xff\xff" + b"G\1\1\x10" + bytes(184)) * 80
    assert not inspect(Container.TS, lambda offset, size: packets[offset : offset + size]).encryption
    scrambled = (b"G\xff\xff\xff" + b"G\1\1\x90" + bytes(184)) * 80
    assert inspect(Container.TS, lambda offset, size: scrambled[offset : offset + size]).encryption


def test_long_tables_of_nothing_take_no_memory() -> None:
    """Runs of no samples."""
    count = 100_000
    table = box(b"stbl", box(b"stts", bytes(4), count.to_bytes(4), bytes(8 * count)))
    clock = bytes(12) + (1000).to_bytes(4)
    handler = box(b"hdlr", bytes(8) + b"vide")
    media = box(b"mdia", box(b"mdhd", clock), handler, box(b"minf", table))
    edits = box(b"edts", box(b"elst", bytes(4), (1).to_bytes(4), (5).to_bytes(4), bytes(8)))
    moov = box(b"moov", box(b"mvhd", clock), box(b"trak", edits, media))
    tracemalloc.start()
    try:
        assert [track.kind for track in parse_index(moov)] == ["video"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_parameter_sets_that_no_header_can_hold() -> None:
    """Of more than 64 KB, or more than 31 of a sequence."""
    header = SequenceHeader.parse(b"\x17\0\0\0\0\1\x42\0\x1e\xff\xe0\0")
    assert header is not None

    def with_units(*units: bytes) -> SequenceHeader:
        return header.with_sets_of(b"\x17\1\0\0\0" + b"".join(len(one).to_bytes(4) + one for one in units))

    assert with_units(b"\x67" + bytes(1 << 16), b"\x68\1").sets == (b"\x68\1",)
    many = with_units(*(b"\x67" + bytes((1, 2, 3, number)) for number in range(40)))
    again = SequenceHeader.parse(many.body)
    assert again is not None
    assert len(again.sets) == len(many.sets) == 31


def test_what_has_very_many_stretches_is_read_to_its_end() -> None:
    """Each takes a process: 13 bytes could begin one more without end."""
    data = serialize_flv_header(True, True) * (2 * MAX_STRETCHES)
    read = bytearray()
    stretch: Stretch | None = Stretch(Container.FLV)
    count = 0
    while stretch is not None:
        count += 1
        stretch.copy(
            lambda offset: data[offset : offset + 4096], lambda piece: read.extend(piece) is None, lambda offset: None
        )
        stretch = stretch.following()
    assert count == MAX_STRETCHES
    assert read == data
