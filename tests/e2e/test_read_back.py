"""What we push, read back from servers by players that are not ffmpeg: librtmp's rtmpdump and GStreamer's rtmp2src."""

import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from kit import probe, programs
from kit.clips import FPS, ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.relay_program import RelayProgram
from kit.waiting import wait_for

StartRelay = Callable[..., RelayProgram]
Player = Callable[[str, Path], list[str | Path]]
#: Of both tracks, metadata and headers included: two seconds; and as many bytes of a file.
TAGS, ENOUGH = 140, 8_000


def rtmpdump(url: str, path: Path) -> list[str | Path]:
    """Until it is told to end; it writes whole tags only."""
    return [programs.need("rtmpdump"), "--quiet", "--live", "--rtmp", url, "--flv", path]


def rtmp2src(url: str, path: Path) -> list[str | Path]:
    """Each tag is a buffer of it; the file ends with one."""
    launch = programs.need("gst-launch-1.0")
    return [launch, "-q", "rtmp2src", f"location={url}", f"num-buffers={TAGS}", "!", "filesink", f"location={path}"]


def read_back(url: str, home: Path, *, by: Sequence[Player]) -> None:
    """All at once: all pictures from a keyframe on, with their sound, and everything decodes."""
    home.mkdir()
    files = [home / f"{player.__name__}.flv" for player in by]
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(programs.Program(player(url, path), path.with_suffix(".log")))
            for player, path in zip(by, files, strict=True)
        ]
        for player, program, path in zip(by, running, files, strict=True):
            if player is rtmp2src:
                wait_for("rtmp2src to have had enough", lambda program=program: not program.is_running)
            else:
                wait_for(
                    "rtmpdump to have had enough", lambda path=path: path.exists() and path.stat().st_size > ENOUGH
                )
                program.stop(signal.SIGINT)
    for path in files:
        assert path.exists(), path.with_suffix(".log").read_text()
        media = probe.assert_flawless(path)
        assert media.audio is not None
        assert probe.max_gap_ms(media.video) <= 2 * 1000 / FPS, path
        assert media.video.dts_ms[-1] - media.video.dts_ms[0] > 800, path


def test_players_that_are_not_ffmpeg_read_what_we_push(
    relay: StartRelay, nginx: NginxRtmp, node_media_server: NodeMediaServer, clips: ClipFactory, tmp_path: Path
) -> None:
    """From nginx-rtmp and from node-media-server, given as a server with a slash at its end and a key with a query, as
    platforms show them. GStreamer 1.22 plays nothing from this node-media-server, whoever
    publishes to it."""
    for server, players in ((nginx, (rtmpdump, rtmp2src)), (node_media_server, (rtmpdump,))):
        shown = ("--to", server.url(""), "--key", "out?sign=a/b&x=1")
        running = relay(clips("flash_beep"), "--loop", -1, *shown)
        server.wait_published("out")
        read_back(server.url("out"), tmp_path / f"from-{server.name}", by=players)
        assert running.is_running
