"""A backup and a slate between real servers: which picture is on air is read from the decoded picture."""

import itertools
import statistics
from collections.abc import Callable
from pathlib import Path

from kit import programs
from kit.av_offset import av_offsets_ms
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.pictures import frames
from kit.probe import assert_dts_strictly_rising, decode_errors, max_gap_ms, packets
from kit.relay_program import RelayProgram
from kit.waiting import wait_for
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import SEQUENCE_HEADER, Tag
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.relay.header_forms import form_of
from streamferry.source.flv import FlvReader

SIZE, FPS = "320x180", 25


def flashing_film(path: Path, color: str, size: str, *coded: str) -> Path:
    """Ten seconds of one colour with a white flash and a beep each second."""
    flash = "drawbox=t=fill:color=white:enable='lt(mod(t+0.501,1),0.2)'"
    beep = "aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t+0.5,1),0.2)':s=48000"
    inputs = (f"color=c={color}:s={size}:r={FPS},{flash}", beep)
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", "10", "-i", graph)]
    kept = ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", *coded]
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, "-g", str(FPS), *kept, "-f", "flv", path])
    return path


def headers(path: Path) -> list[tuple[int, bytes]]:
    """Tag type and body of all sequence headers of a recording."""
    data = path.read_bytes()
    tags: list[Tag] = []
    FlvReader().read(memoryview(data), 0, tags)
    return [(tag[0], bytes(tag[2])) for tag in tags if tag_kind(tag[0], tag[2]) == SEQUENCE_HEADER]


def film(path: Path, color: str, tone_hz: int) -> Path:
    """Ten seconds of one colour and one tone, a keyframe each second."""
    inputs = (f"color=c={color}:s={SIZE}:r={FPS}", f"sine=frequency={tone_hz}:sample_rate=44100")
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", "10", "-i", graph)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac"]
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *coded, "-ac", "2", "-f", "flv", path])
    return path


def colors(path: Path) -> list[str]:
    """The colour of each picture of a recording that is not white, neighbours once."""
    seen = []
    for frame in frames(path, 100_000, crop="8:8:0:0"):
        pixel = frame[4][4]
        if min(pixel) > 180:
            continue
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


def test_a_backup_of_another_form_is_brought_into_the_form_on_air(
    nginx: NginxRtmp, node_media_server: NodeMediaServer, relay: Callable[..., RelayProgram], tmp_path: Path
) -> None:
    """HEVC with one channel and the slate become H.264 of the size on air with two, without a gap, sound in step."""
    red = flashing_film(tmp_path / "red.flv", "red", "640x360", "-c:v", "libx264", "-ac", "2", "-ar", "44100")
    green = flashing_film(
        tmp_path / "green.flv", "green", "480x272", "-c:v", "libx265", "-x265-params", "log-level=error", "-ac", "1"
    )
    first = Publisher(red, nginx.url("model"), tmp_path / "first.log")
    nginx.wait_published("model")
    second = Publisher(green, node_media_server.url("unlike"), tmp_path / "second.log")
    node_media_server.wait_published("unlike")
    options = ["--input", node_media_server.url("unlike"), "--warm", "--slate", "#0000ff", "--one-form", "first", "-v"]
    rules = ["--switch-after", "3", "--return-after", "2"]
    running = relay(nginx.url("model"), "--live", *options, *rules, "--to", nginx.url("one-form", app="rec"))

    def on_air(what: str) -> None:
        wait_for(f"{what} on air", lambda: any(line.on_air == what for line in running.lines[-1:]))
        began_ms = running.lines[-1].media_time_ms
        wait_for("a stretch of it", lambda: running.lines[-1].media_time_ms > began_ms + 3000)

    running.wait_state("streaming")
    on_air("input 0")
    wait_for("the backup, encoded", lambda: "another codec, size or sound" in running.errors)
    first.vanish()
    on_air("input 1")
    second.vanish()
    on_air("slate")
    first = Publisher(red, nginx.url("model"), tmp_path / "first.log")
    on_air("input 0")
    running.interrupt()
    first.vanish()
    nginx.wait_unpublished("one-form", "rec")
    (recorded,) = nginx.recordings("one-form")
    assert {form_of([header]) for header in headers(recorded)} == {
        Form(video=VideoForm("h264", 640, 360)),
        Form(audio=AudioForm("aac", 44100, 2)),
    }
    media = packets(recorded)
    for track in media:
        assert_dts_strictly_rising(track)
        assert max_gap_ms(track) <= 2 * 1000 / FPS + 1
    assert colors(recorded) == ["r", "g", "b", "r"]
    assert decode_errors(recorded) == ""
    own = statistics.median(av_offsets_ms(red))
    apart = [abs(offset - own) for offset in av_offsets_ms(recorded)]
    # A join may cut a flash; all others have their beep where it was.
    assert len(apart) > 8
    assert sum(one > 5 for one in apart) <= 3
