"""What is wrong with the content as a cell of a run row: JSON, null where nothing is, or nobody runs the task."""

import json
from collections.abc import Sequence

from streamferry.reasons import Reason
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.status import Found
from streamferry.store.cells import read_json, read_time
from streamferry.tasks.times import to_ms


def dump_found(found: Sequence[Found]) -> str | None:
    """The cell."""
    if not found:
        return None
    told = {str(one.fault): {"since_ms": to_ms(one.since), "why": one.why.to_json()} for one in found}
    return json.dumps(told)


def read_found(cell: object) -> tuple[Found, ...]:
    """What a cell says; nothing for one that cannot be read."""
    if cell is None:
        return ()
    data = read_json(cell)
    try:
        return tuple(
            Found(ContentFault(fault), read_time(told["since_ms"]), Reason.from_json(told["why"]))
            for fault, told in data.items()
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
