"""Sources behind an ffmpeg child that lose packets, promise tracks, get new ones or refuse us, with bytes made here."""

import asyncio
import os
import random
import re
import select
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from kit import programs
from kit.clips import ClipFactory
from loopback.source.pieces import Pieces
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import SourceEnded, SourceRejected, SourceUnreachable
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import LiveInlet, SourceMemory
from streamferry.source import open_live as open_live_within
from streamferry.source.ffmpeg_inlet import FfmpegInput, FfmpegMemory, open_ffmpeg

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]

open_live = partial(open_live_within, deadlines=Deadlines())
SCRATCH = memoryview(bytearray(2 << 20))
PACKET_BYTES = 188
#: The second track that ffmpeg writes (libavformat/mpegtsenc.c, mpegts_start_pid).
SOUND_PID = 0x101
DESCRIPTION = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=control:track0\r\n"
)


@pytest.fixture(autouse=True)
async def _no_survivors() -> AsyncIterator[None]:
    yield
    await end_all()


@pytest.fixture
def made(tmp_path, clips: ClipFactory) -> Callable[..., bytes]:
    """``made(*arguments, form=...)``: what ffmpeg makes of half a minute by copying."""

    def make(*arguments: str, form: str = "mpegts") -> bytes:
        out = tmp_path / "out"
        command = [programs.ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", str(clips("half_a_minute"))]
        subprocess.run([*command, "-c", "copy", *arguments, "-f", form, str(out)], check=True)
        return out.read_bytes()

    return make


def packets(stream: bytes) -> list[bytes]:
    return [stream[at : at + PACKET_BYTES] for at in range(0, len(stream), PACKET_BYTES)]


def pid(packet: bytes) -> int:
    return (packet[1] & 31) << 8 | packet[2]


@pytest.fixture
async def served() -> AsyncIterator[Callable[[bytes], MediaUrl]]:
    """``served(stream)``: where it is live as MPEG-TS over HTTP; what follows it never comes.

    It comes five times as fast as it plays: what a child has read is not there for the next one.
    """
    bodies: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
            for at in range(0, len(bodies[0]), len(bodies[0]) // 120):
                writer.write(bodies[0][at : at + len(bodies[0]) // 120])
                await asyncio.sleep(0.05)
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:

        def serve(stream: bytes) -> MediaUrl:
            bodies[:] = [stream]
            return MediaUrl.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/live")

        yield serve


async def pull(inlet: LiveInlet, is_enough: Callable[[list[Tag]], bool]) -> list[Tag]:
    """Pull as the beat does. Raises SourceError when the source ends before."""
    tags: list[Tag] = []
    async with asyncio.timeout(60):
        while not is_enough(tags):
            new: list[Tag] = []
            inlet.pull(SCRATCH, new)
            tags += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in new]
            await asyncio.sleep(0.01)
    return tags


def lasts(tags: list[Tag], tag_type: int, ms: int) -> bool:
    """Whether the track has frames over so long a time."""
    stamps = [stamp for kind, stamp, body in tags if kind == tag_type and tag_kind(kind, body) <= KEYFRAME]
    return bool(stamps) and stamps[-1] - stamps[0] >= ms


def read_by_ffmpeg() -> SourceMemory:
    """What is known of a source that only ffmpeg reads."""
    return SourceMemory(needs_ffmpeg=True)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_percent_of_loss_ended_the_child_every_few_seconds(made, served, seed):
    """Packets are missing at random, but for the first second: both tracks go on to the end."""
    chance = random.Random(seed)
    kept = [one for place, one in enumerate(packets(made())) if place < 100 or chance.random() > 0.01]
    inlet = await open_live(served(b"".join(kept)), memory=read_by_ffmpeg())
    await pull(inlet, lambda tags: lasts(tags, VIDEO, 20_000) and lasts(tags, AUDIO, 20_000))
    inlet.close()


async def test_sound_that_is_promised_and_never_comes_kept_the_picture_from_starting(made, served):
    """The tables announce sound of which no packet comes: the picture plays, and the source is known to be mute."""
    sent = b"".join(one for one in packets(made()) if pid(one) != SOUND_PID)
    inlet = await open_live(served(sent), memory=read_by_ffmpeg())
    assert inlet.is_mute
    await pull(inlet, lambda tags: lasts(tags, VIDEO, 5_000))
    inlet.close()


async def test_sound_that_came_later_was_never_sent(made, served):
    """A track that the tables did not announce at first: the session ends and says so, and the next one has it."""
    whole, mute = made(), made("-an", "-t", "12")
    memory = read_by_ffmpeg()
    inlet = await open_live(served(mute + whole), memory=memory)
    with pytest.raises(SourceEnded, match="a track that it did not begin with"):
        await pull(inlet, lambda _: False)
    inlet.close()
    inlet = await open_live(served(whole), memory=memory)
    await pull(inlet, lambda tags: lasts(tags, AUDIO, 5_000))
    inlet.close()


async def test_pictures_without_a_time_of_their_own_never_started(clips: ClipFactory):
    """So are the first ones of an AVI with B-frames, and of some RTSP servers: the next session plays."""
    source = FfmpegInput(["-f", "avi"], feed=Pieces(clips("h264_bframes", ".avi").read_bytes()))
    memory, url = FfmpegMemory(), MediaUrl.parse("rtsp://127.0.0.1/cam")
    inlet = await open_ffmpeg(url, source, memory=memory)
    with pytest.raises(SourceUnreachable):
        await pull(inlet, lambda _: False)
    inlet = await open_ffmpeg(url, source, memory=memory)
    await pull(inlet, lambda tags: lasts(tags, VIDEO, 1_500))
    inlet.close()


class Camera:
    """An RTSP server that plays nothing, and notes whether two players were ever there at a time."""

    def __init__(self, refusal: str = "") -> None:
        """``refusal``: of DESCRIBE; if it is empty, all is accepted until PLAY, and silence follows."""
        self._refusal = refusal
        self.played = 0
        self._players: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.overlaps = 0

    def has_played(self, count: int) -> bool:
        return self.played >= count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.overlaps += sum(map(_is_open, self._players))
        self._players.append(writer)
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                method = request.split()[0]
                if method == b"TEARDOWN":
                    continue
                sequence = re.search(rb"(?i)cseq: *(\d+)", request)
                assert sequence is not None
                status, body = "200 OK", ""
                if method == b"DESCRIBE":
                    status, body = self._refusal or "200 OK\r\nContent-Type: application/sdp", DESCRIPTION
                fields = f"CSeq: {int(sequence[1])}\r\nSession: 1\r\nContent-Length: {len(body)}\r\n"
                if method == b"SETUP":
                    fields += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                writer.write(f"RTSP/1.0 {status}\r\n{fields}\r\n{body}".encode())
                self.played += method == b"PLAY"
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._players.remove(writer)
            writer.close()


def _is_open(writer: asyncio.StreamWriter) -> bool:
    """Whether its peer has not closed it; the kernel is asked, since our event loop may not have read that yet."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return not poll.poll(0)


async def test_a_silent_camera_had_two_players_at_a_time():
    """Opened again and again while it is silent: the child before has always gone by then."""
    camera, memory = Camera(), read_by_ffmpeg()
    async with await asyncio.start_server(camera.serve, "127.0.0.1", 0) as server:
        url = MediaUrl.parse(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/cam")
        for attempt in range(1, 4):
            opening = asyncio.ensure_future(open_live(url, memory=memory))
            await until("a player", partial(camera.has_played, attempt))
            # It does not hear that it is to end, as one that waits for the camera.
            child = memory.children.child
            assert child is not None
            for pid in (child.pid, *programs.descendants(child.pid)):
                os.kill(pid, signal.SIGSTOP)
            opening.cancel()
            await asyncio.wait((opening,))
        await end_all()
    assert camera.accepted == 3
    assert camera.overlaps == 0


async def test_a_wrong_password_was_tried_until_the_camera_locked_the_account():
    """Refused once it is tried again at once, for it may be a whim; from the second refusal on after a minute."""
    camera, memory = Camera('401 Unauthorized\r\nWWW-Authenticate: Basic realm="cam"'), SourceMemory()
    pauses = []
    async with await asyncio.start_server(camera.serve, "127.0.0.1", 0) as server:
        url = MediaUrl.parse(f"rtsp://me:wr0ng-pass@127.0.0.1:{server.sockets[0].getsockname()[1]}/cam")
        for _ in range(3):
            with pytest.raises(SourceRejected, match="401") as refused:
                await open_live(url, memory=memory)
            pauses.append(refused.value.retry_after_s)
            assert "wr0ng" not in str(refused.value)
    assert pauses == [0, 60, 60]
