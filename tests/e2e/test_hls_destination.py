"""HLS pushed by PUT to a real nginx, and read back from there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kit import probe, programs
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import RelayProgram
from kit.waiting import wait_for

StartRelay = Callable[..., RelayProgram]
SECRET = "s3cret-s3cret"


def segments(nginx: NginxRtmp) -> list[Path]:
    """The segments that are on the server, oldest first."""
    return sorted((nginx.home / "hls").glob("live-*.ts"))


@pytest.mark.parametrize("clip", ["h264_bframes", "audio_only"])
def test_a_list_arrives_whole(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, clip: str) -> None:
    """Three loops: the playlist ends, all plays, each segment begins with a keyframe; no process shows the token."""
    running = relay(clips(clip), "--loop", 3, "--to", f"{nginx.hls_url()}?token={SECRET}")
    running.wait_state("streaming")
    arguments = [programs.command_line(pid) for pid in programs.descendants(running.pid)]
    assert any("-f mpegts" in words for words in arguments)
    assert not any(SECRET in words for words in arguments)
    assert running.finish() == 0, running.output + running.errors
    assert SECRET not in running.output + running.errors
    text = (nginx.home / "hls" / "live.m3u8").read_text()
    assert text.endswith("#EXT-X-ENDLIST\n")
    names = [line for line in text.splitlines() if not line.startswith("#")]
    assert names == [path.name for path in segments(nginx)]
    media = probe.packets(nginx.hls_url())
    for track in media:
        probe.assert_dts_strictly_rising(track)
        assert track.end_ms - track.dts_ms[0] == pytest.approx(9000, abs=250)
    assert probe.decode_errors(nginx.home / "hls" / "live.m3u8") == ""
    for path in segments(nginx):
        assert all(track.packets[0].is_key for track in probe.packets(path))


def test_a_server_that_comes_back(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """It is the destination's fault and said so; the new session's numbers follow those of the old one."""
    running = relay(clips("flash_beep"), "--loop", -1, "--to", nginx.hls_url())
    wait_for("two segments", lambda: len(segments(nginx)) >= 2)
    nginx.stop()
    assert running.wait_state("retrying", after=len(running.lines)).fault == "user_destination"
    before = segments(nginx)
    nginx.start()
    running.wait_state("streaming", after=len(running.lines))
    wait_for("a new segment in the playlist", lambda: _listed(nginx) and _listed(nginx)[0] > before[-1].name)
    assert running.interrupt() == 0


def _listed(nginx: NginxRtmp) -> list[str]:
    lines = (nginx.home / "hls" / "live.m3u8").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_server_that_refuses(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Its status is the reason, without the token."""
    running = relay(clips("flash_beep"), "--to", f"{nginx.hls_url(folder='closed')}?token={SECRET}")
    line = running.wait_state("retrying")
    assert line.fault == "user_destination"
    assert "403" in str(line.reason)
    assert SECRET not in running.output + running.errors
