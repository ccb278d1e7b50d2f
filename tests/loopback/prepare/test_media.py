"""Each kind of media through a preparation process: what is played is what was in the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kit import programs
from kit.av_offset import av_offsets_ms
from kit.clips import FPS, SECONDS, ClipFactory
from kit.http_files import HttpFiles
from kit.probe import decode_errors, packets
from loopback.prepare.prepared import Outcome, assert_well_laid, prepare
from streamferry.media.tag import AUDIO, VIDEO

Encode = Callable[..., Path]


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """``encode(name, *arguments)`` makes a file of one second of picture and sound that ``clips`` does not have."""

    def make(name: str, *arguments: str) -> Path:
        path = tmp_path / name
        inputs = ("-f", "lavfi", "-t", "1", "-i", "testsrc2=size=160x90", "-f", "lavfi", "-t", "1", "-i", "sine")
        programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *inputs, *arguments, path])
        return path

    return make


def frame_counts(outcome: Outcome) -> tuple[int, int]:
    """How many frames of video and of audio."""
    kinds = [tag_type for tag_type, _, _ in outcome.frames]
    return kinds.count(VIDEO), kinds.count(AUDIO)


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("h264_bframes", ".mp4"),
        ("h264_bframes", ".mkv"),
        ("h264_bframes", ".ts"),
        ("h264_bframes", ".flv"),
        ("h264_no_bframes", ".mov"),
        ("h264_no_bframes", ".m3u8"),
        ("moov_at_end", ".mp4"),
        ("heavy", ".mp4"),
        ("hevc", ".mp4"),
        ("hevc", ".ts"),
        ("audio_only", ".mp4"),
        ("video_only", ".mp4"),
        ("aac_44100_mono", ".mp4"),
        ("aac_44100_stereo", ".mp4"),
        ("aac_48000_mono", ".mp4"),
        ("vfr", ".mp4"),
        ("two_seconds", ".mp4"),
        ("close_keyframes", ".mp4"),
        ("half_a_minute", ".mp4"),
    ],
)
def test_every_frame_is_in_the_prepared_file_and_decodes(
    clips: ClipFactory, tmp_path: Path, name: str, container: str
) -> None:
    """No frame is lost or added by the copy, the layout is kept, and a strict decoder has no complaint."""
    outcome = prepare(clips(name, container), tmp_path / "entry")
    assert_well_laid(outcome.frames)
    counts = {track.kind: len(track.packets) for track in packets(clips(name))}
    assert frame_counts(outcome) == (counts.get("video", 0), counts.get("audio", 0))
    seconds = {"two_seconds": 2, "close_keyframes": 30, "half_a_minute": 30}.get(name, SECONDS)
    assert abs(outcome.summary.duration_ms - 1000 * seconds) < 150
    assert not outcome.summary.ended_early
    assert decode_errors(outcome.flv) == ""


@pytest.mark.parametrize("name", ["flash_beep", "flash_beep_unlike", "flash_beep_late"])
@pytest.mark.parametrize("container", [".mp4", ".ts"])
def test_the_sound_is_as_far_from_the_picture_as_it_was(
    clips: ClipFactory, tmp_path: Path, name: str, container: str
) -> None:
    """Measured on decoded flashes and beeps, with and without B-frames and with sound that is late on purpose."""
    clip = clips(name, container)
    prepared = av_offsets_ms(prepare(clip, tmp_path / "entry").flv)
    assert prepared == pytest.approx(av_offsets_ms(clip), abs=2)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("h264_bframes", ".mp4"),
        ("moov_at_end", ".mp4"),
        ("h264_bframes", ".ts"),
        ("h264_bframes", ".mkv"),
        ("hevc", ".flv"),
    ],
)
def test_over_http_it_becomes_the_same_file(
    clips: ClipFactory, http_files: HttpFiles, tmp_path: Path, name: str, container: str, ranges: bool
) -> None:
    """Through a pipe while it is fetched, or as a whole where it must: byte by byte what a local file gives."""
    clip = clips(name, container)
    http_files.ranges = ranges
    remote = prepare(http_files.url(clip), tmp_path / "remote")
    local = prepare(clip, tmp_path / "local")
    assert remote.summary == local.summary
    assert remote.entry.media.read_bytes() == local.entry.media.read_bytes()
    assert not remote.entry.source.exists()


def test_hls_over_http_with_encrypted_segments(clips: ClipFactory, http_files: HttpFiles, tmp_path: Path) -> None:
    """Best variant of a master, AES-128 key by a relative address with a token, segments behind a redirect."""
    folder = clips.directory / "encrypted"
    folder.mkdir(exist_ok=True)
    (folder / "film.key").write_bytes(bytes(range(16)))
    (folder / "key_info").write_text(f"film.key?token=k\n{folder / 'film.key'}\n")
    hls = ("-hls_time", "1", "-hls_playlist_type", "vod", "-hls_key_info_file", folder / "key_info")
    clip = clips("h264_no_bframes")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clip, "-c", "copy", *hls, folder / "film.m3u8"])
    variants = (("900", "film.m3u8?token=v"), ("100", "missing.m3u8"))
    lines = [f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n{address}\n" for bandwidth, address in variants]
    (folder / "master.m3u8").write_text("#EXTM3U\n" + "".join(lines))
    http_files.redirects["/encrypted/film1.ts"] = "/encrypted/moved.ts"
    (folder / "film1.ts").rename(folder / "moved.ts")
    outcome = prepare(http_files.url("encrypted/master.m3u8?token=m"), tmp_path / "entry")
    assert frame_counts(outcome)[0] == SECONDS * FPS
    assert not outcome.summary.ended_early
    assert decode_errors(outcome.flv) == ""
    asked = {request.target for request in http_files.requests}
    assert "/encrypted/film.key?token=k" in asked


def test_hls_in_one_file_by_byte_ranges(clips: ClipFactory, http_files: HttpFiles, tmp_path: Path) -> None:
    """EXT-X-MAP and EXT-X-BYTERANGE: all segments of the file are played."""
    playlist = clips.directory / "ranges.m3u8"
    hls = ("-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "single_file")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clips("h264_no_bframes"), "-c", "copy", *hls, playlist])
    outcome = prepare(http_files.url(playlist), tmp_path / "entry")
    assert frame_counts(outcome)[0] == SECONDS * FPS
    assert not outcome.summary.ended_early


def test_hls_on_the_local_disk_in_a_folder_with_an_odd_name(clips: ClipFactory, tmp_path: Path) -> None:
    """Its segments are found by their relative names."""
    folder = tmp_path / "My films, 100 % new"
    folder.mkdir()
    hls = ("-hls_time", "1", "-hls_playlist_type", "vod", folder / "film one.m3u8")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clips("h264_no_bframes"), "-c", "copy", *hls])
    outcome = prepare(folder / "film one.m3u8", tmp_path / "entry")
    assert frame_counts(outcome)[0] == SECONDS * FPS


def test_a_missing_hls_segment_is_the_sources_fault_and_keeps_nothing(
    clips: ClipFactory, http_files: HttpFiles, tmp_path: Path
) -> None:
    """A film with a hole is not kept as if it were whole; the address of the segment is in no message."""
    folder = clips.directory / "holed"
    folder.mkdir(exist_ok=True)
    hls = ("-hls_time", "1", "-hls_playlist_type", "vod", folder / "film.m3u8")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clips("h264_no_bframes"), "-c", "copy", *hls])
    (folder / "film1.ts").unlink()
    outcome = prepare(http_files.url("holed/film.m3u8?token=secret"), tmp_path / "entry")
    assert "SourceUnreachable" in outcome.error
    assert "segment" in outcome.error
    assert "secret" not in str(outcome.messages)
    assert outcome.entry.read_summary() is None
    assert not outcome.entry.source.exists()


def test_a_live_playlist_is_refused_in_words(clips: ClipFactory, tmp_path: Path) -> None:
    """The user learns what it is and what would do."""
    text = clips.hls().read_text().replace("#EXT-X-ENDLIST", "")
    (tmp_path / "live.m3u8").write_text(text)
    error = prepare(tmp_path / "live.m3u8", tmp_path / "entry").error
    assert error.startswith("SourceUnsupported")
    assert "live HLS playlist" in error


@pytest.mark.parametrize("container", [".mp4", ".mkv", ".flv"])
def test_a_file_cut_in_the_middle_is_played_as_far_as_it_goes(
    clips: ClipFactory, tmp_path: Path, container: str
) -> None:
    """The frames that are whole, no half one, and the summary says that the end is missing."""
    outcome = prepare(clips("truncated", container), tmp_path / "entry")
    assert_well_laid(outcome.frames)
    assert 0.3 * SECONDS * FPS < frame_counts(outcome)[0] < 0.9 * SECONDS * FPS
    assert outcome.summary.ended_early
    assert decode_errors(outcome.flv) == ""


def test_a_file_without_its_index_is_refused(clips: ClipFactory, tmp_path: Path) -> None:
    """An MP4 cut before its moov cannot be read by anyone."""
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clips("moov_at_end").read_bytes()[:50_000])
    error = prepare(cut, tmp_path / "entry").error
    assert error.startswith("SourceUnsupported")
    assert "moov atom not found" in error


@pytest.mark.parametrize("remote", [True, False])
def test_what_is_not_media_is_refused(clips: ClipFactory, http_files: HttpFiles, tmp_path: Path, remote: bool) -> None:
    """A letter is not a film, wherever it comes from."""
    letter = clips("not_media", ".mp4")
    outcome = prepare(http_files.url(letter) if remote else letter, tmp_path / "entry")
    assert outcome.error.startswith("SourceUnsupported")
    assert "is not media we can read" in outcome.error


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Nothing is not media either."""
    (tmp_path / "empty.mp4").touch()
    assert prepare(tmp_path / "empty.mp4", tmp_path / "entry").error.startswith("SourceUnsupported")


def test_a_codec_that_this_ffmpeg_cannot_put_into_flv_is_named(clips: ClipFactory, tmp_path: Path) -> None:
    """As HEVC with an ffmpeg before 6.1, played here by a muxer for nothing but AAC; the sound is not blamed."""
    old = tmp_path / "old-ffmpeg"
    words = 'for word; do shift; [ "$word" = flv ] && word=adts; set -- "$@" "$word"; done'
    old.write_text(f'#!/bin/sh\n{words}\nexec "{programs.ffmpeg()}" "$@"\n')
    old.chmod(0o700)
    error = prepare(clips("hevc"), tmp_path / "entry", ffmpeg=str(old)).error
    assert error.startswith("SourceUnsupported")
    assert "holds hevc, which ffmpeg cannot put into FLV" in error


def test_a_file_cannot_make_ffmpeg_open_another_one(clips: ClipFactory, tmp_path: Path) -> None:
    """A text that ffmpeg would take for a list of files is not media here."""
    listing = tmp_path / "list.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile '{clips('two_seconds')}'\n")
    assert prepare(listing, tmp_path / "entry").error.startswith("SourceUnsupported")


def test_tracks_written_one_behind_the_other_are_read_as_a_whole_file(
    encode: Encode, clips: ClipFactory, http_files: HttpFiles, tmp_path: Path
) -> None:
    """All the picture and then all the sound: the pipe is given up at once, the next attempt waits for the download."""
    # Not interleaved: one chunk for each track, moov in front.
    inputs = ("-f", "lavfi", "-t", "30", "-i", "testsrc2=size=160x90:rate=5", "-f", "lavfi", "-t", "30", "-i", "sine")
    clip = clips.directory / "uninterleaved.mp4"
    muxing = ("-movflags", "+faststart", "-max_interleave_delta", "0", "-chunk_duration", "60000000")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", *inputs, "-c:v", "libx264", "-c:a", "aac", *muxing, clip])
    local = prepare(clip, tmp_path / "local")
    remote = prepare(http_files.url(clip), tmp_path / "remote")
    if remote.error:
        assert remote.error.startswith("ReadWhole")
        remote = prepare(http_files.url(clip), tmp_path / "remote")
    assert_well_laid(remote.frames)
    assert remote.summary.dropped_tags == 0
    assert frame_counts(remote) == frame_counts(local)


def test_a_missing_ffmpeg_is_our_fault(clips: ClipFactory, tmp_path: Path) -> None:
    """Not the source's."""
    outcome = prepare(clips("two_seconds"), tmp_path / "entry", ffmpeg=str(tmp_path / "no-such-program"))
    assert outcome.error.startswith("CacheError")
    assert "ffmpeg" in outcome.error


def test_a_full_disk_is_named(clips: ClipFactory, http_files: HttpFiles, tmp_path: Path) -> None:
    """The kernel's own word for it, and nothing is left that could be taken for a file."""
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "source.part").symlink_to("/dev/full")
    outcome = prepare(http_files.url(clips("two_seconds")), entry)
    assert outcome.error.startswith("CacheError")
    assert "No space left on device" in outcome.error
    assert outcome.entry.read_summary() is None
