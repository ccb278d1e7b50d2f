"""Protocols at the edges, each from or to a real server, relayed by the command and read back packet by packet."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kit import probe, programs
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import Finished, RelayProgram
from kit.rtsp_server import RtspServer
from kit.waiting import PATIENCE_S, free_udp_port, is_udp_taken, wait_for

StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]
Ffmpeg = Callable[..., programs.Program]
SECRET = "s3cret-s3cret"
#: SRT gives up what it could not hand on within its latency of 120 ms, unless told otherwise.
PATIENT = "tlpktdrop=0"


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Iterator[Ffmpeg]:
    """``ffmpeg(*arguments)`` runs one until the test ends."""
    started: list[programs.Program] = []

    def start(*arguments: object) -> programs.Program:
        words = [programs.ffmpeg(), "-v", "warning", "-nostdin", "-y", *map(str, arguments)]
        started.append(programs.Program(words, tmp_path / f"ffmpeg-{len(started)}.log"))
        return started[-1]

    yield start
    for one in started:
        one.stop(signal.SIGKILL)


@pytest.fixture
def rtsp(tmp_path: Path, clips: ClipFactory) -> Iterator[RtspServer]:
    """An RTSP server that plays a clip."""
    with RtspServer(tmp_path / "rtsp", clips("flash_beep")) as server:
        yield server


@dataclass
class LiveHls:
    """A live HLS. ``maker`` writes its segments; ``status`` is answered instead of them and of its playlist."""

    maker: programs.Program
    url: str = ""
    status: int = 200


@pytest.fixture
def live_hls(tmp_path: Path, clips: ClipFactory, ffmpeg: Ffmpeg) -> Iterator[LiveHls]:
    """A live HLS that ffmpeg makes and a web server of the standard library serves."""
    home = tmp_path / "hls"
    home.mkdir()
    maker = ffmpeg(
        *("-re", "-stream_loop", "-1", "-i", clips("flash_beep"), "-c", "copy", "-f", "hls", "-hls_time", "1"),
        *("-hls_list_size", "5", "-hls_flags", "delete_segments+temp_file", home / "live.m3u8"),
    )
    wait_for("segments", lambda: len(list(home.glob("*.ts"))) > 3)

    hls = LiveHls(maker)

    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if hls.status == 200:
                super().do_GET()
            else:
                self.send_error(hls.status)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(home))) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        hls.url = f"http://127.0.0.1:{server.server_address[1]}/live.m3u8?token={SECRET}"
        yield hls
        server.shutdown()
        serving.join()


@pytest.fixture
def hls_url(live_hls: LiveHls) -> str:
    """Its address."""
    return live_hls.url


@pytest.fixture
def libsrt() -> None:
    """The library that SRT destinations need."""
    if not any(map(find_library, ("srt-gnutls", "srt-openssl", "srt"))):
        pytest.skip("libsrt is not installed; run scripts/tools.sh as root")


def assert_relayed(running: RelayProgram, nginx: NginxRtmp) -> None:
    """It streams to ``out`` until its duration is over; what arrived is H.264 and AAC, whole and in order."""
    assert running.finish() == 0, running.output + running.errors
    assert_arrived(nginx)


def assert_arrived(nginx: NginxRtmp) -> None:
    """The same of what arrived."""
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    assert (media.video.codec, media.audio.codec) == ("h264", "aac")
    assert media.video.dts_ms[-1] > 3000
    assert probe.max_gap_ms(media.video) < 200


def test_hls_source(relay: StartRelay, nginx: NginxRtmp, hls_url: str) -> None:
    """Live HLS, found to be live by a look, and read without a child."""
    running = relay(hls_url, "--duration", 9, "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    assert not any("ffmpeg" in programs.command_line(pid) for pid in programs.descendants(running.pid))
    assert_relayed(running, nginx)
    assert SECRET not in running.output + running.errors


@pytest.mark.parametrize("ill", ["stale", "refused"])
def test_hls_that_stops_and_comes_back(relay: StartRelay, nginx: NginxRtmp, live_hls: LiveHls, ill: str) -> None:
    """The same playlist again and again, and a token that died: the source's fault; it goes on in the same publish."""
    running = relay(live_hls.url, "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    before = nginx.wait_published("out", "rec")
    count = len(running.lines)
    if ill == "stale":
        live_hls.maker.process.send_signal(signal.SIGSTOP)
    else:
        live_hls.status = 403
    line = running.wait_state("retrying", after=count)
    assert line.fault == "user_source"
    assert ("403" if ill == "refused" else "no media") in str(line.reason)
    live_hls.maker.process.send_signal(signal.SIGCONT)
    live_hls.status = 200
    running.wait_state("streaming", after=len(running.lines))
    after = nginx.published("out", "rec")
    assert after is not None
    assert after.client == before.client
    assert running.interrupt() == 0
    nginx.wait_unpublished("out", "rec")
    probe.assert_flawless(nginx.recordings("out")[0])


def test_rtsp_source(relay_to_end: ToEnd, nginx: NginxRtmp, rtsp: RtspServer) -> None:
    """RTSP, the media over its TCP connection."""
    done = relay_to_end(rtsp.url(), "--duration", 9, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    assert_arrived(nginx)


def test_rtsp_source_with_sound_of_a_telephone(
    relay_to_end: ToEnd, nginx: NginxRtmp, tmp_path: Path, clips: ClipFactory
) -> None:
    """G.711: encoded by a child that gets nothing else."""
    sound = ("-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1")
    with RtspServer(tmp_path / "telephone", clips("flash_beep"), sound) as server:
        done = relay_to_end(server.url(), "--duration", 9, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    assert_arrived(nginx)


def test_rtsp_source_that_does_not_exist(relay: StartRelay, nginx: NginxRtmp, rtsp: RtspServer) -> None:
    """The server's answer is the reason."""
    running = relay(rtsp.url("nobody"), "--to", nginx.url("out"))
    line = running.wait_state("retrying")
    assert line.fault == "user_source"
    assert "404" in str(line.reason)


@pytest.mark.parametrize("far", ["listener", "caller"])
def test_srt_source(relay: StartRelay, nginx: NginxRtmp, ffmpeg: Ffmpeg, clips: ClipFactory, far: str) -> None:
    """SRT in both roles, with a passphrase that no process of ours shows in its arguments."""
    port = free_udp_port()
    sent = ("-re", "-stream_loop", "-1", "-i", clips("flash_beep"), "-c", "copy", "-f", "mpegts")
    key = f"passphrase={SECRET}"
    if far == "listener":
        ffmpeg(*sent, f"srt://127.0.0.1:{port}?mode=listener&{key}&{PATIENT}")
        wait_for("the listener", lambda: is_udp_taken(port))
        running = relay(f"srt://127.0.0.1:{port}?{key}", "--duration", 9, "--to", nginx.url("out", "rec"))
    else:
        running = relay(f"srt://:{port}?mode=listener&{key}", "--duration", 12, "--to", nginx.url("out", "rec"))
        wait_for("our listener", lambda: is_udp_taken(port))
        ffmpeg(*sent, f"srt://127.0.0.1:{port}?{key}&{PATIENT}")
    running.wait_state("streaming")
    arguments = [programs.command_line(pid) for pid in programs.descendants(running.pid)]
    assert any("-f concat" in words for words in arguments)
    assert not any(SECRET in words for words in arguments)
    assert_relayed(running, nginx)


def test_ts_over_udp(relay_to_end: ToEnd, nginx: NginxRtmp, ffmpeg: Ffmpeg, clips: ClipFactory) -> None:
    """MPEG-TS in datagrams, with codecs of television: encoded to what RTMP carries."""
    port = free_udp_port()
    codecs = ("-c:v", "mpeg2video", "-b:v", "1M", "-c:a", "mp2")
    far = f"udp://127.0.0.1:{port}?pkt_size=1316"
    ffmpeg("-re", "-stream_loop", "-1", "-i", clips("flash_beep"), *codecs, "-f", "mpegts", far)
    done = relay_to_end(f"udp://127.0.0.1:{port}", "--duration", 14, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    assert_arrived(nginx)


def test_ts_over_http(relay_to_end: ToEnd, nginx: NginxRtmp, ffmpeg: Ffmpeg, clips: ClipFactory) -> None:
    """MPEG-TS as the endless body of an answer, from ffmpeg's own HTTP server."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    sent = ("-re", "-stream_loop", "-1", "-i", clips("flash_beep"), "-c", "copy", "-f", "mpegts")
    ffmpeg(*sent, "-listen", "1", f"http://127.0.0.1:{port}/cam.ts")
    address = f"http://127.0.0.1:{port}/cam.ts"
    done = relay_to_end(address, "--live", "--duration", 10, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    assert_arrived(nginx)


def test_an_hls_that_no_longer_grows(relay: StartRelay, nginx: NginxRtmp, live_hls: LiveHls) -> None:
    """Its last segments are not played again and again as if they were live: the relay says what it waits for."""
    running = relay(live_hls.url, "--live", "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    live_hls.maker.stop(signal.SIGKILL)
    wait_for("words", lambda: "no segment was added" in (running.lines[-1].reason or ""))
    before = running.lines[-1]
    assert (before.state, before.fault) == ("retrying", "user_source")
    wait_for("another look", lambda: running.lines[-1].retries > before.retries)
    assert running.lines[-1].media_time_ms == before.media_time_ms
    assert running.interrupt() == 3


@pytest.fixture
def old_camera(tmp_path: Path, clips: ClipFactory) -> Iterator[RtspServer]:
    """An RTSP server whose picture has to be encoded."""
    with RtspServer(tmp_path / "old", clips("mpeg4_part_2")) as server:
        yield server


def test_child_that_is_killed(relay: StartRelay, nginx: NginxRtmp, old_camera: RtspServer) -> None:
    """kill -9 of the ffmpeg child: it is our fault, it goes on into the same publish, and leaves no zombie."""
    running = relay(old_camera.url(), "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    before = nginx.wait_published("out", "rec")
    (child,) = (pid for pid in programs.descendants(running.pid) if "-f concat" in programs.command_line(pid))
    count = len(running.lines)
    os.kill(child, signal.SIGKILL)
    assert running.wait_state("retrying", after=count).fault == "service"
    running.wait_state("streaming", after=len(running.lines))
    after = nginx.published("out", "rec")
    assert after is not None
    assert after.client == before.client
    assert not Path(f"/proc/{child}").exists()
    assert running.interrupt() == 0
    nginx.wait_unpublished("out", "rec")
    probe.assert_flawless(nginx.recordings("out")[0])


@pytest.mark.usefixtures("libsrt")
@pytest.mark.parametrize("far", ["listener", "caller"])
def test_srt_destination(relay: StartRelay, ffmpeg: Ffmpeg, clips: ClipFactory, tmp_path: Path, far: str) -> None:
    """A list goes to an SRT receiver in both roles; stream id and passphrase are in no arguments; it arrives whole."""
    port = free_udp_port()
    path = tmp_path / "received.ts"
    key = f"passphrase={SECRET}"
    kept = ("-c", "copy", path)
    ours = ("--loop", 3, "--to", f"srt://127.0.0.1:{port}?{key}&streamid=#!::r=live-{SECRET},m=publish")
    if far == "listener":
        receiver = ffmpeg("-i", f"srt://127.0.0.1:{port}?mode=listener&{key}&{PATIENT}", *kept)
        wait_for("the receiver", lambda: is_udp_taken(port))
        running = relay(clips("flash_beep"), *ours)
    else:
        running = relay(clips("flash_beep"), "--loop", 3, "--to", f"srt://:{port}?mode=listener&{key}")
        wait_for("our listener", lambda: is_udp_taken(port))
        receiver = ffmpeg("-i", f"srt://127.0.0.1:{port}?{key}&{PATIENT}", *kept)
    running.wait_state("streaming")
    arguments = [programs.command_line(pid) for pid in programs.descendants(running.pid)]
    assert any("-f mpegts" in words for words in arguments)
    assert not any(SECRET in words for words in arguments)
    assert running.finish() == 0, running.output + running.errors
    receiver.process.wait(PATIENCE_S)
    media = probe.packets(path)
    for track in media:
        probe.assert_dts_strictly_rising(track)
        assert track.dts_ms[-1] - track.dts_ms[0] > 8000
    assert probe.decode_errors(path) == ""


@pytest.mark.usefixtures("libsrt")
def test_an_srt_receiver_with_a_long_latency_lost_the_end(
    relay: StartRelay, ffmpeg: Ffmpeg, clips: ClipFactory, tmp_path: Path
) -> None:
    """It keeps what it gets for 3 s, and throws away what it keeps when the sender closes: that waits for it."""
    port, path = free_udp_port(), tmp_path / "received.ts"
    receiver = ffmpeg("-i", f"srt://127.0.0.1:{port}?mode=listener&latency=3000000&{PATIENT}", "-c", "copy", path)
    wait_for("the receiver", lambda: is_udp_taken(port))
    running = relay(clips("h264_bframes"), "--to", f"srt://127.0.0.1:{port}")
    assert running.finish() == 0, running.output + running.errors
    receiver.process.wait(PATIENCE_S)
    sent, received = probe.packets(clips("h264_bframes")), probe.packets(path)
    assert len(received.video.packets) == len(sent.video.packets)


@pytest.mark.usefixtures("libsrt")
def test_srt_and_hls_beside_rtmp(
    relay: StartRelay, ffmpeg: Ffmpeg, nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """One play of a list for three destinations of different kinds: each of them gets all of it."""
    port, path = free_udp_port(), tmp_path / "received.ts"
    receiver = ffmpeg("-i", f"srt://127.0.0.1:{port}?mode=listener&{PATIENT}", "-c", "copy", path)
    wait_for("the receiver", lambda: is_udp_taken(port))
    to = [nginx.url("out", "rec"), f"srt://127.0.0.1:{port}", nginx.hls_url()]
    running = relay(clips("flash_beep"), "--loop", 3, *(word for one in to for word in ("--to", one)))
    assert running.finish() == 0, running.output + running.errors
    receiver.process.wait(PATIENCE_S)
    nginx.wait_unpublished("out", "rec")
    by_rtmp = probe.assert_flawless(nginx.recordings("out")[0])
    by_hls, by_srt = probe.packets(nginx.hls_url()), probe.packets(path)
    assert (nginx.home / "hls" / "live.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")
    for media in (by_hls, by_srt):
        assert len(media.video.packets) == len(by_rtmp.video.packets)
        for track in media:
            probe.assert_dts_strictly_rising(track)
    assert probe.decode_errors(path) == ""


@pytest.mark.usefixtures("libsrt")
def test_srt_receiver_that_stops(relay: StartRelay, ffmpeg: Ffmpeg, clips: ClipFactory, tmp_path: Path) -> None:
    """A receiver that is stopped, not ended, is missed within 10 s; one that comes back gets the stream again."""
    port = free_udp_port()
    listener = f"srt://127.0.0.1:{port}?mode=listener"
    receiver = ffmpeg("-i", listener, "-c", "copy", tmp_path / "first.ts")
    wait_for("the receiver", lambda: is_udp_taken(port))
    running = relay(clips("flash_beep"), "--loop", -1, "--to", f"srt://127.0.0.1:{port}")
    running.wait_state("streaming")
    count = len(running.lines)
    receiver.process.send_signal(signal.SIGSTOP)
    assert running.wait_state("retrying", after=count).fault == "user_destination"
    receiver.stop(signal.SIGKILL)
    ffmpeg("-i", listener, "-c", "copy", tmp_path / "second.ts")
    running.wait_state("streaming", after=len(running.lines), seconds=40)
    assert running.interrupt() == 0


@pytest.mark.usefixtures("libsrt")
def test_srt_destination_that_refuses(relay: StartRelay, ffmpeg: Ffmpeg, clips: ClipFactory, tmp_path: Path) -> None:
    """The wrong passphrase is told in SRT's words, without showing it."""
    port = free_udp_port()
    ffmpeg("-i", f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}", "-c", "copy", tmp_path / "never.ts")
    wait_for("the receiver", lambda: is_udp_taken(port))
    running = relay(clips("flash_beep"), "--to", f"srt://127.0.0.1:{port}?passphrase=wrong-{SECRET}")
    line = running.wait_state("retrying")
    assert line.fault == "user_destination"
    assert "refused" in str(line.reason)
    assert SECRET not in running.output + running.errors
