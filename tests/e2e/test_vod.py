"""Files to real destinations, read back and compared packet by packet."""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import live, probe
from kit.av_offset import av_offsets_ms
from kit.clips import FPS, SECONDS, ClipFactory
from kit.http_files import HttpFiles
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.relay_program import Finished, RelayProgram
from kit.waiting import wait_for

ToEnd = Callable[..., Finished]
FRAME_MS = 1000 / FPS
#: FLV stamps are whole milliseconds, so a distance of two may be off by one.
ROUNDING_MS = 1
#: A slow download, which is let go as soon as pictures have left: a busy machine needs some seconds for those.
DOWNLOAD_S = 20
#: What differs on the wire; tests/loopback/prepare/test_media.py has what differs in the file.
KINDS = ["h264_bframes", "audio_only", "video_only", "aac_44100_mono", "vfr"]


def recording_of(nginx: NginxRtmp, key: str) -> Path:
    """The only recording of a stream that has ended."""
    nginx.wait_unpublished(key, "rec")
    (path,) = nginx.recordings(key)
    return path


def assert_all_packets_came(arrived: probe.Media, sources: list[Path], loops: int = 1) -> None:
    """As many packets of each kind as the sources hold, times the loops; sound before the first picture, too."""
    media = [probe.packets(source) for source in sources]
    expected: Counter[str] = Counter()
    for one in media:
        for track in one:
            expected[track.kind] += len(track.packets) * loops
    assert {track.kind: len(track.packets) for track in arrived} == expected


def assert_no_gap_at_joins(arrived: probe.Media, played: list[Path]) -> None:
    """Where one file follows another, a track waits for no more than the tracks of the files themselves make it wait.

    A file's tracks do not end, and the next file's do not begin, at one moment: sound has priming, B-frames a delay.
    What the first file's track lacks to the end of its longest track, and the next file's to its own first tag, cannot
    be closed without moving sound against picture. Beyond that only the rounding is allowed.
    """
    media = [probe.packets(path) for path in played]
    for track in arrived:
        stamps = track.dts_ms
        at = len(stamps)
        for earlier, later in reversed(list(itertools.pairwise(media))):
            at -= len(later.of(track.kind).packets)
            end_ms = max(one.end_ms for one in earlier)
            start_ms = min(one.dts_ms[0] for one in later)
            inherent_ms = (end_ms - earlier.of(track.kind).dts_ms[-1]) + (later.of(track.kind).dts_ms[0] - start_ms)
            assert stamps[at] - stamps[at - 1] <= inherent_ms + 2 * ROUNDING_MS, f"{track.kind} before packet {at}"


def test_loops_of_two_unlike_files_are_one_stream(relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """One publish; every packet once a loop; DTS rising; no gap at a join beyond a frame; sound beside the picture."""
    loops = 2
    sources = [clips("flash_beep"), clips("flash_beep_unlike")]
    began = time.monotonic()
    done = relay_to_end(*sources, "--normalize", "copy", "--loop", loops, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    lasted = time.monotonic() - began

    path = recording_of(nginx, "out")
    arrived = probe.assert_flawless(path)
    assert_all_packets_came(arrived, sources, loops)
    assert_no_gap_at_joins(arrived, sources * loops)
    at_source = [offset for source in sources for offset in av_offsets_ms(source)]
    for offset in av_offsets_ms(path):
        assert min(at_source) - 5 <= offset <= max(at_source) + 5

    media_seconds = loops * len(sources) * SECONDS
    assert lasted >= media_seconds - 2, "it was sent faster than it plays"
    final = done.lines[-1]
    assert (final.state, final.fault, final.retries, final.repairs) == ("ended", None, 0, 0)
    assert final.media_time_ms == pytest.approx(max(track.end_ms for track in arrived), abs=100)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_arrives_whole(relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory, name: str) -> None:
    """Every packet arrives once, in order, decodes, and picture and sound keep their distances."""
    source = clips(name)
    done = relay_to_end(source, "--no-silence", "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    assert_all_packets_came(arrived, [source])
    for track, original in zip(arrived, probe.packets(source), strict=True):
        assert track.codec == original.codec
        # One frame of the source as the longest: stamps in MP4 are finer than milliseconds.
        assert probe.max_gap_ms(track) <= probe.max_gap_ms(original) + ROUNDING_MS


def test_hevc_arrives_as_enhanced_rtmp(
    relay: Callable[..., RelayProgram], node_media_server: NodeMediaServer, clips: ClipFactory, tmp_path: Path
) -> None:
    """node-media-server takes HEVC and gives pictures that decode."""
    relay(clips("hevc"), "--loop", -1, "--to", node_media_server.url("out"))
    node_media_server.wait_published("out")
    path = live.record(node_media_server.flv_url("out"), tmp_path / "seen.flv", 4)
    assert probe.decode_errors(path) == ""


@pytest.mark.parametrize("codecs", ["h264", "h264_if_needed"])
def test_a_list_of_hevc_to_a_destination_of_h264(
    relay_to_end: Callable[..., Finished], nginx: NginxRtmp, clips: ClipFactory, codecs: str
) -> None:
    """It sets the form of its list, but for the codec: the H.264 beside it is copied, and no header changes."""
    names = [clips("hevc"), clips("two_seconds")]
    done = relay_to_end(*names, "--codecs", codecs, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    assert (arrived.video.codec, arrived.audio.codec) == ("h264", "aac")
    expected = sum(len(probe.packets(name).video.packets) for name in names)
    assert len(arrived.video.packets) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("containers", [[".flv"], [".m3u8"], [".mp4", ".ts", ".mkv"]], ids=" ".join)
def test_every_container_over_http(
    relay_to_end: ToEnd,
    nginx: NginxRtmp,
    clips: ClipFactory,
    http_files: HttpFiles,
    containers: list[str],
) -> None:
    """The same packets arrive from each, read from a web server. No flag says that what might be live is VOD."""
    addresses = [http_files.url(clips("two_seconds", container)) for container in containers]
    done = relay_to_end(*addresses, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    assert_all_packets_came(arrived, [clips("two_seconds")], len(containers))


def test_it_plays_while_it_downloads_and_later_loops_come_from_the_cache(
    relay: Callable[..., RelayProgram], nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """Pictures leave before a slow download is through, and two loops fetch each byte once."""
    source = clips("heavy")
    size = source.stat().st_size
    http_files.bytes_per_second = size // DOWNLOAD_S
    running = relay(http_files.url(source), "--loop", 2, "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    assert http_files.body_bytes < 0.9 * size, "it waited for the whole file"
    http_files.bytes_per_second = None
    assert running.finish() == 0, running.output
    assert_all_packets_came(probe.packets(recording_of(nginx, "out")), [source], 2)
    assert http_files.body_bytes <= 1.1 * size + 64 * 1024, "the second loop was fetched again"


def test_moov_at_the_end_plays_while_it_downloads(
    relay: Callable[..., RelayProgram], nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """Pictures leave before a slow download is through, although the index is the last of it; all of them arrive."""
    source = clips("heavy_moov_at_end")
    size = source.stat().st_size
    http_files.bytes_per_second = size // DOWNLOAD_S
    running = relay(http_files.url(source), "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    assert http_files.body_bytes < 0.9 * size, "it waited for the whole file"
    http_files.bytes_per_second = None
    assert running.finish() == 0, running.output
    assert_all_packets_came(probe.packets(recording_of(nginx, "out")), [source])


def test_offsets_cut_every_loop(relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """From second 1 to second 2, twice, is two seconds of media that start at a keyframe."""
    done = relay_to_end(
        *(clips("h264_no_bframes"), "--offset", 1, "--end-offset", 2, "--loop", 2), "--to", nginx.url("out", "rec")
    )
    assert done.status == 0, done.output
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    assert len(arrived.video.packets) == 2 * FPS
    # Frames of sound last 21.3 ms and do not end where pictures do: a join waits for the longer track.
    assert probe.max_gap_ms(arrived.video) <= FRAME_MS + 22


def test_duration_ends_an_endless_loop(relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """``--loop -1 --duration 3`` ends in the second loop with status 0 and nothing wrong."""
    done = relay_to_end(clips("two_seconds"), "--loop", -1, "--duration", 3, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    # What a session begins with comes at once, and on a busy machine it connects late.
    assert 2 * FPS < len(arrived.video.packets) <= 5 * FPS


def test_a_file_cut_in_the_middle_plays_as_far_as_it_goes(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """What is there arrives in order, and the relay ends by itself."""
    done = relay_to_end(clips("truncated"), "--to", nginx.url("out", "rec"))
    status = done.status
    final = done.lines[-1]
    assert (status, final.fault) in ((0, None), (3, "user_source")), done.output
    media = probe.packets(recording_of(nginx, "out"))
    probe.assert_dts_strictly_rising(media.video)
    whole = len(probe.packets(clips("h264_bframes")).video.packets)
    assert 0.3 * whole < len(media.video.packets) < whole


def test_an_item_that_is_no_media_does_not_stop_the_list(
    relay_to_end: ToEnd, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """The others play on the same publish, and the end names what was skipped."""
    good = clips("two_seconds")
    done = relay_to_end(good, clips("not_media"), good, "--to", nginx.url("out", "rec"))
    assert done.status == 3, done.output
    arrived = probe.assert_flawless(recording_of(nginx, "out"))
    assert_all_packets_came(arrived, [good, good])
    assert done.lines[-1].fault == "user_source"
    assert done.lines[-1].reason


def test_nothing_is_published_before_there_is_media(
    relay: Callable[..., RelayProgram], nginx: NginxRtmp, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """While a file still prepares, the destination is left alone: an empty broadcast is worse than none."""
    http_files.bytes_per_second = 2000
    running = relay(http_files.url(clips("moov_at_end")), "--to", nginx.url("out", "rec"))
    wait_for("the download", lambda: http_files.requests)
    running.wait_state("preparing")
    assert nginx.published("out", "rec") is None
    assert running.interrupt() == 0
    assert nginx.recordings("out") == []
