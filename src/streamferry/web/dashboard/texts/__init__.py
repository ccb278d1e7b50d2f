"""The texts of the dashboard in each of its languages. One table per language; a test compares their keys."""

from collections.abc import Callable

from streamferry.reasons import Reason, sentence
from streamferry.web.dashboard.texts import en, zh

#: Language -> its own name, and the tag that browsers and Quasar know it by.
LANGUAGES = {"en": ("English", "en-US"), "zh": ("中文", "zh-CN")}
_TABLES = {"en": en.TEXTS, "zh": zh.TEXTS}

#: ``t("key", name=value)``: the text of a key, with values put in.
Translate = Callable[..., str]

#: Fields that sentences speak of, and the texts that are their labels.
_LABELS = {
    "start_at": "form.start",
    "end_at": "form.end",
    "destination": "form.destination",
    "loops": "form.loops",
    "play_times": "form.loops",
}
#: ``say(reason)``: what is wrong, as a sentence.
Say = Callable[[Reason], str]


def sayer(language: str) -> Say:
    """What is wrong, in a language, with the labels of the form for fields."""
    t = translator(language)

    def label_of(field: str) -> str:
        return t(_LABELS[field]) if field in _LABELS else field

    return lambda reason: sentence(reason.named(label_of), language, en.INSTEAD if language == "en" else {})


def translator(language: str) -> Translate:
    """The texts of a language. An unknown key is a KeyError: a mistake of ours."""
    table = _TABLES[language]

    def translate(key: str, **values: object) -> str:
        text = table[key]
        return text.format(**values) if values else text

    return translate
