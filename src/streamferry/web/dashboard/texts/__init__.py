"""The texts of the dashboard in each of its languages. One table per language; a test compares their keys."""

from collections.abc import Callable

from streamferry.web.dashboard.texts import en, zh

#: Language -> its own name, and the tag that browsers and Quasar know it by.
LANGUAGES = {"en": ("English", "en-US"), "zh": ("中文", "zh-CN")}
_TABLES = {"en": en.TEXTS, "zh": zh.TEXTS}

#: ``t("key", name=value)``: the text of a key, with values put in.
Translate = Callable[..., str]


def translator(language: str) -> Translate:
    """The texts of a language. An unknown key is a KeyError: a mistake of ours."""
    table = _TABLES[language]

    def translate(key: str, **values: object) -> str:
        text = table[key]
        return text.format(**values) if values else text

    return translate
