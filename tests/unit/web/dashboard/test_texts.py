"""The words of the dashboard."""

import re
from pathlib import Path
from string import Formatter

import pytest

from streamferry.reasons import Code, Reason, ReasonCode
from streamferry.web import dashboard
from streamferry.web.dashboard.texts import LANGUAGES, TEXTS, form_texts, page_texts, sayer, task_texts, translator
from streamferry.web.dashboard.texts.form_texts import INSTEAD_IN_ENGLISH

SOURCES = [path.read_text() for path in Path(dashboard.__file__).parent.glob("*.py")]


def test_texts_are_found_by_their_key() -> None:
    """In order, and each in one module."""
    tables = [module.TEXTS for module in (form_texts, page_texts, task_texts)]
    assert all(list(table) == sorted(table) for table in tables)
    assert sum(map(len, tables)) == len(TEXTS)
    assert all(len(texts) == len(LANGUAGES) and all(texts) for texts in TEXTS.values())


@pytest.mark.parametrize("key", TEXTS)
def test_values_have_their_places_in_each_language(key: str) -> None:
    """A text that takes a number takes it in every language."""
    names = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in TEXTS[key]]
    assert names[0] == names[1]


def test_no_text_is_missing_and_none_is_left_over() -> None:
    """What the pages ask for is there; what is there is asked for. Keys that are put together count by their stem."""
    written = set(re.findall(r'["\']([a-z_]+(?:\.[a-z_]+)?)["\']', "\n".join(SOURCES)))
    stems = set(re.findall(r'f["\']([a-z_]+\.)\{', "\n".join(SOURCES)))
    asked = set(re.findall(r'\bt\(\s*"([^"]+)"', "\n".join(SOURCES)))
    assert asked - set(TEXTS) == set()
    assert {key for key in TEXTS if key not in written and not key.startswith(tuple(stems))} == set()


def test_every_language_has_a_translator() -> None:
    """Which puts values in."""
    assert {translator(language)("tasks.selected", count=3) for language in LANGUAGES} == {"3 selected", "已选 3 个"}


def test_reasons_are_said_in_the_language_of_the_page() -> None:
    """With the causes in them; what an older version left as text stays as it is."""
    step = Reason.of(Code.STEP_CONNECTING, peer="push.example:1935")
    refused = Reason.of(Code.PEER_STEP_FAILED, step=step, why=Reason.of(Code.SYSTEM_REFUSED))
    assert sayer("zh")(refused) == "连接 push.example:1935 失败：连接被拒绝"
    assert sayer("zh")(Reason.text("something else: 1 or 2")) == "something else: 1 or 2"
    assert sayer("en")(refused) == str(refused) == "connecting to push.example:1935 failed: Connection refused"


def test_a_sentence_names_fields_by_their_labels() -> None:
    """The APIs have other names for them."""
    late = Reason.of(Code.FIELD_NOT_AFTER, field="start_at")
    assert {language: sayer(language)(late) for language in LANGUAGES} == {
        "en": "must be after Start",
        "zh": "须晚于开始时间",
    }
    assert {name for name in INSTEAD_IN_ENGLISH if not isinstance(name, ReasonCode)} == set()


@pytest.mark.parametrize("code", INSTEAD_IN_ENGLISH)
def test_sentences_for_people_have_the_same_values(code: ReasonCode) -> None:
    """Or fewer, but none that is not given."""
    given, used = (
        {name for _, name, _, _ in Formatter().parse(text) if name}
        for text in (code.sentences["en"], INSTEAD_IN_ENGLISH[code])
    )
    assert used <= given
