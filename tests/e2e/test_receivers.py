"""Destinations that are not a plain RTMP server: one with TLS before it, and an ffmpeg that waits for one publisher."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from kit import probe, programs
from kit.clips import FPS, SECONDS, ClipFactory
from kit.front import front
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import Finished, RelayProgram
from kit.waiting import free_ports, is_listening, wait_for

StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]
Publish = Callable[[Path, str], Publisher]
LOOPS = 2
PICTURES = round(SECONDS * FPS)


def assert_whole_loops(path: Path) -> None:
    """Each picture of each loop is there, at its time."""
    media = probe.assert_flawless(path)
    assert len(media.video.packets) == LOOPS * PICTURES
    assert probe.max_gap_ms(media.video) <= 2 * 1000 / FPS


def test_a_list_over_rtmps(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path) -> None:
    """nginx-rtmp with TLS before it, of an authority that the machine trusts: every frame of every loop."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    trusting = {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}  # A process reads the authorities once.
    with front(f"127.0.0.1:{nginx.rtmp_port}", authority) as tls:
        address = f"rtmps://127.0.0.1:{tls.port}/rec/out"
        running = relay(clips("flash_beep"), "--loop", LOOPS, "--to", address, environment=trusting)
        assert running.finish() == 0, running.errors
        nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    assert_whole_loops(path)


@pytest.mark.parametrize("source", ["list", "live"])
def test_an_ffmpeg_that_listens(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory, publish: Publish, tmp_path: Path, source: str
) -> None:
    """``ffmpeg -listen 1`` takes one publisher and leaves when that does: whole files, and a stream without a flaw."""
    (port,) = free_ports(1)
    url, path = f"rtmp://127.0.0.1:{port}/live/out", tmp_path / "received.flv"
    words = [programs.ffmpeg(), "-v", "warning", "-nostdin", "-y", "-listen", "1", "-i", url, "-c", "copy", path]
    if source == "live":
        publish(clips("flash_beep"), nginx.url("cam"))
        nginx.wait_published("cam")
        ours = (nginx.url("cam"), "--live", "--duration", 5)
    else:
        ours = (clips("flash_beep"), "--loop", LOOPS)
    with programs.Program(words, tmp_path / "ffmpeg.log") as receiver:
        wait_for("ffmpeg to listen", lambda: is_listening(port))
        done = relay_to_end(*ours, "--to", url)
        assert done.status == 0, done.output + done.errors
        wait_for("ffmpeg to leave", lambda: not receiver.is_running)
    assert (done.lines[-1].retries, done.lines[-1].dropped_tags) == (0, 0)
    if source == "list":
        assert_whole_loops(path)
    else:
        assert probe.assert_flawless(path).video.dts_ms[-1] > 2000
