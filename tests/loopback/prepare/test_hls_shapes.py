"""Finished HLS of every shape, from the disk and from a server: each frame of the clip is in the prepared file."""

import gzip
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit import hls, programs
from kit.av_offset import av_offsets_ms
from kit.clips import FPS, SECONDS, ClipFactory
from kit.http_files import HttpFiles
from kit.probe import decode_errors
from loopback.prepare.prepared import Outcome, assert_well_laid, prepare
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.net.folders import Folders

Make = Callable[[Path, Path], Path]
_FMP4 = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4")


def in_ts(clip: Path, folder: Path) -> Path:
    return hls.cut(clip, folder)


def in_fragments(clip: Path, folder: Path) -> Path:
    return hls.cut(clip, folder, *_FMP4, segment="film%d.m4s")


def in_one_file(clip: Path, folder: Path) -> Path:
    return hls.join(hls.cut(clip, folder))


def fragments_in_one_file(clip: Path, folder: Path) -> Path:
    return hls.cut(clip, folder, "-hls_segment_type", "fmp4", "-hls_flags", "single_file", segment="film.mp4")


def encrypted(clip: Path, folder: Path) -> Path:
    return hls.encrypt(hls.cut(clip, folder), named_iv=True)


def encrypted_by_number(clip: Path, folder: Path) -> Path:
    return hls.encrypt(hls.cut(clip, folder), named_iv=False)


def encrypted_ranges(clip: Path, folder: Path) -> Path:
    return hls.join(hls.encrypt(hls.cut(clip, folder), named_iv=True))


def encrypted_fragments(clip: Path, folder: Path) -> Path:
    return hls.encrypt(hls.cut(clip, folder, *_FMP4, segment="film%d.m4s"), named_iv=True)


def disguised(clip: Path, folder: Path) -> Path:
    """A picture before each segment."""
    playlist = hls.cut(clip, folder)
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
    for path in folder.glob("*.ts"):
        path.write_bytes(picture + path.read_bytes())
    return playlist


def oddly_written(clip: Path, folder: Path) -> Path:
    """A byte order mark, Windows' line ends, and names that are no names of media."""
    playlist = hls.cut(clip, folder, segment="film%d.html")
    playlist.write_bytes(b"\xef\xbb\xbf" + playlist.read_bytes().replace(b"\n", b"\r\n"))
    return playlist


def compressed(clip: Path, folder: Path) -> Path:
    """As some edges serve playlists, whatever was asked for."""
    playlist = hls.cut(clip, folder)
    playlist.write_bytes(gzip.compress(playlist.read_bytes()))
    return playlist


def sound_apart_in_ts(clip: Path, folder: Path) -> Path:
    return hls.with_separate_sound(clip, folder)


def sound_apart_in_fragments(clip: Path, folder: Path) -> Path:
    init = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "{}.mp4")
    return hls.with_separate_sound(clip, folder, *init, suffix="m4s")


def sound_apart_packed(clip: Path, folder: Path) -> Path:
    master = hls.with_separate_sound(clip, folder)
    # The muxer of TS puts a start of 1.4 s before all stamps; the first picture is shown two frames late.
    hls.write_playlist(folder / "sound.m3u8", hls.packed_sound(clip, folder))
    return master


SHAPES = [
    in_ts,
    in_fragments,
    in_one_file,
    fragments_in_one_file,
    encrypted,
    encrypted_by_number,
    encrypted_ranges,
    encrypted_fragments,
    disguised,
    oddly_written,
    compressed,
    sound_apart_in_ts,
    sound_apart_in_fragments,
    sound_apart_packed,
]
# What differs there is how bytes, ranges and keys come.
FROM_A_SERVER = (fragments_in_one_file, encrypted_ranges, sound_apart_in_ts)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[HttpFiles]:
    with HttpFiles(home) as files:
        yield files


@pytest.fixture(scope="module")
def made(home: Path, clips: ClipFactory) -> Callable[[Make], Path]:
    def make(shape: Make) -> Path:
        folder = home / shape.__name__
        return next(folder.glob("*.m3u8")) if folder.exists() else shape(clips("flash_beep"), folder)

    return make


def frame_counts(outcome: Outcome) -> tuple[int, int]:
    kinds = [tag_type for tag_type, _, _ in outcome.frames]
    return kinds.count(VIDEO), kinds.count(AUDIO)


@pytest.mark.parametrize(
    ("shape", "remote"),
    [*((shape, False) for shape in SHAPES), *((shape, True) for shape in SHAPES if shape in FROM_A_SERVER)],
    ids=lambda one: one.__name__ if callable(one) else "server" if one else "disk",
)
def test_every_shape_is_played_whole_and_in_step(
    made: Callable[[Make], Path], server: HttpFiles, tmp_path: Path, shape: Make, remote: bool
) -> None:
    """Every picture and all the sound, decoded without a complaint, flashes and beeps together as they were."""
    playlist = made(shape)
    if shape.__name__.startswith("sound_apart"):
        playlist = playlist.with_name("master.m3u8")
    folders = Folders.of([]) if remote else Folders.of([playlist.parent])
    outcome = prepare(server.url(playlist) if remote else playlist, tmp_path / "entry", folders=folders)
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    pictures, sounds = frame_counts(outcome)
    assert pictures == SECONDS * FPS
    assert sounds == pytest.approx(SECONDS * 48000 / 1024, abs=2)
    assert not outcome.summary.ended_early
    assert decode_errors(outcome.flv) == ""
    assert len(offsets := av_offsets_ms(outcome.flv)) >= 2
    assert max(map(abs, offsets)) < 45


def test_sound_alone(clips: ClipFactory, tmp_path: Path) -> None:
    """In TS and packed; a playlist of music has no picture."""
    clip = clips("flash_beep")
    in_ts = hls.cut(clip, tmp_path / "ts", "-vn")
    packed = hls.write_playlist(tmp_path / "packed.m3u8", hls.packed_sound(clip, tmp_path))
    for number, playlist in enumerate((in_ts, packed)):
        outcome = prepare(playlist, tmp_path / f"entry{number}")
        assert outcome.error == ""
        pictures, sounds = frame_counts(outcome)
        assert pictures == 0
        assert sounds == pytest.approx(SECONDS * 48000 / 1024, abs=2)


def test_stamps_that_begin_anew_at_a_discontinuity(clips: ClipFactory, tmp_path: Path) -> None:
    """Twice the clip, with its stamps as they are: played one behind the other, with a break or fMP4's new header."""
    clip = clips("h264_no_bframes")
    (once, again) = (hls.cut(clip, tmp_path, name=f"{n}.m3u8", segment=f"{n}-%d.ts") for n in "ab")
    lines = [*_segments(once), "#EXT-X-DISCONTINUITY", *_segments(again)]
    outcome = prepare(hls.write_playlist(tmp_path / "film.m3u8", lines), tmp_path / "entry")
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    assert frame_counts(outcome)[0] == 2 * SECONDS * FPS
    assert abs(outcome.summary.duration_ms - 2000 * SECONDS) < 200


def _segments(playlist: Path) -> list[str]:
    skipped = ("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-TARGET", "#EXT-X-MEDIA-", "#EXT-X-PLAYLIST", "#EXT-X-ENDLIST")
    return [line for line in playlist.read_text().splitlines() if not line.startswith(skipped)]


def test_servers_that_break_off_and_know_no_ranges(made: Callable[[Make], Path], home: Path, tmp_path: Path) -> None:
    """Each answer ends after 30 kB: a segment goes on where it broke, or is read again up to there."""
    playlist = made(in_one_file)
    with HttpFiles(home, cut_after_bytes=30_000) as server:
        outcome = prepare(server.url(playlist), tmp_path / "ranges")
        assert outcome.error == ""
        assert frame_counts(outcome)[0] == SECONDS * FPS
    with HttpFiles(home, ranges=False) as server:
        outcome = prepare(server.url(playlist), tmp_path / "rangeless")
        assert outcome.error == ""
        assert frame_counts(outcome)[0] == SECONDS * FPS


def test_a_segment_that_is_missing_is_a_hole_and_told(clips: ClipFactory, tmp_path: Path) -> None:
    """The rest is played meanwhile; the film is not kept, and which one it was is said."""
    playlist = hls.cut(clips("h264_no_bframes"), tmp_path / "film")
    (playlist.parent / "film1.ts").unlink()
    outcome = prepare(playlist, tmp_path / "entry", folders=Folders.of([playlist.parent]))
    assert outcome.error.startswith("SourceUnreachable")
    assert "segment 2 of 3" in outcome.error
    assert any("ready" in message for message in outcome.messages)
    assert outcome.entry.read_summary() is None


def test_a_server_that_lost_all_is_not_asked_for_all(home: Path, made: Callable[[Make], Path], tmp_path: Path) -> None:
    """After ten segments in a row that are not there the rest is not tried."""
    folder = home / "lost"
    shutil.copytree(made(in_ts).parent, folder)
    hls.write_playlist(folder / "film.m3u8", hls.listed("film0.ts", *(f"gone{n}.ts" for n in range(500))))
    with HttpFiles(home) as server:
        outcome = prepare(server.url(folder / "film.m3u8"), tmp_path / "entry")
        asked = {request.target for request in server.requests if "gone" in request.target}
    assert outcome.error.startswith("SourceUnreachable")
    assert len(asked) <= 12


def test_no_child_has_an_address_or_a_path_of_the_source(
    made: Callable[[Make], Path], home: Path, tmp_path: Path
) -> None:
    """ffmpeg's arguments name neither; it connects to nobody but us: without a network of its own nothing changes."""
    # It cannot write a log in its sandbox: it refuses.
    spy = tmp_path / "ffmpeg"
    reads = '*"-i pipe:0"* | *"-h demuxer=hls"* | *-protocols*'
    spy.write_text(
        f'#!/bin/sh\ncase "$*" in *{home}* | *127.0.0.1*) exit 9;; {reads}) ;; *) exit 9;; esac\n'
        f'exec {programs.ffmpeg()} "$@"\n'
    )
    spy.chmod(0o700)
    with HttpFiles(home) as server:
        for number, source in enumerate((made(in_ts), server.url(made(in_ts)))):
            assert prepare(source, tmp_path / f"entry{number}", ffmpeg=str(spy)).error == ""
    assert subprocess.call([spy, "-i", "pipe:0", home]) == 9
