"""Values of rows as they should be, or the nearest harmless thing: what a row tells of itself may be damaged.

For what only describes (numbers, events, tags). What decides what is pushed where is never guessed: see ``spec``.
"""

import json
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from streamferry.tasks.times import from_ms

_Member = TypeVar("_Member", bound=Enum)
#: Stands for what cannot be read of a JSON object.
DAMAGED: dict[str, Any] = {"unreadable": True}
_EPOCH = datetime.fromtimestamp(0, UTC)


def read_number(value: object) -> int:
    """A whole number of 0 or more; 0 for anything else."""
    return value if isinstance(value, int) and value >= 0 else 0


def read_time(ms: object) -> datetime:
    """An aware UTC time; the epoch for what is none."""
    try:
        return from_ms(ms) if isinstance(ms, int) else _EPOCH
    except (ValueError, OverflowError, OSError):
        return _EPOCH


def read_member(kind: type[_Member], value: object, otherwise: _Member) -> _Member:
    """The member of that value; ``otherwise`` for one of a newer version, or damaged."""
    try:
        return kind(value)
    except ValueError:
        return otherwise


def read_json(text: object) -> Any:
    """What a text of JSON holds; None for what is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def read_object(text: object) -> dict[str, Any]:
    """A JSON object, or ``DAMAGED``."""
    value = read_json(text)
    return value if isinstance(value, dict) else dict(DAMAGED)
