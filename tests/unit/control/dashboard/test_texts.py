"""The words of the dashboard."""

import re
from pathlib import Path
from string import Formatter

import pytest

from streamferry.control import dashboard
from streamferry.control.dashboard.texts import LANGUAGES, en, translator, zh

SOURCES = [path.read_text() for path in Path(dashboard.__file__).parent.glob("*.py")]


def test_every_language_has_the_same_keys() -> None:
    """In order, so that two tables can be read side by side."""
    assert list(en.TEXTS) == sorted(en.TEXTS)
    assert list(zh.TEXTS) == list(en.TEXTS)


@pytest.mark.parametrize("key", list(en.TEXTS))
def test_values_have_their_places_in_each_language(key: str) -> None:
    """A text that takes a number takes it in every language."""
    names = [{name for _, name, _, _ in Formatter().parse(table[key]) if name} for table in (en.TEXTS, zh.TEXTS)]
    assert names[0] == names[1]


def test_no_text_is_missing_and_none_is_left_over() -> None:
    """What the pages ask for is there; what is there is asked for. Keys that are put together count by their stem."""
    written = set(re.findall(r'["\']([a-z_]+(?:\.[a-z_]+)?)["\']', "\n".join(SOURCES)))
    stems = set(re.findall(r'f["\']([a-z_]+\.)\{', "\n".join(SOURCES)))
    asked = set(re.findall(r'\bt\(\s*"([^"]+)"', "\n".join(SOURCES)))
    assert asked - set(en.TEXTS) == set()
    assert {key for key in en.TEXTS if key not in written and not key.startswith(tuple(stems))} == set()


def test_every_language_has_a_translator() -> None:
    """Which puts values in."""
    assert {translator(language)("tasks.selected", count=3) for language in LANGUAGES} == {"3 selected", "已选 3 个"}
