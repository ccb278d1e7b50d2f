"""The words of the dashboard."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import streamferry
from streamferry.web import dashboard
from streamferry.web.dashboard.texts import LANGUAGES, en, translator, zh
from streamferry.web.dashboard.texts.reasons import reasons_in
from streamferry.web.dashboard.texts.zh_reasons import REASONS, SYSTEM

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


def said() -> set[str]:
    """Every text in our code, with ``{}`` for each value that is put in."""
    found = set()
    for path in Path(streamferry.__file__).parent.rglob("*.py"):
        if path.parent.name == "texts":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_what_is_translated_is_what_is_said() -> None:
    """A sentence that is changed in the code has its translation changed with it."""
    texts = said()
    # Some have numbers put in where they are said, and not here.
    patterns = [re.escape(text).replace(r"\{\}", ".+") for text in texts if len(text.replace("{}", "").strip()) > 11]
    left_over = {
        key
        for key in REASONS.keys() - SYSTEM.keys()
        if not any(key in text for text in texts) and not any(re.search(pattern, key) for pattern in patterns)
    }
    assert left_over == set()


def test_reasons_are_translated_with_the_values_in_them() -> None:
    """Also those that are made of two; what is not known stays as it is."""
    reasons = reasons_in("zh")
    refused = "connecting to push.example:1935 failed: Connection refused"
    assert reasons(refused) == "连接 push.example:1935 失败：连接被拒绝"
    assert reasons("the source was not ready in time") == "来源未能按时就绪"
    assert reasons("something else: 1 or 2") == "something else: 1 or 2"
    assert reasons_in("en")(refused) == refused
