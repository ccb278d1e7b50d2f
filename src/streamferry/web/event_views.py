"""What REST shows of what happened to tasks, as models: events, the samples of a run, and the numbers of all tasks."""

from datetime import datetime
from typing import Any

from streamferry.relay.status import State
from streamferry.web.views import Status, View


class EventView(View):
    """Something that happened to a task."""

    id: int
    """Increasing across all tasks; the cursor of lists and streams."""
    task_id: str
    seq: int
    """Counts from 1 for each task, without a gap."""
    at: datetime
    kind: str
    """``created``, ``claimed``, a state of the run, and so on."""
    detail: dict[str, Any]
    actor: str | None
    """Who caused it: ``key:ID`` by an API, ``session:ID`` in the dashboard, ``worker:ID``, ``schedule``,
    ``command:USER``. None in events that an older version wrote."""
    request_id: str | None
    """The request that caused it: ``X-Request-Id`` or ``RequestId`` of its answer."""


class EventPage(View):
    """Events after a cursor, oldest first."""

    events: list[EventView]
    next_after: int
    """Pass this as ``after`` to get what follows."""


class RecentEvents(View):
    """The most recent matching events, oldest first."""

    events: list[EventView]
    total: int
    """How many match among the last 10,000 of the task, or of all tasks."""
    next_after: int
    """For what follows, pass this to ``/events`` as ``after``."""


class Overview(View):
    """Numbers of all tasks."""

    tasks: int
    by_status: dict[Status, int]
    by_state: dict[State, int]
    """Of the active ones."""
    in_trouble: int
    """Active ones that failed and have not streamed for 10 s since."""
    kbps_out: int
    """Of all tasks together."""
    workers: int
    """That are alive."""
    capacity: int
    """Tasks they can take in total."""
    room: int
    """Tasks they can take in addition to those they have."""


class SampleView(View):
    """A task's run at one moment; samples are some seconds apart."""

    at_s: int
    """Unix time."""
    kbps_in: int
    kbps_out: int
    dropped_tags: int
    """Since the previous sample."""
    retries: int
    """Since the previous sample."""
    late_ms: int
    """How late the worst beat of the task's worker was in the minute before."""


class SampleList(View):
    """The last hour, oldest first; the service keeps it in memory, starting when the service starts."""

    samples: list[SampleView]
