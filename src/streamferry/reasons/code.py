"""``ReasonCode``: one thing that can be wrong, and what is said of it in each language."""

from typing import Self

LANGUAGES = ("en", "zh")


class ReasonCode(str):
    """As the store and the APIs write it, ``source.silent``: it never changes its meaning.

    ``sentences``: by language, with the same parameters in each; see ``sentence``.
    """

    sentences: dict[str, str]

    def __new__(cls, code: str, en: str, zh: str) -> Self:
        made = super().__new__(cls, code)
        made.sentences = {"en": en, "zh": zh}
        return made

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        return str(self), self.sentences["en"], self.sentences["zh"]
