"""TsInlet and RtspInlet: sources of tiny sounds, and of parameter sets without end."""

import struct
import time
from collections.abc import Callable

import pytest

from kit.fuzz_seeds import adts, ts_packets
from streamferry.media.tag import Tag
from streamferry.net.rtsp import RtspLink, RtspTrack
from streamferry.source import SourceMemory
from streamferry.source.live import MANY_TAGS
from streamferry.source.rtsp_inlet import RtspInlet
from streamferry.source.ts import TsInlet
from streamferry.wire.mpegts.tables import crc
from streamferry.wire.rtsp.message import MessageReader, interleaved
from streamferry.wire.rtsp.playing import Playing
from streamferry.wire.rtsp.requests import Requests
from streamferry.wire.rtsp.sdp import Media
from streamferry.wire.rtsp.tracks import PictureTrack

SCRATCH = memoryview(bytearray(2 << 20))
FRAMES, PACKETS = 100, 150


class Once:
    """A feed that gives bytes as they are asked for, and then nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def receive_into(self, view: memoryview) -> int | None:
        """See ``Feed``."""
        piece, self._data = self._data[: len(view)], self._data[len(view) :]
        view[: len(piece)] = piece
        return len(piece) or None

    def close(self) -> None:
        """Nothing is open."""


class Pieces(Once):
    """As many bytes as a piece has, at a time."""

    def receive_into(self, view: memoryview) -> int | None:
        """See ``Feed``."""
        return super().receive_into(view[: 64 << 10])


def section(table: int, body: bytes) -> bytes:
    data = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2) + b"\0\1\xc1\0\0" + body
    return b"\0" + data + crc(data).to_bytes(4)


def flood() -> bytes:
    """A program of sound, in frames of a few bytes."""
    stream = ts_packets(0, section(0, b"\0\1\xf0\0"), 0)
    stream += ts_packets(0x1000, section(2, b"\xe1\1\xf0\0\x0f\xe1\1\xf0\0"), 0)
    media = b"".join(adts(bytes((number, 0, 0))) for number in range(FRAMES))
    pes = b"\0\0\1\xc0" + (len(media) + 8).to_bytes(2) + b"\x80\x80\x05\x21\0\1\0\1" + media
    counter = 0
    for _ in range(PACKETS):
        packets = ts_packets(0x101, pes, counter)
        stream += packets
        counter += len(packets) // 188
    return stream


@pytest.mark.parametrize("stretch_bytes", [256 << 10, 4 << 10])
def test_a_flood_takes_many_visits_and_none_of_it_is_lost(stretch_bytes: int) -> None:
    """Each tag costs the visit some microseconds, and all other streams wait for it."""
    inlet = TsInlet(Once(flood()), SourceMemory(), clock=lambda: 0.0)
    inlet._stretch.size_bytes = stretch_bytes
    frames = 0
    for _ in range(FRAMES * PACKETS // MANY_TAGS + 2):
        tags: list[Tag] = []
        inlet.pull(SCRATCH, tags)
        assert len(tags) <= MANY_TAGS
        frames += sum(bytes(body[:2]) == b"\xaf\1" for _, _, body in tags)
    assert frames > FRAMES * (PACKETS - 2)


def test_what_costs_much_is_read_in_small_pieces() -> None:
    """Each packet a picture with six new sequence sets: 64 KiB take as long as 20 MiB of a film do."""
    stream = ts_packets(0, section(0, b"\0\1\xf0\0"), 0)
    stream += ts_packets(0x1000, section(2, b"\xe1\1\xf0\0\x1b\xe1\1\xf0\0"), 0)
    for number in range(8 * 350):
        units = b"\0\0\1\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5%c\0\0\1\x68\xce\x3c\x80\0\0\1\x65\x88" % (number & 15)
        pes = b"\0\0\1\xe0\0\0\x80\x80\x05\x21\0\1\0\1" + 6 * units
        stream += ts_packets(0x101, pes, number)
    inlet = TsInlet(Pieces(stream), SourceMemory())
    assert_costs_less(lambda: inlet.pull(SCRATCH, []))


def assert_costs_less(pull: Callable[[], object]) -> None:
    """After some pulls most cost less than a quarter of the first."""
    took_s = []
    for _ in range(8):
        began_at = time.thread_time()
        pull()
        took_s.append(time.thread_time() - began_at)
    assert sorted(took_s[5:])[1] < max(0.01, took_s[0] / 4)


class Camera(Once):
    """A connection to one that sends such bytes."""

    recv_into = Once.receive_into


async def test_what_costs_much_of_a_camera_is_read_in_small_pieces() -> None:
    """Each packet has 60 new sequence sets."""
    media, playing, stream = Media("video", "RTP/AVP", 96, "H264"), Playing(1), b""
    for number in range(600):
        sets = b"".join(b"\0\x0a\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5%c" % (number + one & 255) for one in range(60))
        head = struct.pack(">BBHII", 0x80, 0xE0, number, 3000 * number, 7)
        stream += interleaved(0, head + b"\x18" + sets + b"\0\3\x65\x88\x80")
    reader = MessageReader()
    playing.add(PictureTrack(media, playing.tags, is_ordered=True), 0)
    requests = Requests(None, "", str, "test")
    link = RtspLink(Camera(stream), requests, reader, "rtsp://camera/", [RtspTrack(media, 0)])  # type: ignore[arg-type]
    inlet = RtspInlet(link, playing, is_mute=True)
    assert_costs_less(lambda: inlet.pull(SCRATCH, []))
