"""What REST shows beside tasks: workers, usage, the cache, callbacks and what a look into a file has found."""

from datetime import datetime
from typing import Any

from streamferry.media.errors import Fault
from streamferry.store.records import AuditRecord, DeliveryRecord, UsageBucket, WorkerRecord
from streamferry.tasks.model import CallbackEvent, DeliveryState
from streamferry.web.views import View
from streamferry.worker import WorkerHealth


class WorkerView(View):
    """A worker process, here or on another machine."""

    worker_id: str
    is_alive: bool
    """Whether its lease is valid."""
    tasks: int
    capacity: int
    started_at: datetime
    health: "WorkerHealthView | None"
    """What it told last, some seconds ago at most while it is alive."""


class WorkerHealthView(View):
    """What a worker costs and how it fares. Counters are since its start."""

    cpu_percent: float
    """Of one core."""
    memory_bytes: int
    beat_late_ms: float
    """The worst of the last minute."""
    preparing: int
    """Files being prepared."""
    bytes_in: int
    bytes_out: int
    dropped_tags: int
    repairs: int
    retries: dict[Fault, int]
    """By whose fault they were."""


class WorkerList(View):
    """Workers that are there, or were in the last hour."""

    workers: list[WorkerView]


class UsageView(View):
    """What was measured in one step of time."""

    begin_at: datetime
    group: str | None
    """None when groups are not told apart."""
    streamed_s: float
    bytes_out: int
    peak_bps: float
    """Largest average of five minutes in it."""


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
    """The address that it came from, without secrets; empty for one of an older version."""
    is_whole: bool
    in_use: bool
    size_bytes: int
    duration_s: float | None
    """Once it is whole."""
    used_at: datetime


class CacheView(View):
    """The cache of prepared files on the machine that answers."""

    size_bytes: int
    max_bytes: int
    """Beyond this, what is not in use goes."""
    items: list[CacheItem]
    """Least recently used first: the order in which they go when the cache is full."""


class DeliveryView(View):
    """A callback that was owed: what became of it."""

    event_id: str
    """As its receiver gets it, the same over all attempts."""
    task_id: str
    number: int
    """Counts those of a task from 1."""
    event: CallbackEvent
    at: datetime
    """When what it tells happened."""
    state: DeliveryState
    attempts: int
    problem: str | None
    """What went wrong at the last attempt."""
    settled_at: datetime | None
    """When it was delivered or given up."""
    detail: dict[str, Any]
    """What is told, as it was when it happened."""


class DeliveryPage(View):
    """One page of callbacks, newest first."""

    deliveries: list[DeliveryView]
    page: int
    size: int
    total: int


class Count(View):
    """How many were concerned."""

    count: int


class AuditView(View):
    """A line of the audit stream."""

    id: int
    """Rises: the cursor for older ones."""
    at: datetime
    kind: str
    """``key_made``, ``key_replaced``, ``key_disabled``, ``callback_secret_replaced``, ``seal_key_rotated``,
    ``signed_in``, ``sign_in_failed``, ``backed_up`` or ``restored``."""
    subject: str
    """What it was done to: an access key's id, a seal key's fingerprint."""
    actor: str
    """Who did it, as of an event."""
    peer: str | None
    """The address it was asked from."""
    request_id: str | None
    detail: dict[str, Any]


class AuditPage(View):
    """Lines, newest first."""

    lines: list[AuditView]
    next_before: int | None
    """Ask with this as ``before`` for older ones; None: these were the oldest."""


class LibraryFileView(View):
    """A file that was uploaded."""

    name: str
    url: str
    """The address for a task's source."""
    size_bytes: int
    changed_at: datetime


class LibraryList(View):
    """Files that were uploaded, newest first."""

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
    """What is in a file, and what relaying it will need."""

    address: str
    container: str
    index_first: bool | None
    """None for containers without an index."""
    seconds: float
    """Length as the file claims it."""
    open_seconds: float
    looked_seconds: float
    kbps: int
    video: ProbeVideo | None
    audio: ProbeAudio | None
    interleave_ms: int
    encodes: list[str]
    """Tracks that cannot be copied."""
    warnings: list[str]
    """Sentences: what may go wrong, and what helps."""


def show_delivery(record: DeliveryRecord) -> DeliveryView:
    """A callback as it may be shown."""
    return DeliveryView(
        event_id=record.event_id,
        task_id=record.task_id,
        number=record.number,
        event=record.event,
        at=record.at,
        state=record.state,
        attempts=record.attempts,
        problem=record.problem,
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
        tasks=record.load,
        capacity=record.capacity,
        started_at=record.started_at,
        health=None if record.health is None else _show_health(record.health),
    )


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
