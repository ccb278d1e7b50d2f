"""The measuring tools are measured: each reads a known good value, and each can say no."""

import http.client
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kit import live, probe, programs
from kit.av_offset import av_offsets_ms
from kit.clips import ENCODED, FPS, LATE_MS, SECONDS, ClipFactory
from kit.http_files import HttpFiles
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.waiting import accepts, wait_for

pytestmark = pytest.mark.e2e

FRAME_MS = 1000 / FPS
#: What each clip must hold: codecs, and whether display order differs from decoding order.
TRACKS = {name: {"video": "h264", "audio": "aac"} for name in ENCODED} | {
    "hevc": {"video": "hevc", "audio": "aac"},
    "mpeg4_part_2": {"video": "mpeg4", "audio": "aac"},
    "audio_only": {"audio": "aac"},
    "video_only": {"video": "h264"},
}


@pytest.mark.parametrize("name", ENCODED)
def test_clip_holds_what_its_name_says(clips: ClipFactory, name: str) -> None:
    """Every clip has its tracks, decodes without a complaint, and only the B-frame clips reorder."""
    clip = clips(name)
    media = probe.packets(clip)
    assert {track.kind: track.codec for track in media} == TRACKS[name]
    assert probe.decode_errors(clip) == ""
    if "video" in TRACKS[name]:
        reordered = any(packet.pts_ms != packet.dts_ms for packet in media.video.packets)
        assert reordered == (name in ("h264_bframes", "hevc", "flash_beep_unlike"))


def test_clips_differ_where_their_names_differ(clips: ClipFactory) -> None:
    """moov is where the name puts it, the uneven clip is uneven, the short one short."""
    assert b"moov" in clips("h264_no_bframes").read_bytes()[:64]
    assert b"moov" not in clips("moov_at_end").read_bytes()[:1000]
    assert probe.max_gap_ms(probe.packets(clips("h264_no_bframes")).video) == pytest.approx(FRAME_MS)
    assert probe.max_gap_ms(probe.packets(clips("vfr")).video) == pytest.approx(2 * FRAME_MS)
    assert probe.packets(clips("two_seconds")).video.dts_ms[-1] == pytest.approx(2000 - FRAME_MS)


def test_clip_in_other_containers(clips: ClipFactory) -> None:
    """The same packets come in FLV, TS, MKV and HLS."""
    count = len(probe.packets(clips("h264_bframes")).video.packets)
    for path in (*(clips("h264_bframes", suffix) for suffix in (".flv", ".ts", ".mkv")), clips.hls("h264_bframes")):
        assert len(probe.packets(path).video.packets) == count, path.suffix


def test_bad_clips_are_bad(clips: ClipFactory) -> None:
    """The decode check says no to a file cut in the middle and to a letter."""
    assert probe.decode_errors(clips("truncated"))
    assert probe.decode_errors(clips("not_media"))


def test_rising_and_gap_checks_can_fail(clips: ClipFactory) -> None:
    """A repeated stamp is not rising, and a frame taken out makes the gap two frames."""
    track = probe.packets(clips("h264_no_bframes")).video
    probe.assert_dts_strictly_rising(track)
    first, second, *others = track.packets
    with pytest.raises(AssertionError, match=r"video packet 1: DTS 0\.000 ms after 0\.000 ms"):
        probe.assert_dts_strictly_rising(replace(track, packets=(first, replace(second, dts_ms=first.dts_ms))))
    with pytest.raises(AssertionError, match="have no DTS"):
        probe.assert_dts_strictly_rising(replace(track, packets=(first, replace(second, dts_ms=None))))
    assert probe.max_gap_ms(replace(track, packets=(first, *others))) == pytest.approx(2 * FRAME_MS)


def test_file_with_stamps_that_fall_is_seen_as_such(clips: ClipFactory, tmp_path: Path) -> None:
    """Two FLV files glued together, headers and all, restart at 0: the probe shows the fall and does not mend it."""
    flv = clips("h264_no_bframes", ".flv").read_bytes()
    glued = tmp_path / "glued.flv"
    glued.write_bytes(flv + flv[13:])
    with pytest.raises(AssertionError, match="video packet"):
        probe.assert_dts_strictly_rising(probe.packets(glued).video)


def test_av_offset_reads_a_known_shift(clips: ClipFactory) -> None:
    """Sound in time reads 0, sound put 120 ms late reads 120, each within 5 ms and for every flash."""
    for name, expected in (("flash_beep", 0), ("flash_beep_late", LATE_MS)):
        offsets = av_offsets_ms(clips(name))
        assert len(offsets) == SECONDS
        assert offsets == pytest.approx([expected] * len(offsets), abs=5)


def test_av_offset_needs_flashes_and_beeps(clips: ClipFactory) -> None:
    """A clip without them is refused, not read as 0."""
    with pytest.raises(AssertionError, match="none of them together"):
        av_offsets_ms(clips("two_seconds"))


def test_nginx_takes_a_publisher_gives_its_stream_and_shows_it(
    nginx: NginxRtmp, clips: ClipFactory, publish: Callable[[Path, str], live.Publisher], tmp_path: Path
) -> None:
    """A published clip is on the stat page, can be recorded from there with stamps that rise, and goes when it goes."""
    assert nginx.published("cam") is None
    publisher = publish(clips("flash_beep"), nginx.url("cam"))
    first = nginx.wait_published("cam")
    path = live.record(nginx.url("cam"), tmp_path / "seen.flv", 2)
    media = probe.packets(path)
    for track in media:
        probe.assert_dts_strictly_rising(track)
    assert media.video.packets[0].is_key
    assert media.video.dts_ms[-1] - media.video.dts_ms[0] == pytest.approx(2000, abs=100)
    assert probe.decode_errors(path) == ""
    assert (offsets := av_offsets_ms(path)) == pytest.approx([0] * len(offsets), abs=5)
    later = nginx.published("cam")
    assert later is not None
    assert later.client == first.client
    assert later.bytes_in > first.bytes_in
    publisher.leave()
    nginx.wait_unpublished("cam")


def _record_on(nginx: NginxRtmp, clip: Path) -> None:
    before = len(nginx.recordings("a"))
    programs.run([programs.ffmpeg(), "-v", "error", "-i", clip, "-c", "copy", "-f", "flv", nginx.url("a", "rec")])
    wait_for("the recording", lambda: len(nginx.recordings("a")) > before)
    nginx.wait_unpublished("a", "rec")


def test_nginx_records_each_session_and_keeps_its_ports(nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path) -> None:
    """Two publishes make two recordings; a restart cuts connections and comes back at the same address."""
    clip = clips("two_seconds")
    _record_on(nginx, clip)
    a_second_later = int(time.time()) + 1
    wait_for("another second, which names the file", lambda: time.time() >= a_second_later)
    _record_on(nginx, clip)
    first, second = nginx.recordings("a")
    for path in (first, second):
        probe.assert_dts_strictly_rising(probe.packets(path).video)
    port = nginx.rtmp_port
    with live.Publisher(clip, nginx.url("b"), tmp_path / "publisher.log") as publisher:
        nginx.wait_published("b")
        nginx.stop()
        wait_for("the publisher to notice", lambda: not publisher.is_running)
    assert not accepts(port)
    nginx.start()
    assert nginx.rtmp_port == port
    assert nginx.published("b") is None


def test_nginx_closed_application_refuses_a_publisher(nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path) -> None:
    """A publisher of ``closed`` fails and never shows on the stat page."""
    with live.Publisher(clips("two_seconds"), nginx.url("x", "closed"), tmp_path / "publisher.log") as publisher:
        wait_for("the publisher to be refused", lambda: not publisher.is_running)
        assert publisher.stop() != 0
    assert nginx.published("x", "closed") is None


def test_node_media_server_gives_http_flv(
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Callable[[Path, str], live.Publisher],
    tmp_path: Path,
) -> None:
    """A published clip can be played over HTTP-FLV and RTMP, also HEVC, and each publish is one event."""
    publisher = publish(clips("hevc"), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    for url in (node_media_server.flv_url("cam"), node_media_server.url("cam")):
        path = live.record(url, tmp_path / "seen.flv", 1)
        assert probe.decode_errors(path) == ""
    assert len(node_media_server.events("cam", "postPublish")) == 1
    assert node_media_server.events("cam", "donePublish") == []
    publisher.leave()
    wait_for("the publisher's end", lambda: node_media_server.events("cam", "donePublish"))


def test_recorder_says_when_nothing_comes(nginx: NginxRtmp, tmp_path: Path) -> None:
    """A stream nobody publishes is an error after the deadline, not an empty recording."""
    with pytest.raises(AssertionError):
        live.record(nginx.url("nobody"), tmp_path / "seen.flv", 1, wait_seconds=1)


def _get(url: str, **headers: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.status, answer.read()


def test_http_files_ranges_can_be_off(http_files: HttpFiles, clips: ClipFactory) -> None:
    """A range gives 206 and that part, or 200 and all of it; each request is noted."""
    clip = clips("two_seconds")
    whole = clip.read_bytes()
    url = http_files.url(clip)
    assert _get(url, Range="bytes=10-19") == (206, whole[10:20])
    assert _get(url, Range="bytes=10-") == (206, whole[10:])
    http_files.ranges = False
    assert _get(url, Range="bytes=10-19") == (200, whole)
    assert [(one.range, one.status) for one in http_files.requests] == [
        ("bytes=10-19", 206),
        ("bytes=10-", 206),
        ("bytes=10-19", 200),
    ]


def test_http_files_can_be_bad(http_files: HttpFiles, clips: ClipFactory) -> None:
    """Cut bodies, statuses, redirects and missing files are as asked."""
    clip = clips("two_seconds")
    url = http_files.url(clip)
    http_files.redirects["/here"] = url
    assert _get(http_files.url("here"))[0] == 200
    http_files.length = False
    http_files.cut_after_bytes = 1000
    assert _get(url) == (200, clip.read_bytes()[:1000])
    http_files.length = True
    with pytest.raises(http.client.IncompleteRead):
        _get(url)
    http_files.status = 503
    with pytest.raises(urllib.error.HTTPError) as refused:
        _get(url)
    refused.value.close()
    assert refused.value.code == 503


def test_http_files_throttles(http_files: HttpFiles, clips: ClipFactory) -> None:
    """A body takes at least its size over the rate."""
    clip = clips("two_seconds")
    http_files.bytes_per_second = clip.stat().st_size * 3
    began = time.monotonic()
    _get(http_files.url(clip))
    assert time.monotonic() - began >= 0.3


def test_program_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """A child is seen as a descendant, and stopping kills even one that ignores SIGTERM."""
    stubborn = programs.Program(
        ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], tmp_path / "log"
    )
    wait_for("the shell", lambda: "ready" in stubborn.output)
    assert stubborn.pid in programs.descendants(os.getpid())
    assert "trap" in programs.command_line(stubborn.pid)
    assert stubborn.stop(seconds=0.2) == -9
    assert programs.command_line(stubborn.pid) == ""


def test_run_reports_failure_in_the_programs_words() -> None:
    """A failing command is an AssertionError with its message."""
    with pytest.raises(AssertionError, match="No such file"):
        programs.run([programs.ffmpeg(), "-v", "error", "-i", "/nonexistent"])


@pytest.mark.parametrize(("environment", "status"), [("true", 1), ("false", 0)])
def test_a_skip_fails_the_run_only_in_ci(tmp_path: Path, environment: str, status: int) -> None:
    """With CI=true a run with a skipped test is red and tells the reason; otherwise it is green."""
    (tmp_path / "conftest.py").write_text((Path(__file__).parents[1] / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text("import pytest\n\ndef test_it():\n    pytest.skip('no nginx here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "CI": environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert ("no nginx here" in done.stdout) == (status == 1)
