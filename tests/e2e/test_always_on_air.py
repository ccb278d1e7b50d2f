"""A backup and a slate between real servers: which picture is on air is read from the decoded picture."""

import itertools
from collections.abc import Callable
from pathlib import Path

from kit import programs
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames
from kit.probe import assert_dts_strictly_rising, decode_errors, max_gap_ms, packets
from kit.relay_program import RelayProgram
from kit.waiting import wait_for

SIZE, FPS = "320x180", 25


def film(path: Path, color: str, tone_hz: int) -> Path:
    """Ten seconds of one colour and one tone, a keyframe each second."""
    inputs = (f"color=c={color}:s={SIZE}:r={FPS}", f"sine=frequency={tone_hz}:sample_rate=44100")
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", "10", "-i", graph)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac"]
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *coded, "-ac", "2", "-f", "flv", path])
    return path


def colors(path: Path) -> list[str]:
    """The colour of each picture of a recording, neighbours once."""
    seen = []
    for frame in frames(path, 100_000, crop="8:8:0:0"):
        pixel = frame[4][4]
        seen.append("rgb"[max(range(3), key=lambda part: pixel[part])])
    return [key for key, _ in itertools.groupby(seen)]


def test_the_destination_never_goes_dark(nginx: NginxRtmp, relay: Callable[..., RelayProgram], tmp_path: Path) -> None:
    """The source is killed, then its backup, and both come back: in one publish session stamps rise without a gap, and
    each picture can be decoded."""
    red, green = film(tmp_path / "red.flv", "red", 440), film(tmp_path / "green.flv", "green", 880)
    urls = [nginx.url("first"), nginx.url("second")]

    def publish(number: int) -> Publisher:
        publisher = Publisher((red, green)[number], urls[number], tmp_path / f"publisher{number}.log")
        nginx.wait_published(("first", "second")[number])
        return publisher

    first, second = publish(0), publish(1)
    to = nginx.url("channel", app="rec")
    options = ["--input", urls[1], "--warm", "--slate", "#0000ff", "--switch-after", "2", "--return-after", "2"]
    running = relay(urls[0], "--live", *options, "--to", to)

    def on_air(what: str) -> None:
        wait_for(f"{what} on air", lambda: any(line.on_air == what for line in running.lines[-1:]))

    running.wait_state("streaming")
    first.vanish()
    on_air("input 1")
    second.vanish()
    on_air("slate")
    second = publish(1)
    on_air("input 1")
    first = publish(0)
    on_air("input 0")
    began_ms = running.lines[-1].media_time_ms
    wait_for("a stretch of it", lambda: running.lines[-1].media_time_ms > began_ms + 2000)
    running.interrupt()
    first.vanish()
    second.vanish()
    nginx.wait_unpublished("channel", "rec")
    (recorded,) = nginx.recordings("channel")
    media = packets(recorded)
    for track in media:
        assert_dts_strictly_rising(track)
        assert max_gap_ms(track) <= 2 * 1000 / FPS + 1
    assert colors(recorded) == ["r", "g", "b", "g", "r"]
    assert decode_errors(recorded) == ""
