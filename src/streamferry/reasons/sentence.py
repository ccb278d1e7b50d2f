"""From a code and parameters to a sentence. The only place where sentences are put together."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from streamferry.reasons.codes import CODES

if TYPE_CHECKING:
    from streamferry.reasons.reason import Reason

#: By code. ``{name}`` in a sentence stands for a parameter, written as ``str.format`` writes it.
_SENTENCES = {str(code): code.sentences for code in CODES.values()}
_WORDS = {
    "en": {"and": " and ", "or": " or ", ",": ", "},
    "zh": {"and": "和", "or": "或", ",": "、"},
}


def sentence(reason: "Reason", language: str = "en", instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """The sentence; ``instead``: by code, those that a front end has of its own.

    What cannot be said in ``language``, as a code of a newer version, is told by code and values. Never raises: it is
    called where something is wrong already.
    """
    template = instead.get(reason.code) or _SENTENCES.get(reason.code, {}).get(language)
    if template is not None:
        values = {name: _shown(value, language) for name, value in reason.params.items()}
        try:
            return template.format_map(values)
        except (KeyError, ValueError, IndexError, AttributeError, TypeError):
            pass  # Parameters of another version.
    told = ", ".join(f"{name}={_shown(value, language)}" for name, value in reason.params.items())
    return f"{reason.code} ({told})" if told else str(reason.code)


def _shown(value: Any, language: str) -> Any:
    if isinstance(value, tuple):
        return _Listed(value, language)
    return value if isinstance(value, str | int | float) else sentence(value, language)


@dataclass(frozen=True, slots=True)
class _Listed:
    """``{names}``: all with commas; ``{names:or}`` and ``{names:and}``: with that word before the last."""

    words: tuple[str, ...]
    language: str

    def __format__(self, spec: str) -> str:
        between = _WORDS[self.language]
        if not spec or len(self.words) < 2:
            return between[","].join(self.words)
        return between[","].join(self.words[:-1]) + between[spec] + self.words[-1]

    def __str__(self) -> str:
        return format(self, "")
