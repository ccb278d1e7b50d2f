"""What the service says is wrong, in other languages. It speaks English; a sentence that is not here stays so."""

import re
from collections.abc import Callable

from streamferry.control.dashboard.texts.zh_reasons import REASONS

#: ``reasons(sentence)``: the same in the visitor's language.
Reasons = Callable[[str], str]


def reasons_in(language: str) -> Reasons:
    """The translation for a language."""
    if language != "zh":
        return lambda sentence: sentence
    return _translate


def reason_of(error: Exception) -> str:
    """What is wrong, without the name of the field in front: a page shows it where the field is."""
    return str(error).removeprefix(f"{getattr(error, 'field', None)}: ")


def _translate(sentence: str) -> str:
    """Values in a sentence may be sentences themselves."""
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(sentence):
            return words.format(*(_translate(value).replace(" or ", " 或 ") for value in found.groups()))
    return sentence


_PATTERNS = [(re.compile(re.escape(text).replace(r"\{\}", "(.+?)")), words) for text, words in REASONS.items()]
