"""Live sources without sound: what arrives has a silent track, at destinations of each kind."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit import probe, programs
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import Finished, RelayProgram
from kit.waiting import wait_for

Publish = Callable[[Path, str], Publisher]
StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]
#: What AAC of 48 kHz has between two frames, and the rounding to ms.
FRAME_MS = 22


@pytest.fixture
def hls_camera(tmp_path: Path, clips: ClipFactory) -> Iterator[Path]:
    """The folder in which ffmpeg makes a live HLS without sound."""
    home = tmp_path / "camera"
    home.mkdir()
    maker = programs.Program(
        [
            *(programs.ffmpeg(), "-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", clips("video_only")),
            *("-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", home / "live.m3u8"),
        ],
        tmp_path / "camera.log",
    )
    wait_for("segments", lambda: len(list(home.glob("*.ts"))) > 3)
    yield home
    maker.stop(signal.SIGKILL)


def arrived(nginx: NginxRtmp) -> probe.Media:
    """What nginx recorded of ``out``: flawless, H.264 and AAC, no hole in either."""
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    assert (media.video.codec, media.audio.codec) == ("h264", "aac")
    assert probe.max_gap_ms(media.audio) <= FRAME_MS
    assert abs(media.video.dts_ms[-1] - media.audio.dts_ms[-1]) < 200
    return media


def test_an_rtmp_camera_without_sound(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory, publish: Publish
) -> None:
    """Nobody can know at once that no sound will come: silence begins within seconds and stays."""
    publish(clips("video_only"), nginx.url("cam"))
    nginx.wait_published("cam")
    done = relay_to_end(nginx.url("cam"), "--duration", 9, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    media = arrived(nginx)
    assert media.audio.dts_ms[0] < 5000
    assert done.lines[-1].repairs == 0


def test_a_source_that_ffmpeg_reads_has_it_from_the_start(
    relay_to_end: ToEnd, nginx: NginxRtmp, hls_camera: Path
) -> None:
    """Known to have no sound: the first picture has silence beside it."""
    with HttpFiles(hls_camera) as files:
        done = relay_to_end(files.url("live.m3u8"), "--live", "--duration", 9, "--to", nginx.url("out", "rec"))
        assert done.status == 0, done.output + done.errors
    media = arrived(nginx)
    assert abs(media.audio.dts_ms[0] - media.video.dts_ms[0]) < 50


def test_without_silence_it_stays_as_it_is(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory, publish: Publish
) -> None:
    """Who asks for it gets pictures alone."""
    publish(clips("video_only"), nginx.url("cam"))
    nginx.wait_published("cam")
    done = relay_to_end(nginx.url("cam"), "--live", "--no-silence", "--duration", 7, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    assert [track.kind for track in probe.packets(path)] == ["video"]


def test_a_track_that_comes_late_reaches_a_destination_of_segments(
    relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory, publish: Publish
) -> None:
    """Its session began with pictures alone, which ffmpeg then takes for all there is: another one has both."""
    publish(clips("video_only"), nginx.url("cam"))
    nginx.wait_published("cam")
    running = relay(nginx.url("cam"), "--live", "--to", nginx.hls_url())

    def newest_has_sound() -> bool:
        names = sorted((nginx.home / "hls").glob("live-*.ts"))
        return bool(names) and {track.kind for track in probe.packets(names[-1])} == {"video", "audio"}

    wait_for("a segment with both tracks", newest_has_sound)
    assert running.interrupt() == 0
