"""What is on air as a cell of a run row: JSON, null where a task has one source and no slate, or nobody runs it."""

import json

from streamferry.reasons import Reason
from streamferry.relay.status import OnAir, Shown
from streamferry.store.cells import read_json, read_time
from streamferry.tasks.times import to_ms


def dump_on_air(on_air: OnAir | None) -> str | None:
    """The cell."""
    if on_air is None:
        return None
    told = {"shown": str(on_air.shown), "input": on_air.input, "since_ms": to_ms(on_air.since)}
    return json.dumps(told | {"why": on_air.why.to_json(), "file": on_air.file})


def read_on_air(cell: object) -> OnAir | None:
    """What a cell says; None for one that cannot be read."""
    data = read_json(cell)
    try:
        number = data.get("input")
        number = number if isinstance(number, int) else None
        why, file = Reason.from_json(data["why"]), str(data.get("file", ""))
        return OnAir(Shown(data["shown"]), read_time(data["since_ms"]), why, number, file)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
