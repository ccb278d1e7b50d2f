"""What a probe makes of files whose packets lack stamps, or whose stamps begin anew: never a crash, and the warning."""

from pathlib import Path

import pytest

from kit import programs
from kit.odd_files import SECONDS, film, remuxed, run
from streamferry.media.url import MediaUrl
from streamferry.prepare.probe import Probe, probe


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "ordinary.mp4")


def probed(path: Path) -> Probe:
    return probe(MediaUrl.parse(str(path)), programs.ffmpeg())


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (".mkv", ()),
        (".avi", ()),
        (".vob", ("-c:v", "mpeg2video", "-bf", "2", "-g", "25", "-c:a", "ac3")),
        (".h264", ("-an",)),
        (".flv", ()),
        (".ts", ()),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_probe_crashed_on_packets_without_stamps(
    ordinary: Path, tmp_path: Path, container: str, words: tuple[str, ...]
) -> None:
    """Matroska tells no DTS of B-frames, AVI no PTS, bare H.264 neither: what is known of them is told all the same."""
    clip = remuxed(ordinary, tmp_path / f"clip{container}", *words)
    found = probed(clip)
    assert found.inside.video is not None
    assert found.restarts == 0
    if container != ".h264":
        assert found.looked_s == pytest.approx(SECONDS, abs=0.2)
        assert found.gop_s == pytest.approx(1, abs=0.1)
        assert container == ".vob" or found.kbps == pytest.approx(probed(ordinary).kbps, rel=0.3)


def test_two_recordings_in_one_file_were_told_as_bad_interleaving(ordinary: Path, tmp_path: Path) -> None:
    """Where stamps begin anew nothing is compared: the warning says what it is, and how often."""
    once = remuxed(ordinary, tmp_path / "once.flv").read_bytes()
    twice = tmp_path / "twice.flv"
    twice.write_bytes(once + once[13:])
    found = probed(twice)
    assert (found.restarts, found.interleave_ms < 500) == (1, True)
    assert found.looked_s == pytest.approx(2 * SECONDS, abs=0.2)
    assert any("begin anew" in str(warning) for warning in found.warnings)
    assert not any("begin anew" in str(warning) for warning in probed(tmp_path / "once.flv").warnings)


def test_a_probe_warns_of_what_is_hidden_left_out_or_too_much(ordinary: Path, tmp_path: Path) -> None:
    """A trimmed film, one with two sounds, and one in six channels."""
    cut = run("-ss", "0.5", "-i", ordinary, "-c", "copy", path=tmp_path / "cut.mp4")
    found = probed(cut)
    assert any("hides 0.5 s" in str(warning) for warning in found.warnings)
    assert "video" in found.encodes
    both = run("-i", ordinary, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", path=tmp_path / "both.mkv")
    assert any("audio 2 (aac)" in str(warning) for warning in probed(both).warnings)
    six = run("-i", ordinary, "-c:v", "copy", "-af", "aformat=channel_layouts=5.1", path=tmp_path / "six.mkv")
    assert any("6 channels" in str(warning) for warning in probed(six).warnings)
