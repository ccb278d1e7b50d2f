"""Rows of tasks with their specs and runs, as records. A row that cannot be read fails its own task, and no other.

How they are found and changed: ``tasks`` and ``assignments``.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay.spec import ENDLESS, LEAD_MS
from streamferry.relay.status import Playhead, State, Trouble
from streamferry.store import destination_cells, freshness
from streamferry.store.cells import read_member, read_number, read_reason, read_time
from streamferry.store.database import now_ms
from streamferry.store.followed_orders import marked
from streamferry.store.found import read_found, read_unready, read_unseen
from streamferry.store.on_air import read_on_air
from streamferry.store.places import PLAYED_ON_MS, item_ends_of, position_of
from streamferry.store.records import TaskRecord, TroubleRecord
from streamferry.store.schema import mailbox, picture, run, task, task_spec
from streamferry.store.seal import Seal, SealBroken
from streamferry.store.spec_json import Unreadable, parse_spec, stand_in
from streamferry.tasks.model import ContinueStrategy, TaskKind, TaskSpec
from streamferry.tasks.schedule import decide_playhead

#: All columns of tasks and their runs, except the callback and the bytes of the watermark's picture.
_TASK_AND_RUN = (
    task.join(task_spec, task_spec.c.task_id == task.c.id)
    .join(run, run.c.task_id == task.c.id)
    .outerjoin(picture, picture.c.digest == task_spec.c.picture_digest)
)
WITH_RUN = sa.select(
    task,
    task_spec.c.sealed_spec,
    task_spec.c.picture_digest,
    picture.c.media_type.label("picture_type"),
    picture.c.size_bytes.label("picture_bytes"),
    run,
    PLAYED_ON_MS.label("played_on_ms"),
).select_from(_TASK_AND_RUN)
#: The same for display: with the worker's silence, and failures of callbacks.
TOLD = WITH_RUN.add_columns(
    freshness.SINCE_MS.label("silent_since_ms"),
    freshness.FOR_MS.label("silent_ms"),
    now_ms().label("read_ms"),
    mailbox.c.failures.label("callback_failures"),
    mailbox.c.gone_ms.label("callbacks_gone_ms"),
).select_from(_TASK_AND_RUN.outerjoin(mailbox, mailbox.c.task_id == task.c.id))


def task_of(seal: Seal, row: sa.RowMapping) -> TaskRecord:
    """The record of a row, whatever is in it: if its spec cannot be read, it is a failed task that says so."""
    state, fault, problem = read_state(row["state"]), row["fault"], None
    why = read_reason(row["reason"], row["reason_json"])
    known, trouble = trouble_of(row), None
    if known is not None:
        trouble = TroubleRecord(read_time(row["trouble_ms"]), known.fault.value, known.why, known.tries)
    is_silent = row["silent_ms"] is not None
    if is_silent:
        state, fault, why = State.STALLED, Fault.SERVICE.value, freshness.reason(row["silent_ms"])
        trouble = trouble or TroubleRecord(read_time(row["silent_since_ms"]), fault, why, 0)
    try:
        spec = marked(spec_of(seal, row), row["orders_done"])
    except Unreadable as error:
        fault, why, problem = Fault.SERVICE.value, error.why, error.why
        if row["worker_id"] is None:
            state = State.FAILED
        window = {"start_at": read_time(row["start_ms"]), "end_at": read_time(row["end_ms"])}
        spec = stand_in(title=row["title_folded"], group=row["group_name"], **window)
    has_played = row["playhead_ms"] is not None and problem is None
    return TaskRecord(
        task_id=row["id"],
        spec=spec,
        enabled=row["enabled"],
        finished=row["finished"],
        created_at=read_time(row["created_ms"]),
        version=row["version"],
        state=state,
        epoch=row["epoch"],
        playhead=playhead_of(row) if has_played else None,
        playhead_at=read_time(row["playhead_ms"] + row["played_on_ms"]) if has_played else None,
        item_ends_ms=item_ends_of(row),
        kbps_in=0 if is_silent else read_number(row["kbps_in"]),
        kbps_out=0 if is_silent else read_number(row["kbps_out"]),
        media_time_ms=read_number(row["media_time_ms"]),
        bytes_in=read_number(row["bytes_in"]),
        bytes_out=read_number(row["bytes_out"]),
        repairs=read_number(row["repairs"]),
        sound_drift_ms=row["sound_drift_ms"],
        preparing_percent=row["preparing_percent"],
        dropped_tags=read_number(row["dropped_tags"]),
        lost_ms=read_number(row["lost_ms"]),
        lost_packets=read_number(row["lost_packets"]),
        rtt_ms=None if is_silent else row["rtt_ms"],
        retransmits=None if is_silent else row["retransmits"],
        delivery_kbps=None if is_silent else row["delivery_kbps"],
        server_ack_s=None if is_silent else row["server_ack_s"],
        retries=read_number(row["retries"]),
        on_air=None if is_silent else read_on_air(row["on_air"]),
        found=() if is_silent else read_found(row["found"]),
        unseen=() if is_silent else read_unseen(row["unseen"]),
        unready=() if is_silent else read_unready(row["unready"]),
        fault=None if fault is None else read_member(Fault, fault, Fault.SERVICE).value,
        why=why,
        worker_id=row["worker_id"],
        read_at=read_time(row["read_ms"]),
        trouble=trouble,
        problem=problem,
        callback_failures=read_number(row["callback_failures"]),
        callbacks_ended=row["callbacks_gone_ms"] is not None,
        destinations=() if is_silent else destination_cells.read(row["destinations"]),
    )


def trouble_of(row: sa.RowMapping) -> Trouble | None:
    """What kept the run from streaming when it was last reported."""
    if row["trouble_ms"] is None:
        return None
    why = read_reason(row["trouble_reason"], row["trouble_reason_json"])
    return Trouble(
        read_member(Fault, row["trouble_fault"], Fault.SERVICE),
        why or Reason.of(Code.TASK_REASON_UNREADABLE),
        read_number(row["trouble_tries"]),
    )


def read_state(text: object) -> State:
    """The state in a run row; one that only a newer version knows is shown as failed."""
    return read_member(State, text, State.FAILED)


def spec_of(seal: Seal, row: "sa.RowMapping | dict[str, Any]") -> TaskSpec:
    """The spec of a row that holds ``group_name``, ``start_ms``, ``end_ms``, ``sealed_spec`` and ``picture_...``.

    Raises Unreadable, and nothing else whatever the row holds: only this task is affected.
    """
    try:
        text = seal.open(row["sealed_spec"])
    except SealBroken:
        raise Unreadable(Reason.of(Code.TASK_SEALED_OTHERWISE)) from None
    return parse_spec(
        text,
        group=row["group_name"],
        start_at=read_time(row["start_ms"]),
        end_at=read_time(row["end_ms"]),
        picture=None
        if row["picture_type"] is None
        else (row["picture_digest"], row["picture_type"], read_number(row["picture_bytes"])),
    )


def playhead_of(row: sa.RowMapping) -> Playhead:
    """The playhead in a row of ``WITH_RUN`` by now; the beginning, if it is not a valid position."""
    return Playhead(read_number(row["loop"]), read_number(row["item"]), position_of(row))


@dataclass(frozen=True, slots=True)
class ListTiming:
    """How long a list plays. ``spans_ms``: where each item begins and ends, None for the end of its file."""

    spans_ms: tuple[tuple[int, int | None], ...] = ()
    loops: int = ENDLESS
    strategy: ContinueStrategy = ContinueStrategy.AT_BREAK

    @classmethod
    def of(cls, spec: TaskSpec) -> "ListTiming":
        """That of a spec; a live source has no items."""
        if spec.kind is TaskKind.LIVE:
            return cls()
        spans = tuple((round(one.start_s * 1000), round(one.end_s * 1000) or None) for one in spec.items)
        return cls(spans, spec.loops, spec.continue_strategy)


def playhead_after_break(timing: ListTiming, row: sa.RowMapping, at_ms: int) -> Playhead | None:
    """Where the list of a row of ``WITH_RUN`` resumes at that time, or at its StartTime if that is later.

    None when it would have been played out.
    """
    if row["playhead_ms"] is None:
        return Playhead()
    playhead = playhead_of(row)
    if playhead.item >= len(timing.spans_ms):
        # One broken task must not keep the others from being taken.
        return Playhead()
    ends = item_ends_of(row)
    spans = [(begin, ends[item] if item < len(ends) else end) for item, (begin, end) in enumerate(timing.spans_ms)]
    # What had been sent by then was due one lead later.
    was_there_ms = read_number(row["playhead_ms"]) + row["played_on_ms"]
    elapsed_ms = max(at_ms, row["start_ms"]) - was_there_ms - LEAD_MS
    return decide_playhead(playhead, elapsed_ms, timing.strategy, spans, timing.loops)
