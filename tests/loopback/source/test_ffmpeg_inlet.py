"""Sources behind an ffmpeg child, with real peers: another ffmpeg, and an HTTP server that a test makes fail."""

import asyncio
import os
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from kit import programs
from kit.waiting import PATIENCE_S, free_udp_port, is_udp_taken, wait_for
from streamferry.media.errors import (
    SourceEnded,
    SourceForbidden,
    SourceReaderFailed,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, kind_of_video
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.relay.feed import LiveFeed
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within
from streamferry.timeline import Timeline

# One event loop is enough here, and they are left out with the other tests that need programs.
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]

open_live = partial(open_live_within, deadlines=Deadlines())
SCRATCH = memoryview(bytearray(2 << 20))
SECRET = "s3cret-s3cret"


@pytest.fixture(autouse=True)
async def _no_survivors():
    yield
    await end_all()


@pytest.fixture
def ffmpeg(tmp_path):
    """``ffmpeg(*arguments)`` runs one until the test ends."""
    started = []

    def start(*arguments):
        command = [programs.ffmpeg(), "-v", "warning", "-nostdin", "-y", *arguments]
        started.append(programs.Program(command, tmp_path / f"ffmpeg-{len(started)}.log"))
        return started[-1]

    yield start
    for one in started:
        one.stop(signal.SIGKILL)


async def pull_until(inlet, enough, seconds=10):
    """Pull as the beat does until ``enough(tags)``; tags as (type, stamp, body)."""
    tags = []
    async with asyncio.timeout(seconds):
        while not enough(tags):
            new = []
            try:
                inlet.pull(SCRATCH, new)
            finally:
                tags += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in new]
            await asyncio.sleep(0.02)
    return tags


async def error_of(inlet, kind, seconds=15):
    with pytest.raises(kind) as caught:
        await pull_until(inlet, lambda _: False, seconds)
    return caught.value


def both_tracks(tags):
    """Whether a keyframe, 20 more pictures and 20 pieces of sound are there."""
    video = [body for tag_type, _, body in tags if tag_type == VIDEO]
    audio = [body for tag_type, _, body in tags if tag_type == AUDIO]
    return len(video) > 20 and len(audio) > 20 and any(kind_of_video(body) == KEYFRAME for body in video)


def codecs(tags):
    """Codec ids of FLV: 7 is H.264, 10 is AAC, 2 is MP3."""
    return {(tag_type, body[0] & 15 if tag_type == VIDEO else body[0] >> 4) for tag_type, _, body in tags if body}


def command_lines(inlet):
    """The arguments of the child and of what it started."""
    return " ".join(map(programs.command_line, [inlet.child.pid, *programs.descendants(inlet.child.pid)]))


async def test_srt_caller_and_its_secrets(ffmpeg, clips):
    """We call an SRT listener: media comes with keyframe and sound, and no argument of any child holds a secret."""
    port = free_udp_port()
    far = f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}"
    ffmpeg("-re", "-stream_loop", "-1", "-i", clips("h264_no_bframes"), "-c", "copy", "-f", "mpegts", far)
    wait_for("the listener", lambda: is_udp_taken(port))
    url = MediaUrl.parse(f"srt://127.0.0.1:{port}?passphrase={SECRET}&streamid=#!::r=cam,m=request")
    inlet = await open_live(url, allow=lambda address: address == "127.0.0.1")
    assert both_tracks(await pull_until(inlet, both_tracks))
    assert "concat" in command_lines(inlet)
    assert SECRET not in command_lines(inlet)
    assert "cam" not in command_lines(inlet)
    inlet.close()


async def test_an_srt_session_that_stays_open_without_media_is_a_silent_source(ffmpeg, clips, tmp_path):
    """Its publisher is gone and the server keeps us: told by the media, because the session never ends (R10)."""
    port, fifo = free_udp_port(), tmp_path / "media.ts"
    os.mkfifo(fifo)
    quick = ("-probesize", "20000", "-analyzeduration", "0")
    ffmpeg(*quick, "-f", "mpegts", "-i", fifo, "-c", "copy", "-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener")
    # It ends with its input, and listens once it has read the beginning of that.
    sending = await asyncio.to_thread(partial(fifo.open, "wb", buffering=0))
    writing = asyncio.create_task(asyncio.to_thread(sending.write, clips("h264_no_bframes", ".ts").read_bytes()))
    await asyncio.to_thread(wait_for, "the listener", lambda: is_udp_taken(port))
    inlet = await open_live(MediaUrl.parse(f"srt://127.0.0.1:{port}"))
    began_at = time.monotonic()
    feed = LiveFeed(inlet, Timeline(), SCRATCH, began_at)
    laid = []
    async with asyncio.timeout(PATIENCE_S):
        while sum(tag[0] == VIDEO for tag in laid) < 20 or feed.media_at > time.monotonic() - 1:
            feed.pull(time.monotonic(), laid)
            await asyncio.sleep(0.05)
    feed.check_liveness(feed.media_at + inlet.silence_s - 0.1)
    with pytest.raises(SourceStalled, match="has sent no media for 5 s"):
        feed.check_liveness(feed.media_at + inlet.silence_s)
    feed.close()
    await writing
    sending.close()


async def test_srt_listener(ffmpeg, clips):
    """We listen, the far end calls."""
    port = free_udp_port()
    opening = asyncio.ensure_future(open_live(MediaUrl.parse(f"srt://:{port}?mode=listener")))
    await asyncio.to_thread(wait_for, "our listener", lambda: is_udp_taken(port))
    far = f"srt://127.0.0.1:{port}"
    caller = ffmpeg("-re", "-stream_loop", "-1", "-i", clips("h264_no_bframes"), "-c", "copy", "-f", "mpegts", far)
    inlet = await asyncio.wait_for(opening, 30)
    assert both_tracks(await pull_until(inlet, both_tracks))
    caller.stop()
    await error_of(inlet, (SourceEnded, SourceUnreachable))
    inlet.close()


async def test_srt_with_the_wrong_passphrase(ffmpeg, clips):
    """A refusal is told as one, without the passphrase."""
    port = free_udp_port()
    ffmpeg(
        *("-re", "-i", clips("h264_no_bframes"), "-c", "copy", "-f", "mpegts"),
        f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}",
    )
    wait_for("the listener", lambda: is_udp_taken(port))
    with pytest.raises(SourceRejected) as caught:
        await open_live(MediaUrl.parse(f"srt://127.0.0.1:{port}?passphrase=wrong-{SECRET}"))
    assert "refused" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_nobody_there():
    """An SRT and an RTSP address where nobody is are unreachable, in words."""
    with pytest.raises(SourceUnreachable, match=r"cannot be opened: .+"):
        await open_live(MediaUrl.parse(f"srt://127.0.0.1:{free_udp_port()}"))
    with pytest.raises(SourceUnreachable, match="refused"):
        await open_live(MediaUrl.parse("rtsp://127.0.0.1:1/cam"))


class TsServer:
    """An HTTP server that plays a clip as MPEG-TS, made by ffmpeg, to each who asks."""

    def __init__(self, peers, clip, chunked, content_type, video=("copy",), audio=("copy",), *, paced=True):
        self._peers, self._clip, self._chunked, self._type = peers, clip, chunked, content_type
        self._pace = ["-re"] if paced else []
        self._codecs = ["-c:v", *video, "-c:a", *audio]
        self.leave = asyncio.Event()

    async def start(self):
        return await self._peers.serve(self._serve)

    async def _serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        transfer = "Transfer-Encoding: chunked\r\n" if self._chunked else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {self._type}\r\n{transfer}\r\n".encode())
        reading = [*self._pace, "-stream_loop", "-1", "-i", self._clip]
        command = ["-v", "error", *reading, *self._codecs, "-f", "mpegts", "-"]
        player = await asyncio.create_subprocess_exec(
            programs.ffmpeg(), "-nostdin", *map(str, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        try:
            while not self.leave.is_set():
                data = await player.stdout.read(8192)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
                await writer.drain()
            if self._chunked:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        finally:
            player.kill()
            await player.communicate()  # What nobody read keeps the pipe open.


async def test_codecs_that_flv_cannot_carry_are_encoded(peers, clips):
    """MPEG-2 picture and MP2 sound, as television has them, become H.264 and AAC."""
    server = TsServer(peers, clips("h264_no_bframes"), False, "video/mp2t", ("mpeg2video",), ("mp2",))
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{await server.start()}/play"))
    tags = await pull_until(inlet, both_tracks)
    assert codecs([tag for tag in tags if tag[0] != 18]) == {(VIDEO, 7), (AUDIO, 10)}
    inlet.close()
    server.leave.set()


async def test_only_the_track_that_needs_it_is_encoded(peers, clips):
    """Beside AC-3 sound an H.264 picture is copied."""
    server = TsServer(peers, clips("h264_no_bframes"), False, "video/mp2t", ("copy",), ("ac3",))
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{await server.start()}/play"))
    assert "-c:v copy -c:a aac" in command_lines(inlet)
    tags = await pull_until(inlet, both_tracks)
    assert codecs([tag for tag in tags if tag[0] != 18]) == {(VIDEO, 7), (AUDIO, 10)}
    inlet.close()
    server.leave.set()


async def test_memory_does_not_grow_with_what_was_received(peers, clips):
    """A source of days takes no more memory than one of minutes: after 40 MB the child holds less than they are."""
    server = TsServer(peers, clips("h264_no_bframes"), False, "video/mp2t", paced=False)
    url = MediaUrl.parse(f"http://127.0.0.1:{await server.start()}/play")
    inlet = await open_live(url, memory=SourceMemory(needs_ffmpeg=True))
    received_bytes, tags = 0, []
    async with asyncio.timeout(30):
        while received_bytes < 40_000_000:
            inlet.pull(SCRATCH, tags)
            received_bytes += sum(len(body) for _, _, body in tags)
            tags.clear()
            await asyncio.sleep(0.001)
    assert own_memory_mib(inlet) < 32
    inlet.close()
    server.leave.set()
    await peers.all_closed()


def own_memory_mib(inlet):
    """What the child has in memory and shares with nobody."""
    [line] = re.findall(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{inlet.child.pid}/status").read_text())
    return int(line) / 1024


async def test_a_child_that_is_killed(peers, clips):
    """kill -9 of the child is no fault of the source's, and can be tried again."""
    server = TsServer(peers, clips("h264_no_bframes"), False, "video/mp2t", audio=("ac3",))
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{await server.start()}/play"))
    os.kill(inlet.child.pid, signal.SIGKILL)
    error = await error_of(inlet, SourceReaderFailed)
    assert error.fault == "service"
    assert error.retryable
    inlet.close()
    server.leave.set()


@pytest.fixture
async def hls(peers, clips, ffmpeg, tmp_path):
    """A live HLS with a master playlist, served to who has the token; see ``Hls``."""
    home = tmp_path / "hls"
    home.mkdir()
    maker = ffmpeg(
        *("-re", "-stream_loop", "-1", "-i", clips("h264_no_bframes"), "-c", "copy", "-f", "hls", "-hls_time", "1"),
        *("-hls_list_size", "4", "-hls_flags", "delete_segments", home / "live.m3u8"),
    )
    await asyncio.to_thread(wait_for, "three segments", lambda: len(list(home.glob("*.ts"))) > 3)
    server = Hls(home, maker)
    server.port = await peers.serve(server.serve)
    return server


class Hls:
    """Answers ``status`` to all but the master playlist, which gives out a new token each time."""

    def __init__(self, home, maker):
        self.home, self.maker = home, maker
        self.token = 0
        self.status = 200
        self.asked = []
        #: Put before the names of segments.
        self.elsewhere = ""

    @property
    def url(self):
        return MediaUrl.parse(f"http://127.0.0.1:{self.port}/master.m3u8?key={SECRET}")

    async def serve(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split()[1].decode()
            name, _, query = target.lstrip("/").partition("?")
            self.asked.append(name)
            status, body = 200, b""
            if name == "master.m3u8":
                self.token += 1
                body = (
                    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nnothing.m3u8\n"
                    f"#EXT-X-STREAM-INF:BANDWIDTH=400000\nlive.m3u8?key={SECRET}{self.token}\n"
                ).encode()
            elif self.status != 200 or (name.endswith("m3u8") and query != f"key={SECRET}{self.token}"):
                status = self.status if self.status != 200 else 403
            elif (path := self.home / name).exists():
                body = path.read_bytes()
                if name.endswith("m3u8"):
                    body = re.sub(rb"^live\d", self.elsewhere.encode() + rb"\g<0>", body, flags=re.MULTILINE)
            else:
                status = 404
            kind = "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp2t"
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()


async def test_hls(hls):
    """The best variant is played at its own pace, and the others are not touched."""
    began = time.monotonic()
    inlet = await open_live(hls.url)
    tags = await pull_until(inlet, lambda tags: tags and tags[-1][1] > 3000)
    assert both_tracks(tags)
    assert time.monotonic() - began > 2, "segments came in bursts"
    assert "nothing.m3u8" not in hls.asked
    assert inlet.silence_s > 5
    inlet.close()


@pytest.mark.parametrize("status", [403, 404])
async def test_hls_whose_token_died(hls, status):
    """The session ends, and says with which answer; opened anew from the original address it plays."""
    inlet = await open_live(hls.url)
    await pull_until(inlet, both_tracks)
    hls.status = status
    error = await error_of(inlet, SourceRejected)
    assert str(status) in str(error)
    assert SECRET not in str(error)
    inlet.close()
    hls.status = 200
    again = await open_live(hls.url)
    await pull_until(again, both_tracks)
    again.close()


async def test_hls_that_is_refused_at_once(hls):
    """A playlist that cannot be had is told in our own words."""
    hls.status = 403
    with pytest.raises(SourceRejected, match="answered 403"):
        await open_live(hls.url)


async def test_hls_that_is_finished(hls):
    """A finished playlist is a file: saying so is better than playing its last 3 segments again and again."""
    hls.maker.stop(signal.SIGINT)
    wait_for("the end of the playlist", lambda: "ENDLIST" in (hls.home / "live.m3u8").read_text())
    with pytest.raises(SourceEnded, match="finished"):
        await open_live(hls.url)


async def test_opening_that_is_cancelled_leaves_no_child(peers):
    """Cancelled while it waits for media, the child ends."""

    async def silent(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        await reader.read()

    port = await peers.serve(silent)
    url = MediaUrl.parse(f"http://127.0.0.1:{port}/play")
    opening = asyncio.ensure_future(open_live(url, memory=SourceMemory(needs_ffmpeg=True)))
    before = set(programs.descendants(os.getpid()))
    started = partial(wait_for, "a child", lambda: set(programs.descendants(os.getpid())) - before)
    await asyncio.to_thread(started)
    opening.cancel()
    await asyncio.wait([opening])
    await end_all()
    assert set(programs.descendants(os.getpid())) <= before
    await peers.all_closed()


async def test_egress_policy():
    """An address that the policy forbids is not opened by a child either."""
    for text in ("rtsp://127.0.0.1:554/cam", "srt://127.0.0.1:9000", "http://127.0.0.1/live.m3u8"):
        with pytest.raises(SourceForbidden, match=r"egress policy .*setting egress"):
            await open_live(MediaUrl.parse(text), allow=lambda _: False)


async def test_hls_whose_segments_the_egress_policy_forbids(hls, peers):
    """ffmpeg asks for segments only where the policy lets it; the playlist's own address is another matter."""

    def allow(address):
        return address == "127.0.0.1"

    inlet = await open_live(hls.url, allow=allow)
    assert both_tracks(await pull_until(inlet, both_tracks))
    inlet.close()
    asked = []

    async def elsewhere(reader, writer):
        asked.append(await reader.readline())

    hls.elsewhere = f"http://127.0.0.2:{await peers.serve(elsewhere, host='127.0.0.2')}/"
    with pytest.raises(SourceRejected, match="egress policy"):
        await open_live(hls.url, allow=allow)
    assert asked == []
