"""What lies outside of the allowed folders nobody learns, whichever way a path takes through it."""

import itertools
from pathlib import Path

import pytest

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceRejected
from streamferry.net.folders import EVERYWHERE, Folders

#: What may stand at ``outside/X``.
KINDS = ("nothing", "folder", "file", "link into the library", "link to nowhere")
#: Ways from ``library`` through ``outside/X`` to a file that may be read, to one that is not there, and out.
WAYS = tuple(
    f"{through}/{to}"
    for through, to in itertools.product(
        ("../outside/X/..", "../outside/X/../X/..", "./inner/../../outside/X/..", "..//outside/X/.."),
        ("../library/a.ts", "../library/none.ts", "../library/inner", "none", "../library/../outside/none"),
    )
)


def lay(base: Path, kind: str) -> Path:
    """A library, and beside it what is none of its readers' business."""
    library, outside = base / "library", base / "outside"
    (library / "inner").mkdir(parents=True)
    outside.mkdir()
    (library / "a.ts").write_text("a film")
    there = outside / "X"
    if kind == "folder":
        there.mkdir()
    elif kind == "file":
        there.touch()
    elif kind != "nothing":
        there.symlink_to(library / "inner" if kind == "link into the library" else base / "nowhere")
    return library


def told(library: Path, way: str) -> str:
    """What is learnt of a path."""
    try:
        Folders.of([library]).check(f"{library}/{way}", "file:x")
    except (SourceForbidden, SourceMissing, SourceRejected) as error:
        return f"{type(error).__name__} {error}".replace(str(library), "LIBRARY")
    return "may be read"


@pytest.mark.parametrize("way", WAYS)
def test_a_way_through_a_folder_told_whether_it_is_there(tmp_path: Path, way: str) -> None:
    """The kernel went through it to find out where the path ends."""
    answers = {told(lay(tmp_path / str(number), kind), way) for number, kind in enumerate(KINDS)}
    assert len(answers) == 1, answers
    assert ("may be read" in answers) == way.endswith("/library/a.ts")


def test_a_command_reads_paths_as_the_shell_does(tmp_path: Path) -> None:
    """Who may read everything has named a link on purpose: behind it .. is its target's parent."""
    (tmp_path / "far" / "folder").mkdir(parents=True)
    (tmp_path / "far" / "a.ts").touch()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "folder")
    EVERYWHERE.check(f"{tmp_path}/link/../a.ts", "a.ts")
