"""Lists of unlike files, watermarked or not, through a real relay to nginx-rtmp, read back."""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from kit import probe, programs
from kit.http_files import HttpFiles
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames, make_picture, sizes
from kit.relay_program import Finished, RelayProgram
from kit.unlike import ORDINARY, SECONDS, make
from streamferry.prepare.form import AudioForm, Form, VideoForm

ToEnd = Callable[..., Finished]
FORM = Form(VideoForm("h264", 160, 96), AudioForm("aac", 48000, 2))
#: The second one comes from the cache.
LOOPS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unlike")


def received(nginx: NginxRtmp, key: str = "out") -> Path:
    """The one recording there is: a second one would mean a second publish."""
    nginx.wait_unpublished(key, "rec")
    (path,) = nginx.recordings(key)
    return path


#: File name -> its length in seconds, where it is not SECONDS.
ODD_SECONDS = {"audio_longer.mp4": 1.5}


@pytest.mark.parametrize(
    "names",
    [
        ("vp9.webm", "hevc.mp4", "mpeg2.ts", "no_audio.mp4", "mono_22050.mp4", "portrait.mp4", "interlaced.ts"),
        ("mp3.mp4", "ac3.mp4", "fps50.mp4", "anamorphic.mp4", "ten_bits.mp4", "rotated.mp4"),
        ("audio_shorter.mp4", "still.mp4", "audio_longer.mp4"),
    ],
    ids=["codecs and sizes", "more of them", "tracks of unlike length"],
)
def test_loops_of_unlike_files_are_one_stream_of_one_form(
    relay_to_end: ToEnd, nginx: NginxRtmp, folder: Path, names: tuple[str, ...]
) -> None:
    """One publish, stamps that rise, every picture decodes at the size of the first, and as long as all loops.

    That each file by itself is brought into the form of another: tests/loopback/prepare/test_forms.py.
    """
    items = (ORDINARY, *names)
    done = relay_to_end(*(make(name, folder) for name in items), "--loop", LOOPS, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    path = received(nginx)
    media = probe.assert_flawless(path)
    assert probe.form(path) == FORM
    assert sizes(path) == {(160, 96)}
    lasts_ms = 1000 * LOOPS * sum(ODD_SECONDS.get(name, SECONDS) for name in items)
    for track in media:
        # Each join adds what B-frames delay and AAC primes.
        assert track.end_ms == pytest.approx(lasts_ms, rel=0.1)
    if "still.mp4" not in names:
        shown_ms = sorted(packet.pts_ms for packet in media.video.packets if packet.pts_ms is not None)
        # A picture of 40 ms, and the two by which B-frames, which only encoded files have, are shown after their DTS.
        assert max(later - earlier for earlier, later in pairwise(shown_ms)) <= 120 + 2
    final = done.lines[-1]
    assert (final.state, final.fault, final.retries) == ("ended", None, 0)


def test_files_from_servers_of_all_kinds(relay: Callable[..., RelayProgram], nginx: NginxRtmp, folder: Path) -> None:
    """An index at the end without ranges, a finished HLS, and a slow server: each in a list with an ordinary file."""
    make("moov_at_end.mp4", folder)
    make("hls.m3u8", folder)
    with (
        HttpFiles(folder) as good,
        HttpFiles(folder, ranges=False) as rangeless,
        HttpFiles(folder, bytes_per_second=100_000) as slow,
    ):
        running = {
            key: relay(make(ORDINARY, folder), address, "--loop", LOOPS, "--vod", "--to", nginx.url(key, "rec"))
            for key, address in {
                "moov": rangeless.url("moov_at_end.mp4"),
                "hls": good.url("hls.m3u8"),
                "slow": slow.url(ORDINARY),
            }.items()
        }
        for key, one in running.items():
            assert one.finish() == 0, one.output
            media = probe.assert_flawless(received(nginx, key))
            assert media.video.end_ms == pytest.approx(1000 * LOOPS * 2 * SECONDS, rel=0.1)


def test_two_hours_by_offset(relay_to_end: ToEnd, nginx: NginxRtmp, folder: Path) -> None:
    """The end of a long, sparse file beside an ordinary one: no more than that is played, on each loop."""
    path = folder / "sparse.mp4"
    picture = ("-f", "lavfi", "-i", "color=gray:size=160x96:rate=1:duration=7200")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "2")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", *picture, *coding, "-movflags", "+faststart", path])
    offsets = ("--offset", 0, "--offset", 7198)
    done = relay_to_end(make(ORDINARY, folder), path, *offsets, "--loop", 2, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    media = probe.assert_flawless(received(nginx))
    assert max(track.end_ms for track in media) == pytest.approx(2 * (1000 * SECONDS + 2000), rel=0.1)


def test_a_watermark_is_on_every_frame_of_every_loop(
    relay_to_end: ToEnd, nginx: NginxRtmp, folder: Path, tmp_path: Path
) -> None:
    """On both files, in the same place; the second loop encodes nothing."""
    mark = make_picture(tmp_path / "mark.png", "40x40", "red")
    sources = (make(ORDINARY, folder), make("vp9.webm", folder))
    options = ("--watermark", mark, "--watermark-pos", "0.5,0.5", "--watermark-ratio", "0.25", "--loop", 2)
    done = relay_to_end(*sources, *options, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    path = received(nginx)
    probe.assert_flawless(path)
    # In the middle of the mark.
    pictures = frames(path, 2000, crop="4:4:98:66")
    assert len(pictures) == pytest.approx(100, abs=4)
    for picture in pictures:
        red, green, blue = picture[2][2]
        assert red > 200
        assert max(green, blue) < 60


def test_a_list_continues_where_it_is_told_to(relay_to_end: ToEnd, nginx: NginxRtmp, folder: Path) -> None:
    """The last file of the last loop, in the form of the first that is not played."""
    sources = (make(ORDINARY, folder), make("portrait.mp4", folder))
    done = relay_to_end(*sources, "--loop", 2, "--continue-from", "2:2:0", "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    path = received(nginx)
    assert probe.form(path) == FORM
    assert probe.packets(path).video.end_ms == pytest.approx(1000 * SECONDS, abs=100)


def test_without_predownload_nothing_is_left(
    relay: Callable[..., RelayProgram], nginx: NginxRtmp, folder: Path, tmp_path: Path
) -> None:
    """While it plays, the file that plays, those that follow soon, and those that have not all arrived: never all."""
    sources = [make(name, folder) for name in (ORDINARY, "fps50.mp4", "still.mp4")]
    running = relay(*sources, "--loop", 4, "--no-predownload", "--to", nginx.url("out", "rec"))
    cache = tmp_path / "relay-0" / "cache"
    most = 0
    while running.is_running:
        # Not glob, which fails where a folder goes under its eyes.
        names = [name for _, _, files in os.walk(cache / "unkept") for name in files]
        most = max(most, len([name for name in names if name.startswith("media.rtmp")]))
        time.sleep(0.02)
    assert running.finish() == 0, running.output
    # One that plays, six seconds of short ones that follow, one that has not all arrived.
    assert 1 <= most <= 9 < 4 * len(sources)
    assert [*cache.glob("**/media.rtmp*")] == []
    assert probe.packets(received(nginx)).audio.end_ms == pytest.approx(12_000 * SECONDS, rel=0.05)
