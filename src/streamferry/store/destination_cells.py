"""How each of several destinations is doing, as the text in a run row. No secrets: a destination is told by its id."""

import json
from collections.abc import Sequence

from streamferry.media.errors import Fault
from streamferry.reasons import Reason
from streamferry.relay.status import DestinationStatus, State
from streamferry.store.cells import read_json, read_member, read_number
from streamferry.store.records import DestinationRecord


def write(statuses: Sequence[DestinationStatus]) -> str | None:
    """None for none."""
    if not statuses:
        return None
    return json.dumps(
        [
            {
                "id": int(one.id),
                "state": one.state.value,
                "kbps_out": one.kbps_out,
                "bytes_out": one.bytes_out,
                "dropped_tags": one.dropped_tags,
                "lost_ms": one.lost_ms,
                "retries": one.retries,
                "rtt_ms": one.rtt_ms,
                "fault": one.fault.value if one.fault else None,
                "why": one.why.dump() if one.why else None,
                "in_trouble": one.trouble is not None,
            }
            for one in statuses
        ],
        separators=(",", ":"),
    )


def read(text: object) -> tuple[DestinationRecord, ...]:
    """What is damaged, or of a newer version, is left out."""
    found = read_json(text)
    if not isinstance(found, list):
        return ()
    return tuple(_record(one) for one in found if isinstance(one, dict) and isinstance(one.get("id"), int))


def _record(one: dict[str, object]) -> DestinationRecord:
    rtt_ms, fault = one.get("rtt_ms"), one.get("fault")
    return DestinationRecord(
        read_number(one["id"]),
        read_member(State, one.get("state"), State.FAILED),
        read_number(one.get("kbps_out")),
        read_number(one.get("bytes_out")),
        read_number(one.get("dropped_tags")),
        read_number(one.get("lost_ms")),
        read_number(one.get("retries")),
        float(rtt_ms) if isinstance(rtt_ms, int | float) else None,
        None if fault is None else read_member(Fault, fault, Fault.SERVICE).value,
        _reason(one.get("why")),
        bool(one.get("in_trouble")),
    )


def _reason(dumped: object) -> Reason | None:
    if not isinstance(dumped, str):
        return None
    try:
        return Reason.load(dumped)
    except ValueError:
        return None
