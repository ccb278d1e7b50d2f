"""What pipx does with the package: a wheel, an environment with what it asks for and nothing else, the command."""

import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kit.programs import run

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def wanted(requirements: list[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of all distributions that these ask for, on this machine, and what those ask for."""
    found: set[str] = set()
    for line in requirements:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            found.add(one.name)
    return found


def closure(first: list[str]) -> set[str]:
    """The same, down to the last."""
    names, ahead = set[str](), [*wanted(first)]
    while ahead:
        name = ahead.pop()
        if name not in names:
            names.add(name)
            ahead += wanted(metadata.requires(name) or [], _extras(name))
    return names


def _extras(name: str) -> frozenset[str]:
    """As our own requirements name them."""
    asked = {Requirement(line).name: Requirement(line).extras for line in metadata.requires("streamferry") or []}
    return frozenset(asked.get(name, ())) | {""}


def test_the_wheel_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """All that it needs is declared, all files of the dashboard are in it, and a relay runs from it.

    What it asks for is not fetched again: it is linked from the environment of the tests.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], 120)
    (wheel,) = tmp_path.glob("streamferry-*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"])
    python, command = tmp_path / "venv/bin/python", tmp_path / "venv/bin/streamferry"
    run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel])
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    declared = [line for line in metadata.requires("streamferry") or [] if "extra ==" not in line]
    for name in closure(declared):
        one = metadata.distribution(name)
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(one.locate_file(top))))
    assert not list(site.glob("pytest*"))
    assert run([command, "--version"]).stdout.startswith("streamferry ")
    assert "ALL RIGHT" in run([command, "demo", "--seconds", "10"], 90).stdout
    program = "import streamferry.service.assembly, streamferry.web.dashboard as one; print(one.__path__[0])"
    folder = Path(run([python, "-I", "-c", program]).stdout.strip())
    assert folder.is_relative_to(tmp_path)
    ours = ROOT / "src/streamferry/web/dashboard/static"
    assert {path.name for path in ours.iterdir()} == {path.name for path in (folder / "static").iterdir()}
