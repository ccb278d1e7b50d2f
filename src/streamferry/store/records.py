"""What the store returns: frozen values, with secrets only where they are asked for by name."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from streamferry.reasons import Reason
from streamferry.relay.status import Found, OnAir, Playhead, State, Unready, Unseen
from streamferry.tasks.model import ApiStatus, CallbackEvent, DeliveryState, TaskSpec, decide_api_status
from streamferry.worker import WorkerHealth


@dataclass(frozen=True, slots=True)
class TroubleRecord:
    """What keeps a task from streaming (``relay.Trouble``), and since when."""

    since_at: datetime
    fault: str
    why: Reason
    tries: int

    @property
    def reason(self) -> str:
        """``why`` in English."""
        return str(self.why)


@dataclass(frozen=True, slots=True)
class DestinationRecord:
    """How one of several destinations is doing (``relay.DestinationStatus``)."""

    id: int
    state: State
    kbps_out: int
    bytes_out: int
    dropped_tags: int
    lost_ms: int
    retries: int
    rtt_ms: float | None
    fault: str | None
    why: Reason | None
    in_trouble: bool


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task: its spec, and what is known of its run.

    ``read_at``: the store's time when it was read. ``playhead`` is None until something has played. ``fault`` is a
    value of ``media.errors.Fault`` or None.
    ``version`` counts changes of the spec, ``epoch`` assignments to workers. ``problem``: why the stored form cannot
    be read; ``spec`` is a placeholder then. ``callback_failures``: failed tries in a row for its callbacks.
    """

    task_id: str
    spec: TaskSpec
    enabled: bool
    finished: bool
    created_at: datetime
    version: int
    state: State
    epoch: int
    playhead: Playhead | None
    playhead_at: datetime | None
    item_ends_ms: tuple[int | None, ...]
    kbps_in: int
    kbps_out: int
    media_time_ms: int
    bytes_in: int
    bytes_out: int
    repairs: int
    sound_drift_ms: int | None
    preparing_percent: float | None
    dropped_tags: int
    retries: int
    fault: str | None
    why: Reason | None
    worker_id: str | None
    read_at: datetime
    trouble: TroubleRecord | None = None
    problem: Reason | None = None
    callback_failures: int = 0
    callbacks_ended: bool = False
    lost_ms: int = 0
    lost_packets: int = 0
    rtt_ms: float | None = None
    retransmits: int | None = None
    delivery_kbps: int | None = None
    server_ack_s: float | None = None
    #: While it runs, if it has several.
    destinations: tuple[DestinationRecord, ...] = ()
    on_air: OnAir | None = None
    found: tuple[Found, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    unready: tuple[Unready, ...] = ()

    @property
    def reason(self) -> str | None:
        """``why`` in English."""
        return None if self.why is None else str(self.why)

    def status(self, now: datetime) -> ApiStatus:
        """The status that the API shows at that time."""
        return decide_api_status(
            enabled=self.enabled,
            start_at=self.spec.opens_at,
            end_at=self.spec.end_at,
            finished=self.finished,
            now=now,
        )


@dataclass(frozen=True, slots=True)
class LockedTask:
    """What stands in the row of a task that nobody else changes until the transaction ends."""

    task_id: str
    version: int
    enabled: bool
    finished: bool
    start_at: datetime
    end_at: datetime
    group: str
    stream_digest: str

    def status(self, now: datetime) -> ApiStatus:
        """The status that the API shows at that time."""
        return decide_api_status(
            enabled=self.enabled, start_at=self.start_at, end_at=self.end_at, finished=self.finished, now=now
        )


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list, and how many tasks there are on all pages."""

    records: tuple[TaskRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How many tasks are in a status, a state, and in trouble or not; and what they send in total.

    Only an active task is in trouble.
    """

    status: ApiStatus
    state: State
    in_trouble: bool
    tasks: int
    kbps_out: int


@dataclass(frozen=True, slots=True)
class RunningTask:
    """What a task that a worker has is doing, in numbers."""

    task_id: str
    state: State
    kbps_out: int
    bytes_out: int
    dropped_tags: int
    retries: int
    kbps_in: int
    worker_id: str
    media_time_ms: int
    sound_drift_ms: int | None
    lost_ms: int
    lost_packets: int
    rtt_ms: float | None
    retransmits: int | None
    delivery_kbps: int | None
    in_trouble: bool
    #: If it has several.
    destinations: tuple[DestinationRecord, ...] = ()
    #: If it has further inputs or a slate.
    on_air: OnAir | None = None
    found: tuple[Found, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    unready: tuple[Unready, ...] = ()


@dataclass(frozen=True, slots=True)
class Backlog:
    """Callbacks that are not delivered: those that wait, those given up, and how long the oldest has waited."""

    waiting: int
    dead: int
    oldest_age_s: float


class Intent(StrEnum):
    """What an operator wants of a worker: to take tasks, to take no more, or to hand over those that it has, too."""

    OPEN = "open"
    CORDONED = "cordoned"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker; ``is_alive`` while its lease is valid, ``load`` is the tasks it holds, ``health`` its last report.

    ``max_kbps`` and ``max_encodes``: its limits, None for none; what it has of them is not counted without one.
    ``version``: of its program; empty for one from before it was told.
    ``since_at``: when it became what it is: when it started, when it was cordoned, when it was last heard of.
    """

    worker_id: str
    is_alive: bool
    load: int
    capacity: int
    started_at: datetime
    health: WorkerHealth | None
    labels: tuple[str, ...] = ()
    kbps: int = 0
    max_kbps: int | None = None
    encodes: int = 0
    max_encodes: int | None = None
    version: str = ""
    intent: Intent = Intent.OPEN
    since_at: datetime | None = None

    @property
    def room(self) -> int:
        """How many more tasks it can take now."""
        return max(0, self.capacity - self.load) if self.intent is Intent.OPEN else 0


@dataclass(frozen=True, slots=True)
class GroupTag:
    """A label on a group. ``category`` is System or Custom."""

    category: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A group of tasks; deleted ones can still be listed on request."""

    name: str
    project: str
    tags: tuple[GroupTag, ...]
    deleted: bool


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of groups, and how many there are on all pages."""

    records: tuple[GroupRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An access key as it may be listed."""

    access_key_id: str
    enabled: bool
    read_only: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key with its secret. ``read_only``: it may read everything and change nothing."""

    access_key_id: str
    secret: str = field(repr=False)
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened to a task; ``seq`` counts from 1 for each task without a gap, ``id`` increases over all.

    ``actor``: who caused it, as ``key:AK...`` or ``worker:ID``; ``request_id``: by which request, if by any.
    """

    id: int
    task_id: str
    seq: int
    at: datetime
    kind: str
    detail: dict[str, object]
    actor: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A line of the audit stream. ``actor`` as ``key:AK...``; ``subject`` is what it was done to."""

    id: int
    at: datetime
    kind: str
    subject: str
    actor: str
    peer: str | None
    request_id: str | None
    detail: dict[str, object]


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A callback. ``number`` counts those of a task from 1; ``detail`` is its content, from when it happened.

    ``problem``: what went wrong at the last attempt. ``settled_at``: when it was delivered or given up.
    """

    task_id: str
    number: int
    event: CallbackEvent
    at: datetime
    detail: dict[str, Any]
    state: DeliveryState
    attempts: int
    problem: Reason | None
    settled_at: datetime | None

    @property
    def is_damaged(self) -> bool:
        """Whether its content cannot be read."""
        return "status" not in self.detail

    @property
    def event_id(self) -> str:
        """The id that stays the same over all attempts."""
        return f"evt_{self.task_id}_{self.number}"


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """One page of callbacks, and how many there are on all pages."""

    records: tuple[DeliveryRecord, ...]
    total: int


class UsageBucket(NamedTuple):
    """What was measured in the requested step that begins at ``begin_at``.

    ``group`` is None if groups were not to be split. ``peak_bps``: the largest average of five minutes in it.
    """

    begin_at: datetime
    group: str | None
    streamed_s: float
    bytes_out: int
    peak_bps: float
