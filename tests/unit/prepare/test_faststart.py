"""An MP4 turned round: the same media for who reads it from front to back; nothing of what is not understood."""

import subprocess
from pathlib import Path

import pytest

from kit import programs
from kit.clips import ClipFactory
from streamferry.prepare.faststart import Order, turn

FTYP = b"\0\0\0\x14ftypisom\0\0\2\0isom"


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of 32-bit size."""
    data = b"".join(parts)
    return (8 + len(data)).to_bytes(4) + name + data


def large_box(name: bytes, data: bytes) -> bytes:
    """A box of 64-bit size."""
    return (1).to_bytes(4) + name + (16 + len(data)).to_bytes(8) + data


def index(*offsets: int, name: bytes = b"stco", width: int = 4) -> bytes:
    """A moov with the offsets of chunks of one track."""
    table = box(name, bytes(4), len(offsets).to_bytes(4), *(offset.to_bytes(width) for offset in offsets))
    stbl = box(b"stbl", box(b"stsd", bytes(8)), table)
    return box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"mdia", box(b"minf", stbl))))


def turn_bytes(data: bytes) -> Order | None:
    """As a file whose end can be had."""
    return turn(lambda offset, size: data[offset : offset + size], lambda start: data[start:])


def read(data: bytes, order: Order) -> bytes:
    """What is read in an order."""
    return order.head + data[order.begin : order.end]


def packets(source: Path | str, given: bytes = b"") -> bytes:
    """What ffmpeg finds in an MP4: the stamp and a digest of each packet."""
    command = [programs.ffmpeg(), "-v", "error", "-i", source, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def test_the_same_packets_come_out_of_a_pipe(clips: ClipFactory) -> None:
    """Each with its stamp and its bytes, as from the file itself, which a pipe cannot give."""
    path = clips("moov_at_end")
    data = path.read_bytes()
    order = turn_bytes(data)
    assert order is not None
    assert packets("pipe:0", read(data, order)) == packets(path)


@pytest.mark.parametrize("media", [box(b"mdat", b"abcdef"), large_box(b"mdat", b"abcdef")])
@pytest.mark.parametrize(("name", "width"), [(b"stco", 4), (b"co64", 8)])
def test_offsets_follow_the_media(media: bytes, name: bytes, width: int) -> None:
    """The byte that an offset names is the same one before and after, whatever the boxes' sizes are written in."""
    front = FTYP + box(b"free", bytes(9))
    at = len(front) + len(media) - 6
    moov = index(at, at + 3, name=name, width=width)
    data = front + media + box(b"free") + moov + box(b"udta", b"x")
    order = turn_bytes(data)
    assert order is not None
    turned = read(data, order)
    assert turned.startswith(front)
    assert turned[at + len(moov) :][:1] == b"a"
    assert turned == front + index(at + len(moov), at + len(moov) + 3, name=name, width=width) + media


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FTYP + box(b"mdat", b"abc"), id="no index"),
        pytest.param(FTYP + (0).to_bytes(4) + b"mdat" + bytes(50), id="media without an end"),
        pytest.param(FTYP + box(b"mdat", b"abc") + index(32)[:-3], id="an index that is cut"),
        pytest.param(FTYP + box(b"mdat", b"abc") + index(5), id="media in front of the media"),
        pytest.param(FTYP + box(b"mdat", b"abc") + index(5000), id="media behind the end"),
        pytest.param(FTYP + box(b"mdat", b"abc") + box(b"mdat", b"d") + index(32), id="media in two boxes"),
        pytest.param(FTYP + box(b"mdat", b"abc") + box(b"moov", box(b"cmov", bytes(9))), id="a compressed index"),
        pytest.param(FTYP + box(b"mdat", b"abc") + box(b"moov", box(b"mvex")), id="fragments"),
        pytest.param(FTYP + box(b"free", bytes(2 << 20)) + box(b"mdat") + index(), id="much before the media"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_not_understood_is_left_alone(data: bytes) -> None:
    """It is read as a whole then, by a program that understands more."""
    assert turn_bytes(data) is None


def test_an_offset_that_has_no_room() -> None:
    """A little below 4 GiB an offset of 32 bits cannot grow."""
    begin = len(FTYP)
    size = (1 << 32) - begin - 10
    front = FTYP + (1).to_bytes(4) + b"mdat" + size.to_bytes(8)
    moov = index(begin + 16, begin + size - 1)
    assert turn(lambda offset, count: front[offset : offset + count], lambda _: moov) is None


def test_an_end_that_cannot_be_had() -> None:
    """A server without ranges."""
    data = FTYP + box(b"mdat", b"abc")
    assert turn(lambda offset, size: data[offset : offset + size], lambda _: None) is None


def test_boxes_in_one_another_thousands_deep() -> None:
    """More than a program may call itself."""
    deep = b""
    for _ in range(5000):
        deep = box(b"trak", deep)
    assert turn_bytes(FTYP + box(b"mdat", b"abc") + box(b"moov", deep)) is None
