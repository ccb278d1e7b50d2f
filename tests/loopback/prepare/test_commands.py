"""``streamferry prepare``, ``cache`` and ``probe`` as a user runs them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import programs
from kit.clips import ClipFactory
from kit.forked import Forks
from kit.http_files import HttpFiles
from kit.unlike import ORDINARY, make


class Shell:
    """Runs commands with a cache of their own."""

    def __init__(self, forks: Forks, cache: Path) -> None:
        self._forks = forks
        self._environment = {"STREAMFERRY_CACHE_DIR": str(cache), "PATH": "", "COLUMNS": "200"}
        self.status = 0
        self.errors = ""

    def __call__(self, *words: object) -> str:
        done = self._forks.run([*map(str, words)], environment=self._environment)
        self.status, self.errors = done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("cache", "list", "--json").splitlines()]

    def probe(self, *words: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("probe", "--json", *words))
        return found


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Commands are forked from a process that has imported them, which would be most of what they cost."""
    commands = (f"streamferry.cli.{name}" for name in ("cache", "prepare", "probe", "relay"))
    with contextlib.closing(Forks("streamferry.cli", *commands)) as one:
        yield one


@pytest.fixture
def shell(forks: Forks, tmp_path: Path) -> Shell:
    return Shell(forks, tmp_path / "cache")


def test_the_cache_tells_where_its_files_came_from(shell: Shell, tmp_path: Path) -> None:
    """Nobody could tell which entry is which film. Of an address only what may be shown is kept."""
    (tmp_path / "web").mkdir()
    local, remote = make(ORDINARY, tmp_path), make(ORDINARY, tmp_path / "web")
    with HttpFiles(tmp_path / "web") as origin:
        url = origin.url(remote.name)
        shell("prepare", local)
        shell("prepare", f"{url}?token=planted-token")
    assert shell.status == 0, shell.errors
    shown = [entry["source"] for entry in shell.entries()]
    assert shown == [str(local), f"{url}?***"]
    listed = shell("cache", "list")
    assert str(local) in listed
    assert url in listed
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or b"planted-token" not in path.read_bytes(), path


def test_a_list_is_prepared_in_the_form_of_its_first(shell: Shell, tmp_path: Path) -> None:
    """Two unlike files, one form, and ``cache`` shows and removes them."""
    shell("prepare", make(ORDINARY, tmp_path), make("vp9.webm", tmp_path))
    assert shell.status == 0, shell.errors
    assert [entry["form"] for entry in shell.entries()] == ["h264 160x96, aac 48000 Hz 2 ch"] * 2
    assert "2 ch" in shell("cache", "list")
    assert "MB removed" in shell("cache", "clear")
    assert shell.entries() == []


def test_what_fails_is_told_and_the_rest_is_prepared(shell: Shell, tmp_path: Path) -> None:
    """The status is the source's fault."""
    shell("prepare", tmp_path / "none.mp4", make(ORDINARY, tmp_path))
    assert shell.status == 3
    assert "none.mp4 does not exist" in shell.errors
    assert [entry["state"] for entry in shell.entries()] == ["whole"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--normalize", "big"), "normalize: "),
        (("--watermark", "/etc/passwd"), "watermark picture: "),
        (("--watermark", "/no/such.png"), "watermark picture: "),
        (("--watermark", "/etc/passwd", "--watermark-pos", "middle"), "--watermark-pos: "),
    ],
)
def test_bad_options_are_refused_before_anything_starts(shell: Shell, words: tuple[str, ...], complaint: str) -> None:
    """With the name of what is wrong, in both commands that take them."""
    for command in (("prepare", "film.mp4"), ("relay", "film.mp4", "--vod", "--to", "rtmp://127.0.0.1:1/a/b")):
        shell(*command, *words)
        assert shell.status == 2
        assert complaint in shell.errors
    assert shell.entries() == []


def test_a_probe_tells_what_is_inside(shell: Shell, clips: ClipFactory) -> None:
    """Codecs, keyframes and B-frames of an ordinary film, with nothing to warn of but the B-frames."""
    found = shell.probe(clips("h264_bframes"))
    assert (found["container"], found["index_first"], found["encodes"]) == ("mp4", True, [])
    assert found["seconds"] == pytest.approx(3, abs=0.1)
    video = found["video"]
    assert (video["codec"], video["width"], video["frame_rate"]) == ("h264", 320, 25)
    assert video["keyframe_seconds"] == pytest.approx(1, abs=0.05)
    assert video["b_frames"]
    assert found["audio"] == {"codec": "aac", "rate_hz": 48000, "channels": 2}
    (warning,) = found["warnings"]
    assert "B-frames" in warning
    assert not shell.probe(clips("h264_no_bframes", ".ts"))["video"]["b_frames"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vp9.webm", ["(vp9, yuv420p) is encoded", "(opus) is encoded"]),
        ("no_audio.mp4", ["There is no sound"]),
        ("interlaced.ts", ["interlaced"]),
        ("rotated.mp4", ["to be turned by"]),
        ("anamorphic.mp4", ["not square"]),
        ("ten_bits.mp4", ["yuv420p10le"]),
    ],
)
def test_a_probe_warns(shell: Shell, tmp_path: Path, name: str, words: list[str]) -> None:
    """In words that a streamer understands, one for each thing to know."""
    warnings = shell.probe(make(name, tmp_path))["warnings"]
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_a_probe_measures_keyframes_and_interleave(shell: Shell, tmp_path: Path) -> None:
    """Keyframes 10 s apart, and all the sound behind all the picture."""
    inputs = ("-f", "lavfi", "-t", "30", "-i", "testsrc2=size=160x90:rate=5", "-f", "lavfi", "-t", "30", "-i", "sine")
    clip = tmp_path / "uninterleaved.mp4"
    coding = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "50", "-sc_threshold", "0", "-bf", "0", "-c:a", "aac")
    muxing = ("-movflags", "+faststart", "-max_interleave_delta", "0", "-chunk_duration", "60000000")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", *inputs, *coding, *muxing, clip])
    with HttpFiles(tmp_path) as server:
        found = shell.probe(server.url(clip))
    assert found["video"]["keyframe_seconds"] == pytest.approx(10, abs=0.3)
    assert found["interleave_ms"] > 5000
    assert ["apart in the file" in found["warnings"][0], "Keyframes are up to 10" in found["warnings"][1]] == [True] * 2


def test_the_order_of_a_file_is_told_of_servers_only(shell: Shell, clips: ClipFactory, http_files: HttpFiles) -> None:
    """An index at the end costs nothing on a disk, and is no reason for a warning there."""
    clip = clips("moov_at_end")
    assert "index" in " ".join(shell.probe(http_files.url(clip))["warnings"])
    assert "index" not in " ".join(shell.probe(clip)["warnings"])
    assert "index" not in shell("probe", clip)


def test_a_probe_reads_no_more_than_it_needs(shell: Shell, clips: ClipFactory, http_files: HttpFiles) -> None:
    """A slow server is left as soon as the asked-for part is there; its token is not shown."""
    http_files.bytes_per_second = 40_000
    found = shell.probe(http_files.url(clips("h264_no_bframes")) + "?token=planted-secret", "--seconds", "1")
    assert found["looked_seconds"] < 2
    assert http_files.body_bytes < clips("h264_no_bframes").stat().st_size
    assert "planted-secret" not in json.dumps(found)


def test_what_is_not_media_is_the_sources_fault(shell: Shell, clips: ClipFactory) -> None:
    """Status 3 and a sentence; live addresses are no files."""
    shell("probe", clips("not_media"))
    assert shell.status == 3
    assert "is not media we can read" in shell.errors
    shell("probe", "rtmp://host/app/key")
    assert shell.status == 2
