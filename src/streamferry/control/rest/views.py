"""What REST shows, as models: snake_case, times in UTC, addresses redacted (decision 0007). No secret gets in here."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from streamferry.control.api.tasks import show_callback, show_source
from streamferry.control.model import CallbackEvent, DeliveryState, TaskSpec
from streamferry.control.store.records import (
    DeliveryRecord,
    EventRecord,
    GroupRecord,
    TaskRecord,
    UsageBucket,
    WorkerRecord,
)
from streamferry.media.errors import Fault
from streamferry.relay import State
from streamferry.worker import WorkerHealth


class Kind(StrEnum):
    """What the source is."""

    LIVE = "live"
    VOD = "vod"


class Status(StrEnum):
    """What the clock and the last action make of a task."""

    DISABLED = "disabled"
    NOT_STARTED = "not_started"
    ACTIVE = "active"
    ENDED = "ended"


class Strategy(StrEnum):
    """Where a list goes on after a break: there, or further by the time that passed."""

    AT_BREAK = "at_break"
    AT_BREAK_PLUS_ELAPSED = "at_break_plus_elapsed"


class View(BaseModel):
    """Base of all that is shown."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class SourceView(View):
    """One address of a task."""

    url: str
    """Redacted: no user info and no query values."""
    start_s: float
    """Where the file begins to be played, in seconds from its start."""
    end_s: float
    """Where it ends, in seconds from its start; 0 is the file's end."""


class WatermarkView(View):
    """The picture over a task's video; its bytes are at ``/tasks/{task_id}/watermark``."""

    media_type: str
    size_bytes: int
    x: float
    """Left edge, as a part of the video's width."""
    y: float
    """Upper edge, as a part of the video's height."""
    ratio: float
    """Width, as a part of the video's."""


class PlayheadView(View):
    """Where a list stands."""

    loop: int
    """Counts from 0."""
    item: int
    """Index of the source."""
    position_s: float
    """Seconds from the file's start."""
    at: datetime
    """When it stood there."""
    item_end_s: float | None
    """Where the item ends, once that is known."""


class RunView(View):
    """What is happening, derived from media that left. Two seconds old at most while the task runs."""

    state: State
    worker_id: str | None
    """The worker that has the task."""
    epoch: int
    """Counts how often a worker took the task."""
    playhead: PlayheadView | None
    """Of a list, once something was played."""
    kbps_in: int
    """Received from the source, in the last second."""
    kbps_out: int
    """Sent to the destination, in the last second."""
    media_time_s: float
    """Media sent since the run began."""
    bytes_in: int
    bytes_out: int
    preparing_percent: float | None
    """Of the file that is being prepared, while nothing can be played yet."""
    repairs: int
    """Stamps that had to be moved since the run began."""
    dropped_tags: int
    """Frames dropped because the destination was too slow."""
    retries: int
    fault: Fault | None
    """Whose fault keeps it from streaming."""
    reason: str | None
    """The same in words."""


class TaskView(View):
    """A task: what is wanted, and under ``run`` what is happening."""

    task_id: str
    title: str
    group: str
    kind: Kind
    status: Status
    enabled: bool
    version: int
    """Grows with each change of what is wanted: send it as ``If-Match`` to change only what you have seen."""
    created_at: datetime
    start_at: datetime
    end_at: datetime
    sources: list[SourceView]
    destination: str
    """Redacted: no stream key and no query values."""
    loops: int
    """How often the list is played; -1 is without end."""
    continue_strategy: Strategy
    pre_download: bool
    """Whether prepared files are kept in the cache."""
    callback_url: str
    """Redacted; empty for none."""
    watermark: WatermarkView | None
    run: RunView


class TaskPage(View):
    """One page of tasks, newest first."""

    tasks: list[TaskView]
    page: int
    size: int
    total: int
    """On all pages."""


class EventView(View):
    """Something that happened to a task."""

    id: int
    """Rises over all tasks: the cursor of lists and streams."""
    task_id: str
    seq: int
    """Counts from 1 for each task, without a gap."""
    at: datetime
    kind: str
    """``created``, ``claimed``, a state of the run, and so on."""
    detail: dict[str, Any]


class EventPage(View):
    """Events behind a cursor, oldest first."""

    events: list[EventView]
    next_after: int
    """Ask with this as ``after`` for what follows."""


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


class Overview(View):
    """All tasks in numbers."""

    tasks: int
    by_status: dict[Status, int]
    by_state: dict[State, int]
    """Of the active ones."""
    kbps_out: int
    """Of all together."""
    workers: int
    """That are alive."""
    capacity: int
    """Tasks they can take in all."""


class SampleView(View):
    """A task's run at one moment, some seconds after the one before."""

    at_s: int
    """Unix time."""
    kbps_in: int
    kbps_out: int
    dropped_tags: int
    """Since the sample before."""
    retries: int
    """Since the sample before."""
    late_ms: int
    """The worst beat of the task's worker in the minute before."""


class SampleList(View):
    """The last hour, oldest first; the service keeps it in memory, from its start."""

    samples: list[SampleView]


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
    """One prepared file. Addresses are not kept in the cache: they may hold tokens."""

    name: str
    is_whole: bool
    in_use: bool
    size_bytes: int
    duration_s: float | None
    """Once it is whole."""
    used_at: datetime


class CacheView(View):
    """The cache of prepared files on the machine that answers."""

    size_bytes: int
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


class TokenView(View):
    """A bearer token."""

    token: str
    expires_at: datetime
    read_only: bool


class RequestView(View):
    """A task as a request. What is secret stands as ``***`` and has to be filled in."""

    action: str
    """Of the compatible API."""
    body: dict[str, Any]
    """For that action."""
    rest_body: dict[str, Any]
    """For ``POST /tasks``."""
    python: str
    curl: str
    is_complete: bool
    """Whether it holds all it needs, because nothing of the task is secret."""


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


def show_task(record: TaskRecord, now: datetime) -> TaskView:
    """A task as it may be shown."""
    spec = record.spec
    return TaskView(
        task_id=record.task_id,
        title=spec.title,
        group=spec.group,
        kind=Kind[spec.kind.name],
        status=Status[record.status(now).name],
        enabled=record.enabled,
        version=record.version,
        created_at=record.created_at,
        start_at=spec.start_at,
        end_at=spec.end_at,
        sources=[SourceView(url=show_source(item.url), start_s=item.start_s, end_s=item.end_s) for item in spec.items],
        destination=spec.destination.redacted,
        loops=spec.loops,
        continue_strategy=Strategy[spec.continue_strategy.name],
        pre_download=spec.pre_download,
        callback_url=show_callback(spec.callback_url),
        watermark=_show_watermark(spec),
        run=_show_run(record),
    )


def _show_watermark(spec: TaskSpec) -> WatermarkView | None:
    mark = spec.watermark
    if mark is None:
        return None
    return WatermarkView(
        media_type=mark.media_type,
        size_bytes=len(mark.picture),
        x=mark.pos_x,
        y=mark.pos_y,
        ratio=mark.ratio,
    )


def _show_run(record: TaskRecord) -> RunView:
    return RunView(
        state=record.state,
        worker_id=record.worker_id,
        epoch=record.epoch,
        playhead=_show_playhead(record),
        kbps_in=record.kbps_in,
        kbps_out=record.kbps_out,
        media_time_s=record.media_time_ms / 1000,
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        preparing_percent=record.preparing_percent,
        repairs=record.repairs,
        dropped_tags=record.dropped_tags,
        retries=record.retries,
        fault=Fault(record.fault) if record.fault else None,
        reason=record.reason,
    )


def _show_playhead(record: TaskRecord) -> PlayheadView | None:
    stands = record.playhead
    if stands is None or record.playhead_at is None:
        return None
    ends = record.item_ends_ms
    end_ms = ends[stands.item] if stands.item < len(ends) else None
    return PlayheadView(
        loop=stands.loop,
        item=stands.item,
        position_s=stands.position_ms / 1000,
        at=record.playhead_at,
        item_end_s=None if end_ms is None else end_ms / 1000,
    )


def show_event(record: EventRecord) -> EventView:
    """An event as it may be shown."""
    return EventView(
        id=record.id, task_id=record.task_id, seq=record.seq, at=record.at, kind=record.kind, detail=record.detail
    )


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


def show_group(record: GroupRecord) -> GroupView:
    """A group as it may be shown."""
    tags = [TagView(key=tag.key, value=tag.value, category=tag.category) for tag in record.tags]
    return GroupView(name=record.name, project=record.project, tags=tags)


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
