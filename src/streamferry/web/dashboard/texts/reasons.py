"""What the service says is wrong, in other languages. It speaks English; a sentence that is not here stays so."""

import re
from collections.abc import Callable

from streamferry.web.dashboard.texts import en_reasons, zh_reasons

#: ``reasons(sentence)``: the same in the visitor's language.
Reasons = Callable[[str], str]


def reasons_in(language: str) -> Reasons:
    """The translation for a language; English says the same for people where the APIs speak of their fields."""
    patterns = _PATTERNS[language]

    def translate(sentence: str) -> str:
        """Values in a sentence may be sentences themselves."""
        for pattern, words in patterns:
            if found := pattern.fullmatch(sentence):
                values = (translate(value) for value in found.groups())
                return words.format(*(one.replace(" or ", " 或 ") if language == "zh" else one for one in values))
        return sentence

    return translate


def reason_of(error: Exception) -> str:
    """What is wrong, without the name of the field in front: a page shows it where the field is."""
    return str(error).removeprefix(f"{getattr(error, 'field', None)}: ")


_PATTERNS = {
    language: [(re.compile(re.escape(text).replace(r"\{\}", "(.+?)")), words) for text, words in table.items()]
    for language, table in (("en", en_reasons.REASONS), ("zh", zh_reasons.REASONS))
}
