"""The table of platforms names tests: those there are."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs/howto/platforms/index.md"
TWINS = TESTS / "loopback/relay/test_platforms.py"
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def named() -> set[str]:
    """Tests in the table, parameters included."""
    return set(re.findall(r"`(test_[\w]+(?:\[[\w-]+\])?)`", PAGE.read_text()))


def test_what_is_said_to_be_tested_is() -> None:
    """And each twin is told of."""
    everything = {name for path in TESTS.rglob("test_*.py") for name in _DEFINED.findall(path.read_text())}
    functions = {name.partition("[")[0] for name in named()}
    assert functions - everything == set()
    assert set(_DEFINED.findall(TWINS.read_text())) - functions == set()


def test_each_form_of_address_is_in_the_table() -> None:
    """Under the name that the test has for it."""
    shown = TWINS.read_text().partition("SHOWN = {")[2].partition("\n}")[0]
    forms = set(re.findall(r'^    "([\w-]+)":', shown, re.MULTILINE))
    assert forms == {name.partition("[")[2].rstrip("]") for name in named() if "[" in name}


def test_each_platform_has_a_section() -> None:
    """With what it documents."""
    page = PAGE.read_text()
    rows = re.findall(r"^\| ([A-Z][\w ]*?)(?:, \w+)? \|", page, re.MULTILINE)
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert sorted(set(rows)) == sorted(sections)
