"""The texts of the dashboard in each of its languages: a module for each subject, with all languages side by side."""

from collections.abc import Callable

from streamferry.reasons import Reason, sentence
from streamferry.web.dashboard.texts import form_texts, page_texts, task_texts

#: Language -> its own name, and the tag that browsers and Quasar know it by.
LANGUAGES = {"en": ("English", "en-US"), "zh": ("中文", "zh-CN")}
#: Key -> the text in each of them, in that order.
TEXTS = {**form_texts.TEXTS, **page_texts.TEXTS, **task_texts.TEXTS}

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

    instead = form_texts.INSTEAD_IN_ENGLISH if language == "en" else {}
    return lambda reason: sentence(reason.named(label_of), language, instead)


def translator(language: str) -> Translate:
    """The texts of a language. An unknown key is a KeyError: a mistake of ours."""
    place = list(LANGUAGES).index(language)

    def translate(key: str, **values: object) -> str:
        text = TEXTS[key][place]
        return text.format(**values) if values else text

    return translate
