"""The project keeps its own word: documents name what exists, and every command is documented."""

import re
from pathlib import Path

import pytest

from streamferry.cli.commands import load_all

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
# A path in backquotes: one of our directories, then anything without a space or a placeholder.
_PATH = re.compile(r"`((?:src|tests|docs|bench|fuzz|scripts|examples|\.ci)(?:/[\w./-]+)?)`")
_ONE_PAGE_LINES = 80
_MODULE_LINES = 400


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_paths_a_document_names_exist(name: str) -> None:
    """A path in backquotes that begins with one of our directories is there."""
    named = _PATH.findall((ROOT / name).read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_architecture_names_every_package_on_one_page() -> None:
    """No package is left out of the picture, and the picture stays small."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = {path.parent.name for path in (ROOT / "src/streamferry").glob("*/__init__.py")}
    assert packages == {Path(path).name for path in _PATH.findall(text) if path.count("/") == 2 and "." not in path}
    assert len(text.splitlines()) <= _ONE_PAGE_LINES


def test_readme_documents_exactly_the_commands_there_are() -> None:
    """Every command is in the README, and the README shows no command that is not."""
    shown = set(re.findall(r"\bstreamferry ([a-z]+)\b", _code_of(ROOT / "README.md")))
    assert shown == set(_commands())


def test_documents_name_only_options_there_are() -> None:
    """Every long option beside a streamferry command in the README or the security page belongs to a command."""
    known = {option for command in _commands().values() for option in command}
    for name in ("README.md", "SECURITY.md"):
        shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", _code_of(ROOT / name)))
        assert shown <= known | {"--help"}, name


def test_make_targets_are_documented() -> None:
    """CONTRIBUTING shows every make target that help shows, and none that is not there."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)) - {"help", "clean"}
    shown = set(re.findall(r"`make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert shown == targets


def test_no_module_has_more_than_400_lines() -> None:
    """CONTRIBUTING says so: at 400 lines there is a place to split."""
    long = {path.name: lines for path in (ROOT / "src").rglob("*.py") if (lines := _lines_of(path)) > _MODULE_LINES}
    assert long == {}


def test_test_files_have_names_of_their_own() -> None:
    """pytest takes two files of one name in folders without ``__init__.py`` for one module, and collects neither."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts]
    assert sorted(set(names)) == sorted(names)


def test_decision_notes_have_numbers_of_their_own() -> None:
    """The number in a note's name is the one in its title, and none is there twice."""
    notes = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert len({path.name[:4] for path in notes}) == len(notes)
    assert [path.read_text()[:8] for path in notes] == [f"# {path.name[:4]}: " for path in notes]


def test_the_decision_notes_that_code_and_pages_name_exist() -> None:
    """A note that was renumbered is found from everywhere."""
    pages = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py"), *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bdecisions/(\d{4}-[\w-]+\.md)", page.read_text())}
    assert named
    assert [name for name in sorted(named) if not (ROOT / "docs/decisions" / name).exists()] == []


def _lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def _commands() -> dict[str, set[str]]:
    """Command name -> its long options."""
    return {
        name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, command in load_all().items()
    }


def _code_of(path: Path) -> str:
    """What stands in backquotes, on a line or in a block."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.S))
