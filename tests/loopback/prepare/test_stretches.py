"""Recordings put into one file: each is a stretch of its own, with its own headers and behind the end of the last."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from kit import hls
from kit.av_offset import av_offsets_ms
from kit.http_files import HttpFiles
from kit.odd_files import FPS, SECONDS, film, joined, remuxed
from loopback.prepare.prepared import Outcome, assert_well_laid, prepare
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO
from streamferry.prepare.form import AudioForm, VideoForm
from streamferry.prepare.processing import FIRST, Normalize, Processing
from streamferry.wire.codecs import parse_video_header

STRICT = Processing.of_list(FIRST, form=None, silence=True, watermark=None)
COPY = Processing.of_list(Normalize.parse("copy"), form=None, silence=True, watermark=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films that differ in all, and one that differs from the first in its sound only."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "one.mp4")
    film(folder / "other.mp4", size="320x192", rate=44100, channels=1)
    film(folder / "mono.mp4", rate=44100, channels=1)
    return folder


def in_ts(folder: Path, *names: str) -> Path:
    parts = [remuxed(folder / f"{name}.mp4", folder / f"{name}.ts") for name in names]
    return joined(folder / f"{'-'.join(names)}.ts", *parts)


def in_hls(folder: Path, *names: str) -> Path:
    lines: list[str] = []
    for number, name in enumerate(names):
        path = hls.cut(folder / f"{name}.mp4", folder, name=f"{number}.m3u8", segment=f"{number}-%d.ts")
        skipped = ("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-TARGET", "#EXT-X-MEDIA-", "#EXT-X-PLAYLIST", "#EXT-X-ENDLIST")
        segments = [line for line in path.read_text().splitlines() if not line.startswith(skipped)]
        lines += [*(["#EXT-X-DISCONTINUITY"] if lines else []), *segments]
    return hls.write_playlist(folder / f"{'-'.join(names)}.m3u8", lines)


def in_flv(folder: Path, *names: str) -> Path:
    """As recorders that append to a file do."""
    parts = [remuxed(folder / f"{name}.mp4", folder / f"{name}.flv").read_bytes() for name in names]
    path = folder / f"{'-'.join(names)}-appended.flv"
    path.write_bytes(parts[0] + b"".join(part[13:] for part in parts[1:]))
    return path


def in_flvs(folder: Path, *names: str) -> Path:
    """Whole files one after the other."""
    parts = [remuxed(folder / f"{name}.mp4", folder / f"{name}.flv") for name in names]
    return joined(folder / f"{'-'.join(names)}.flv", *parts)


def in_flv_without_headers(folder: Path, *names: str) -> Path:
    """The stamps begin anew, and nothing repeats the headers: an encoder that was restarted behind a server."""
    parts = []
    for name in names:
        data = remuxed(folder / f"{name}.mp4", folder / f"{name}.flv").read_bytes()
        at, kept = 13, b""
        while at < len(data):
            end = at + 11 + int.from_bytes(data[at + 1 : at + 4]) + 4
            is_header = data[at] == 18 or tag_kind(data[at], data[at + 11 : end - 4]) == SEQUENCE_HEADER
            kept += b"" if is_header and parts else data[at:end]
            at = end
        parts.append(kept)
    path = folder / f"{'-'.join(names)}-bare.flv"
    path.write_bytes(data[:13] + b"".join(parts))
    return path


MAKERS = [in_ts, in_hls, in_flv, in_flvs]


def headers_of(outcome: Outcome, tag_type: int) -> set[bytes]:
    told = [bytes(body) for kind, _, body in outcome.headers if kind == tag_type]
    return {body for body in told if tag_kind(tag_type, body) == SEQUENCE_HEADER}


def assert_whole(outcome: Outcome, parts: int) -> None:
    """Every picture, the sound all along, in the time that they take, flashes and beeps together."""
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    pictures = [stamp for tag_type, stamp, _ in outcome.frames if tag_type == VIDEO]
    sounds = [stamp for tag_type, stamp, _ in outcome.frames if tag_type == AUDIO]
    assert len(pictures) == parts * SECONDS * FPS
    assert outcome.summary.duration_ms == pytest.approx(1000 * parts * SECONDS, abs=120 * parts)
    assert max(later - earlier for earlier, later in pairwise(pictures)) < 200
    assert max(later - earlier for earlier, later in pairwise(sounds)) < 200
    assert not outcome.summary.ended_early
    offsets = av_offsets_ms(outcome.flv)
    assert len(offsets) >= parts * SECONDS - 1
    assert max(map(abs, offsets)) < 45


@pytest.mark.parametrize("make", MAKERS, ids=lambda one: one.__name__)
def test_the_second_recording_went_on_under_the_header_of_the_first(
    folder: Path, tmp_path: Path, make: Callable[..., Path]
) -> None:
    """Copied with their own headers where that is asked for: sound was taken for another, or squeezed into a moment."""
    outcome = prepare(make(folder, "one", "other", "one"), tmp_path / "entry", processing=COPY)
    assert_whole(outcome, 3)
    assert (len(headers_of(outcome, VIDEO)), len(headers_of(outcome, AUDIO))) == (2, 2)
    assert outcome.summary.changes_headers


@pytest.mark.parametrize("make", MAKERS, ids=lambda one: one.__name__)
def test_a_list_gets_one_form_of_all_stretches(folder: Path, tmp_path: Path, make: Callable[..., Path]) -> None:
    """That of the first stretch, which is copied; the size changed in the midst of the stream."""
    outcome = prepare(make(folder, "one", "other"), tmp_path / "entry", processing=STRICT)
    assert_whole(outcome, 2)
    assert (outcome.summary.form.video, outcome.summary.form.audio) == (
        VideoForm("h264", 160, 96),
        AudioForm("aac", 48000, 2),
    )
    sizes = {(form.width, form.height) for form in map(parse_video_header, headers_of(outcome, VIDEO))}
    assert sizes == {(160, 96)}
    assert len(headers_of(outcome, AUDIO)) == 1


@pytest.mark.parametrize("make", [in_ts, in_hls, in_flv, in_flvs, in_flv_without_headers], ids=lambda one: one.__name__)
def test_two_recordings_of_one_form_stay_one(folder: Path, tmp_path: Path, make: Callable[..., Path]) -> None:
    """Nothing is encoded and no header changes; in FLV the second was squeezed into a quarter of a second."""
    outcome = prepare(make(folder, "one", "one"), tmp_path / "entry", processing=STRICT)
    assert_whole(outcome, 2)
    assert (len(headers_of(outcome, VIDEO)), len(headers_of(outcome, AUDIO))) == (1, 1)


def test_a_change_of_sound_alone(folder: Path, tmp_path: Path) -> None:
    """The picture's form goes on: only ADTS tells."""
    outcome = prepare(in_ts(folder, "one", "mono"), tmp_path / "entry", processing=COPY)
    assert_whole(outcome, 2)
    assert len(headers_of(outcome, AUDIO)) == 2


@pytest.mark.parametrize("make", [in_ts, in_flv], ids=lambda one: one.__name__)
def test_stretches_of_a_file_that_is_fetched(folder: Path, tmp_path: Path, make: Callable[..., Path]) -> None:
    """Byte by byte the same as from the disk."""
    path = make(folder, "one", "other")
    with HttpFiles(folder) as server:
        remote = prepare(server.url(path), tmp_path / "remote", processing=STRICT)
    local = prepare(path, tmp_path / "local", processing=STRICT)
    assert remote.summary == local.summary
    assert remote.entry.media.read_bytes() == local.entry.media.read_bytes()


def test_a_recording_that_ends_before_its_first_keyframe_is_left_out(folder: Path, tmp_path: Path) -> None:
    """What comes before it stays a copy: all of it was encoded, and its players had to begin anew."""
    last = remuxed(folder / "other.mp4", folder / "last.ts").read_bytes()
    tables = [at for at in range(0, len(last), 188) if last[at + 1] & 0x1F == last[at + 2] == 0]
    path = tmp_path / "broken-off.ts"
    path.write_bytes(in_ts(folder, "one").read_bytes() + last[tables[len(tables) * 3 // 4] :])
    outcome = prepare(path, tmp_path / "entry", processing=COPY)
    assert outcome.error == ""
    assert not (outcome.entry.path / "encode").exists()
    assert len([tag for tag in outcome.frames if tag[0] == VIDEO]) == SECONDS * FPS
    assert len(headers_of(outcome, VIDEO)) == 1
