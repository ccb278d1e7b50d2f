"""Watermarks over live streams: the command and the service, real servers, decoded frames."""

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from kit import probe, programs
from kit.av_offset import av_offsets_ms
from kit.clips import ClipFactory
from kit.delay import delays, make_clock
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.pictures import Frame, frames, inside, make_picture, make_still, psnr_outside
from kit.relay_program import Finished, RelayProgram
from kit.waiting import wait_for

Publish = Callable[[Path, str], Publisher]
StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]
RED = (255, 0, 0)
FRAME_MS = 40


def encoder_of(running: RelayProgram) -> int:
    """Process id of the child that lays the watermark."""
    (child,) = (pid for pid in programs.descendants(running.pid) if "libx264" in programs.command_line(pid))
    return child


def reds(path: Path, crop: str) -> list[Frame]:
    """All frames of a recording, each of which has to be red there."""
    pictures = frames(path, 2000, crop=crop)
    for picture in pictures:
        red, green, blue = picture[1][1]
        assert red > 200
        assert max(green, blue) < 60
    return pictures


@pytest.mark.parametrize("size", ["320x180", "180x320"], ids=["landscape", "portrait"])
def test_it_is_on_every_frame_and_the_rest_is_as_before(
    relay_to_end: ToEnd, nginx: NginxRtmp, publish: Publish, tmp_path: Path, size: str
) -> None:
    """Where and as wide as asked for; around it the source's picture; its own sound; a keyframe each 2 s."""
    width, height = map(int, size.split("x"))
    clip = make_still(tmp_path / "still.mp4", size)
    publish(clip, nginx.url("cam"))
    nginx.wait_published("cam")
    mark = make_picture(tmp_path / "mark.png", "60x30", "red")
    options = ("--watermark", mark, "--watermark-pos", "0.5,0.25", "--watermark-ratio", "0.25")
    done = relay_to_end(nginx.url("cam"), "--live", *options, "--duration", 9, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    assert probe.max_gap_ms(media.video) <= 2 * FRAME_MS
    keys = [packet.dts_ms for packet in media.video.packets if packet.is_key]
    assert max(later - earlier for earlier, later in pairwise(keys)) <= 2000 + FRAME_MS
    assert {packet.size_bytes for packet in media.audio.packets} <= {
        packet.size_bytes for packet in probe.packets(clip).audio.packets
    }
    box = (width // 2, height // 4, width // 2 + width // 4, height // 4 + width // 8)
    (before,) = frames(clip)
    for start_s in (0, 5):
        (picture,) = frames(path, start_s=start_s)
        assert inside(picture, box) == pytest.approx(RED, abs=12)
        assert psnr_outside(before, picture, box) > 34
    assert len(reds(path, f"4:4:{box[0] + 8}:{box[1] + 8}")) > 100
    assert (done.lines[-1].state, done.lines[-1].fault, done.lines[-1].retries) == ("ended", None, 0)


def test_it_delays_by_less_than_two_seconds(
    relay: StartRelay, nginx: NginxRtmp, node_media_server: NodeMediaServer, publish: Publish, tmp_path: Path
) -> None:
    """From what a player of the source shows to what one of the destination shows, also if the source begins with the
    pictures of some seconds in one go, as node-media-server does."""
    publish(make_clock(tmp_path / "clock.mp4"), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    mark = make_picture(tmp_path / "mark.png", "60x30", "red")
    running = relay(node_media_server.flv_url("cam"), "--live", "--watermark", mark, "--to", nginx.url("out"))
    running.wait_state("streaming")
    found = delays(node_media_server.flv_url("cam"), nginx.url("out"), 3)
    print(f"delay: {min(found):.2f} to {max(found):.2f} s")
    assert len(found) > 50
    assert max(found) < 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_an_encoder_that_no_longer_encodes(
    relay: StartRelay, nginx: NginxRtmp, publish: Publish, clips: ClipFactory, tmp_path: Path, how: signal.Signals
) -> None:
    """It is our fault and said so, another goes on into the same publish, in step with the sound; no zombie stays."""
    clip = clips("flash_beep_unlike")
    publish(clip, nginx.url("cam"))
    nginx.wait_published("cam")
    mark = make_picture(tmp_path / "mark.png", "60x30", "red")
    running = relay(nginx.url("cam"), "--live", "--watermark", mark, "--to", nginx.url("out", "rec"))
    wait_for("a second of media", lambda: running.lines and running.lines[-1].media_time_ms > 1000)
    before = nginx.wait_published("out", "rec")
    child, count = encoder_of(running), len(running.lines)
    assert "cam" not in programs.command_line(child)
    os.kill(child, how)
    line = running.wait_state("retrying", after=count)
    assert line.fault == "service"
    assert "watermark" in str(line.reason)
    back = running.wait_state("streaming", after=running.lines.index(line))
    wait_for("another second of it", lambda: running.lines[-1].media_time_ms > back.media_time_ms + 1000)
    after = nginx.published("out", "rec")
    assert after is not None
    assert after.client == before.client
    assert not Path(f"/proc/{child}").exists()
    assert running.interrupt() == 0
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    probe.assert_flawless(path)
    assert len(reds(path, "4:4:20:14")) > 20
    expected = av_offsets_ms(clip)
    for offset in av_offsets_ms(path):
        assert min(expected) - 5 <= offset <= max(expected) + 5
