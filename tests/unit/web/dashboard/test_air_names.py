"""What was on air is told in the reader's language: an event names it as the callbacks do."""

import pytest

from streamferry.web.dashboard.air_view import name_of_told
from streamferry.web.dashboard.texts import translator


@pytest.mark.parametrize(
    ("told", "english", "chinese"),
    [
        ("input 0", "The source", "来源"),
        ("input 3", "Input 3", "输入 3"),
        ("slate", "The slate", "垫片"),
        ("insert", "An inserted file", "插播文件"),
        ("of a newer version", "of a newer version", "of a newer version"),
    ],
)
def test_what_an_event_says_was_on_air_has_its_name(told: str, english: str, chinese: str) -> None:
    """Chinese readers were told ``input 0 → slate``."""
    assert name_of_told(told, translator("en")) == english
    assert name_of_told(told, translator("zh")) == chinese
