"""A file tells the length of its longest track. It counts only where that is one of those that are played."""

from pathlib import Path

import pytest

from kit.odd_files import film, run
from loopback.prepare.prepared import prepare
from streamferry.prepare.form import AudioForm, Form
from streamferry.prepare.processing import FIRST, Processing

SOUND_ALONE = Processing.of_list(FIRST, form=Form(None, AudioForm("aac", 48000, 2)), silence=True, watermark=None)


def test_short_sound_of_a_film_in_a_list_of_sound_ended_before_its_own_end(tmp_path: Path) -> None:
    """The picture is left out, and that it lasts longer is no loss."""
    path = film(tmp_path / "film.mp4", seconds=3, sound_seconds=0.6)
    summary = prepare(path, tmp_path / "entry", processing=SOUND_ALONE).summary
    assert (summary.ended_early, summary.claimed_ms) == (False, 0)
    assert 600 <= summary.duration_ms < 700


@pytest.mark.parametrize("container", [".mp4", ".mkv"])
def test_words_that_last_longer_than_the_film(tmp_path: Path, container: str) -> None:
    """Subtitles, as they stay on the screen after the end, are not played."""
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:09,000\nThe end\n")
    film(tmp_path / "film.mp4", seconds=1)
    path = tmp_path / f"subtitled{container}"
    kind = "mov_text" if container == ".mp4" else "srt"
    run("-i", tmp_path / "film.mp4", "-i", words, "-map", "0", "-map", "1", "-c", "copy", "-c:s", kind, path=path)
    summary = prepare(path, tmp_path / "entry").summary
    assert (summary.ended_early, summary.claimed_ms) == (False, 0)


def test_another_language_that_lasts_longer(tmp_path: Path) -> None:
    """Of several sounds one is played."""
    film(tmp_path / "film.mp4", seconds=1)
    film(tmp_path / "sound.m4a", seconds=0, sound_seconds=4)
    inputs = ("-i", tmp_path / "film.mp4", "-i", tmp_path / "sound.m4a")
    path = run(*inputs, "-map", "0", "-map", "1", "-c", "copy", path=tmp_path / "two.mp4")
    summary = prepare(path, tmp_path / "entry").summary
    assert (summary.ended_early, summary.claimed_ms) == (False, 0)
