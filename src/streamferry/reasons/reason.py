"""A reason: a code and its parameters, as a value that travels between processes and into the store; and its sentence.

``sentence`` is the only place where sentences are put together.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self, Union

from streamferry.reasons.code import ReasonCode
from streamferry.reasons.codes import CODES, Code

#: What can be shown to anybody. A reason in a reason is the cause beneath it; a tuple is a list of words.
Value = Union[str, int, float, tuple[str, ...], "Reason"]

#: Parameters may hold words of peers, programs and files: no longer than this is needed to know what they mean.
MAX_VALUE_CHARS = 1000
#: Reasons within a reason that are read: ours hold a step, an error of the system and a cause or two. A damaged row may
#: nest more deeply than a sentence can be made of.
MAX_DEPTH = 16

_FURTHER_INPUT = re.compile(r"[Ii]nputs\[(\d+)\]")

#: By code. ``{name}`` in a sentence stands for a parameter, written as ``str.format`` writes it.
_SENTENCES = {str(code): code.sentences for code in CODES.values()}
_WORDS = {
    "en": {"and": " and ", "or": " or ", ",": ", "},
    "zh": {"and": "和", "or": "或", ",": "、"},
}


@dataclass(frozen=True, slots=True)
class Reason:
    """``code`` is one of :class:`Code`, or one of a newer version, for which there is no sentence here."""

    code: str
    params: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, code: ReasonCode, /, **params: Value) -> Self:
        """From a code and its parameters; text that is too long is cut."""
        return cls(code, {name: _bounded(value) for name, value in params.items()})

    @classmethod
    def text(cls, words: str) -> Self:
        """What has no code: a sentence of an older version, or of somebody else. It is the same in every language."""
        return cls.of(Code.TEXT, words=words)

    def __str__(self) -> str:
        """In English, as logs, the command line and the APIs say it."""
        return sentence(self)

    def __hash__(self) -> int:
        return hash((self.code, str(self)))

    def named(self, name_of: Callable[[str], str]) -> "Reason":
        """The same with the names that a front end has for fields: those in the parameters ``*field``."""
        return Reason(
            self.code,
            {key: name_of(str(value)) if key.endswith("field") else value for key, value in self.params.items()},
        )

    def about(self, name: "str | Reason") -> "Reason":
        """The same, said of something else: in place of the address or file that it names."""
        return Reason(self.code, {key: name if key in ("url", "name") else value for key, value in self.params.items()})

    def to_json(self) -> dict[str, Any]:
        """``{"code": ..., "params": {...}}``, with reasons among the parameters written alike and tuples as lists."""
        return {"code": str(self.code), "params": {name: _to_json(value) for name, value in self.params.items()}}

    @classmethod
    def from_json(cls, data: object, max_depth: int = MAX_DEPTH) -> Self:
        """Again from its JSON form. Raises ValueError for anything else."""
        match data:
            case {"code": str(code), "params": dict(params)} if max_depth > 0:
                return cls(code, {str(name): _from_json(value, max_depth - 1) for name, value in params.items()})
        raise ValueError("not the JSON form of a reason")

    def told(self) -> dict[str, Any]:
        """As part of what is told of something: the English sentence, and what it is made from."""
        made_from = self.to_json()
        return {"reason": str(self), "reason_code": made_from["code"], "reason_params": made_from["params"]}

    @classmethod
    def of_told(cls, told: Mapping[str, Any]) -> "Reason | None":
        """Again from :meth:`told`; of an older version, or damaged, its sentence as it is; None without one."""
        try:
            return cls.from_json({"code": told["reason_code"], "params": told["reason_params"]})
        except (KeyError, ValueError):
            return cls.text(str(told["reason"])) if told.get("reason") else None

    def dump(self) -> str:
        """Its JSON form as text."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> Self:
        """Again from :meth:`dump`. Raises ValueError."""
        try:
            return cls.from_json(json.loads(text))
        except RecursionError:
            raise ValueError("not the JSON form of a reason") from None


def sentence(reason: Reason, language: str = "en", instead: Mapping[str, str] = MappingProxyType({})) -> str:
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


#: What :meth:`Reason.told` would be for nothing.
NOT_TOLD: dict[str, Any] = {"reason": None, "reason_code": None, "reason_params": None}


class Reasoned(Exception):
    """An error that has a reason. ``str(error)`` is its English sentence."""

    def __init__(self, what: ReasonCode | Reason, /, **params: Value) -> None:
        """``what``: a code with its parameters, or the reason of another error."""
        self.why = what if isinstance(what, Reason) else Reason.of(what, **params)
        super().__init__(self.why)

    def __str__(self) -> str:
        return str(self.why)


class InvalidValue(Reasoned, ValueError):
    """A value that breaks a rule. The sentence does not repeat the value, which may be a secret."""


class InvalidPart(InvalidValue):
    """The same of one of several values: ``name`` says which, ``why`` what is wrong with it."""

    def __init__(self, name: str, what: ReasonCode | Reason, /, **params: Value) -> None:
        super().__init__(what, **params)
        self.name = name

    def __str__(self) -> str:
        return f"{said_field(self.name)}: {self.why}"


def said_field(path: str) -> str:
    """The path of a field for people: that of a further input with the number that it has everywhere else. The source
    is input 0, so that is one more than its place in the list."""
    found = _FURTHER_INPUT.match(path)
    return path if found is None else f"{path} (input {int(found[1]) + 1})"


def _bounded(value: Value) -> Value:
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
        return value[:MAX_VALUE_CHARS] + "…"
    return value


def _to_json(value: Value) -> object:
    if isinstance(value, Reason):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def _from_json(value: object, max_depth: int) -> Value:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return tuple(str(one) for one in value)
    return Reason.from_json(value, max_depth)
