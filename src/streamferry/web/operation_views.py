"""What REST shows besides tasks: groups, workers, usage, the cache, callbacks and the result of a probe."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from streamferry.media.errors import Fault
from streamferry.reasons import NOT_TOLD
from streamferry.store.records import AuditRecord, DeliveryRecord, GroupRecord, Intent, UsageBucket, WorkerRecord
from streamferry.tasks.model import CallbackEvent, DeliveryState
from streamferry.web.views import View
from streamferry.worker import WorkerHealth


class TagView(View):
    """A label on a group."""

    key: str
    value: str
    category: str


class GroupView(View):
    """A group of tasks."""

    name: str
    project: str
    tags: list[TagView]


class GroupPage(View):
    """One page of groups, oldest first."""

    groups: list[GroupView]
    page: int
    size: int
    total: int


class WorkerState(StrEnum):
    """What a worker does about tasks."""

    OPEN = "open"
    """It takes tasks as far as it has room."""
    CORDONED = "cordoned"
    """It takes no more."""
    DRAINING = "draining"
    """It hands its tasks over, as far as other workers have a place for them."""
    DRAINED = "drained"
    """It has none left."""
    LEAVING = "leaving"
    """Its process is about to end."""
    GONE = "gone"
    """Its lease is over."""


class WorkerView(View):
    """A worker process, here or on another machine."""

    worker_id: str
    is_alive: bool
    """Whether its lease is valid."""
    state: WorkerState
    since_at: datetime
    """Since when it is open, cordoned or draining; of one that is gone, when it was last heard of."""
    labels: list[str]
    """What tasks may ask for (``placement``), as ``region=eu``."""
    version: str
    """Of its program; empty for one older than this field."""
    tasks: int
    capacity: int
    kbps: int | None
    """What its tasks are likely to send; null without a limit."""
    capacity_kbps: int | None
    """Null: no limit."""
    encodes: int | None
    """Tasks for which it encodes; null without a limit."""
    capacity_encodes: int | None
    """Null: no limit."""
    started_at: datetime
    health: "WorkerHealthView | None"
    """Its last report; at most some seconds old while it is alive."""


class WorkerHealthView(View):
    """What a worker uses and how it is doing. Counters count from its start."""

    cpu_percent: float
    """Of one core."""
    memory_bytes: int
    beat_late_ms: float
    """The worst value of the last minute."""
    preparing: int
    """Files being prepared."""
    bytes_in: int
    bytes_out: int
    dropped_tags: int
    repairs: int
    retries: dict[Fault, int]
    """By whose fault it was."""


class WorkerList(View):
    """Workers that exist, or did in the last hour."""

    workers: list[WorkerView]


class UsageView(View):
    """What was measured in one step of time."""

    begin_at: datetime
    group: str | None
    """None when the figures are not split by group."""
    streamed_s: float
    bytes_out: int
    peak_bps: float
    """Largest five-minute average within the step."""


class UsageList(View):
    """Steps in which anything was measured, oldest first."""

    start_at: datetime
    end_at: datetime
    step_s: int
    buckets: list[UsageView]


class CacheItem(View):
    """One prepared file."""

    name: str
    source: str
    """The address that it came from, without secrets; empty if an older version wrote it."""
    is_whole: bool
    in_use: bool
    size_bytes: int
    duration_s: float | None
    """Once it is complete."""
    used_at: datetime


class CacheView(View):
    """The cache of prepared files on the machine that answers."""

    size_bytes: int
    max_bytes: int
    """Above this, files that are not in use are removed."""
    items: list[CacheItem]
    """Least recently used first: the order in which they are removed when the cache is full."""


class DeliveryView(View):
    """A callback, and what became of it."""

    event_id: str
    """As its receiver gets it; the same for all attempts."""
    task_id: str
    number: int
    """Counts the callbacks of a task from 1."""
    event: CallbackEvent
    at: datetime
    """When the reported event happened."""
    state: DeliveryState
    attempts: int
    problem: str | None
    """What went wrong at the last attempt."""
    problem_code: str | None
    """What ``problem`` is made from, as a task's reason."""
    problem_params: dict[str, Any] | None
    settled_at: datetime | None
    """When it was delivered or given up."""
    detail: dict[str, Any]
    """The body: the task as it was when the event happened."""


class DeliveryPage(View):
    """One page of callbacks, newest first."""

    deliveries: list[DeliveryView]
    page: int
    size: int
    total: int


class Count(View):
    """How many were affected."""

    count: int


class AuditView(View):
    """A line of the audit stream."""

    id: int
    """Increasing; the cursor for older ones."""
    at: datetime
    kind: str
    """``key_made``, ``key_replaced``, ``key_disabled``, ``callback_secret_replaced``, ``seal_key_rotated``,
    ``signed_in``, ``sign_in_failed``, ``worker_opened``, ``worker_cordoned``, ``worker_drained``, ``backed_up`` or
    ``restored``."""
    subject: str
    """What it was done to: the id of an access key or of a worker, or the fingerprint of a seal key."""
    actor: str
    """Who did it, as in an event."""
    peer: str | None
    """The address that the request came from."""
    request_id: str | None
    detail: dict[str, Any]


class AuditPage(View):
    """Lines, newest first."""

    lines: list[AuditView]
    next_before: int | None
    """Pass this as ``before`` to get older ones; None: these were the oldest."""


class LibraryFileView(View):
    """An uploaded file."""

    name: str
    url: str
    """The address to use as a task's source."""
    size_bytes: int
    changed_at: datetime


class LibraryList(View):
    """Uploaded files, newest first."""

    files: list[LibraryFileView]


class ProbeVideo(View):
    """The picture of a file."""

    codec: str
    width: int
    height: int
    pixel_aspect: str
    pixels: str
    frame_rate: float
    interlaced: bool
    rotation: int
    keyframe_seconds: float
    b_frames: bool


class ProbeAudio(View):
    """The sound of a file."""

    codec: str
    rate_hz: int
    channels: int


class ProbeView(View):
    """What a file contains, and what relaying it will need."""

    address: str
    container: str
    index_first: bool | None
    """None for containers without an index."""
    seconds: float
    """The length that the file claims."""
    open_seconds: float
    looked_seconds: float
    kbps: int
    video: ProbeVideo | None
    audio: ProbeAudio | None
    interleave_ms: int
    encodes: list[str]
    """Tracks that cannot be copied."""
    warnings: list[str]
    """Sentences that say what may go wrong, and what helps."""
    warning_reasons: list[dict[str, Any]]
    """What they are made from: ``code`` and ``params`` of each."""


def show_delivery(record: DeliveryRecord) -> DeliveryView:
    """A callback as it may be shown."""
    told = record.problem.told() if record.problem else NOT_TOLD
    return DeliveryView(
        event_id=record.event_id,
        task_id=record.task_id,
        number=record.number,
        event=record.event,
        at=record.at,
        state=record.state,
        attempts=record.attempts,
        problem=told["reason"],
        problem_code=told["reason_code"],
        problem_params=told["reason_params"],
        settled_at=record.settled_at,
        detail=record.detail,
    )


def show_audit(record: AuditRecord) -> AuditView:
    """A line of the audit stream as it may be shown."""
    return AuditView(
        id=record.id,
        at=record.at,
        kind=record.kind,
        subject=record.subject,
        actor=record.actor,
        peer=record.peer,
        request_id=record.request_id,
        detail=record.detail,
    )


def show_worker(record: WorkerRecord) -> WorkerView:
    """A worker as it may be shown."""
    return WorkerView(
        worker_id=record.worker_id,
        is_alive=record.is_alive,
        state=_state_of(record),
        since_at=record.since_at or record.started_at,
        labels=list(record.labels),
        version=record.version,
        kbps=None if record.max_kbps is None else record.kbps,
        capacity_kbps=record.max_kbps,
        encodes=None if record.max_encodes is None else record.encodes,
        capacity_encodes=record.max_encodes,
        tasks=record.load,
        capacity=record.capacity,
        started_at=record.started_at,
        health=None if record.health is None else _show_health(record.health),
    )


def _state_of(record: WorkerRecord) -> WorkerState:
    if not record.is_alive:
        return WorkerState.GONE
    if not record.capacity:
        return WorkerState.LEAVING
    if record.intent is Intent.DRAINING and not record.load:
        return WorkerState.DRAINED
    return WorkerState(record.intent.value)


def _show_health(health: WorkerHealth) -> WorkerHealthView:
    totals = health.totals
    return WorkerHealthView(
        cpu_percent=round(health.cpu_percent, 1),
        memory_bytes=health.memory_bytes,
        beat_late_ms=round(health.beat_late_ms, 1),
        preparing=health.preparing,
        bytes_in=totals.bytes_in,
        bytes_out=totals.bytes_out,
        dropped_tags=totals.dropped_tags,
        repairs=totals.repairs,
        retries=dict(totals.retries),
    )


def show_usage(bucket: UsageBucket) -> UsageView:
    """A step of usage as it may be shown."""
    return UsageView(
        begin_at=bucket.begin_at,
        group=bucket.group,
        streamed_s=bucket.streamed_s,
        bytes_out=bucket.bytes_out,
        peak_bps=bucket.peak_bps,
    )


def show_group(record: GroupRecord) -> GroupView:
    """A group as it may be shown."""
    tags = [TagView(key=tag.key, value=tag.value, category=tag.category) for tag in record.tags]
    return GroupView(name=record.name, project=record.project, tags=tags)
