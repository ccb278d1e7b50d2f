"""What is wrong with the content, what of it cannot be watched, and which inputs could not be shown, as cells of a run
row: JSON, null where nothing is, or nobody runs the task.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from streamferry.reasons import Reason
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.status import Found, Sense, Unready, Unseen
from streamferry.store.cells import read_json, read_time
from streamferry.tasks.times import to_ms

_T = TypeVar("_T")


def dump_found(found: Sequence[Found]) -> str | None:
    """The cell."""
    return _dump((one.fault, one.since, one.why) for one in found)


def read_found(cell: object) -> tuple[Found, ...]:
    """What a cell says; nothing for one that cannot be read."""
    return _read(cell, lambda fault, since, why: Found(ContentFault(fault), since, why))


def dump_unseen(unseen: Sequence[Unseen]) -> str | None:
    """The cell."""
    return _dump((one.sense, one.since, one.why) for one in unseen)


def read_unseen(cell: object) -> tuple[Unseen, ...]:
    """What a cell says; nothing for one that cannot be read."""
    return _read(cell, lambda sense, since, why: Unseen(Sense(sense), since, why))


def dump_unready(unready: Sequence[Unready]) -> str | None:
    """The cell."""
    return json.dumps({str(one.which): one.why.to_json() for one in unready}) if unready else None


def read_unready(cell: object) -> tuple[Unready, ...]:
    """What a cell says; nothing for one that cannot be read."""
    if cell is None:
        return ()
    data = read_json(cell)
    try:
        return tuple(Unready(int(which), Reason.from_json(why)) for which, why in data.items())
    except (AttributeError, TypeError, ValueError):
        return ()


def _dump(told: Iterable[tuple[str, datetime, Reason]]) -> str | None:
    cell = {str(what): {"since_ms": to_ms(since), "why": why.to_json()} for what, since, why in told}
    return json.dumps(cell) if cell else None


def _read(cell: object, make: Callable[[str, datetime, Reason], _T]) -> tuple[_T, ...]:
    if cell is None:
        return ()
    data = read_json(cell)
    try:
        return tuple(
            make(what, read_time(told["since_ms"]), Reason.from_json(told["why"])) for what, told in data.items()
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
