"""Values of rows, or a harmless substitute if a row is damaged.

Only for descriptive values (numbers, events, tags). What decides what is pushed where is never guessed: see
``spec_json``.
"""

import json
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from streamferry.reasons import Reason
from streamferry.tasks.times import from_ms

_Member = TypeVar("_Member", bound=Enum)
#: Stands for a JSON object that cannot be read.
DAMAGED: dict[str, Any] = {"unreadable": True}
_EPOCH = datetime.fromtimestamp(0, UTC)
#: Objects and lists within each other that are read. Ours are less than 40, for a reason of ``reasons.MAX_DEPTH`` is
#: twice that many; a damaged row may nest more deeply than an answer can be written.
_MAX_DEPTH = 64


def read_number(value: object) -> int:
    """An integer of 0 or more; 0 for anything else."""
    return value if isinstance(value, int) and value >= 0 else 0


def read_time(ms: object) -> datetime:
    """An aware UTC time; the epoch if it is not one."""
    try:
        return from_ms(ms) if isinstance(ms, int) else _EPOCH
    except (ValueError, OverflowError, OSError):
        return _EPOCH


def read_member(kind: type[_Member], value: object, otherwise: _Member) -> _Member:
    """The enum member of that value; ``otherwise`` if it is from a newer version, or damaged."""
    try:
        return kind(value)
    except ValueError:
        return otherwise


def read_json(text: object) -> Any:
    """The value of a JSON text; None if it is not JSON, or nests more than ``_MAX_DEPTH`` deep."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if _is_within(value, _MAX_DEPTH) else None


def _is_within(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_within(one, depth - 1) for one in inner)


def read_object(text: object) -> dict[str, Any]:
    """A JSON object, or ``DAMAGED``."""
    value = read_json(text)
    return value if isinstance(value, dict) else dict(DAMAGED)


def read_reason(text: object, made_from: object) -> Reason | None:
    """A reason from its two columns: its English sentence and its JSON form, which older versions did not write."""
    if not text:
        return None
    try:
        return Reason.load(str(made_from))
    except ValueError:
        return Reason.text(str(text))


def reason_cells(why: Reason | None, prefix: str = "", name: str = "reason") -> dict[str, object]:
    """The two columns of a reason; ``prefix``: before their names."""
    return {
        f"{prefix}{name}": None if why is None else str(why),
        f"{prefix}{name}_json": None if why is None else why.dump(),
    }
