"""What the first bytes of a file say about how it can be read."""

import pytest

from streamferry.prepare.container import Container, look


def box(name: bytes, size: int, body: bytes = b"") -> bytes:
    return size.to_bytes(4) + name + body


def kind_of(data: bytes) -> Container:
    return look(lambda offset, size: data[offset : offset + size])


FTYP = box(b"ftyp", 16, b"isom\0\0\0\0")


@pytest.mark.parametrize(
    ("data", "container"),
    [
        (b"FLV\x01\x05\0\0\0\x09\0\0\0\0", Container.FLV),
        (b"\x1aE\xdf\xa3" + bytes(100), Container.MATROSKA),
        ((b"G" + bytes(187)) * 3, Container.TS),
        ((bytes(4) + b"G" + bytes(187)) * 3, Container.TS),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", Container.HLS),
        (b"\xef\xbb\xbf#EXTM3U\r\n", Container.HLS),
        (b"RIFF" + bytes(100), Container.UNKNOWN),
        (b"", Container.UNKNOWN),
    ],
)
def test_containers_are_known_by_their_first_bytes(data: bytes, container: Container) -> None:
    """FLV, Matroska, TS of 188 and 192 byte packets, HLS with and without byte order mark; the rest is unknown."""
    assert kind_of(data) is container


@pytest.mark.parametrize(
    ("boxes", "container"),
    [
        (FTYP + box(b"moov", 100), Container.MP4),
        (FTYP + box(b"free", 8) + box(b"moov", 100), Container.MP4),
        (FTYP + box(b"free", 1, (24).to_bytes(8) + bytes(8)) + box(b"moov", 100), Container.MP4),
        (FTYP + box(b"mdat", 1000), Container.MP4_MOOV_LAST),
        (FTYP + box(b"mdat", 0), Container.MP4_MOOV_LAST),
        (FTYP, Container.MP4_MOOV_LAST),
        (FTYP + box(b"free", 0), Container.MP4_MOOV_LAST),
        (FTYP + box(b"free", 3), Container.MP4_MOOV_LAST),
    ],
)
def test_an_mp4_reads_front_to_back_when_its_moov_comes_before_its_mdat(boxes: bytes, container: Container) -> None:
    """Other boxes may stand between, with 32 and 64 bit sizes; sizes that lead nowhere do not loop."""
    assert kind_of(boxes) is container
    assert container.reads_front_to_back == (container is Container.MP4)
    assert container.demuxer == "mov"
