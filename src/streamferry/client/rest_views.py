"""What REST answers, as its document has it. A newer service may give more.

Written by ``scripts/reference.py``: do not edit.
"""

from typing import Any, Literal, TypedDict


class Series(TypedDict):
    """A window that recurs; ``start_at`` and ``end_at`` of the task are those of the one that runs or comes next."""

    rule: str
    time_zone: str
    exdates: list[str]
    rdates: list[str]
    slate_between: bool


class Source(TypedDict):
    """One address of a task."""

    url: str
    start_s: float
    end_s: float


class DestinationRun(TypedDict):
    """What is happening at one of several destinations, as if the task had no other; see ``RunView``."""

    state: Literal[
        "waiting", "preparing", "connecting", "streaming", "stalled", "retrying", "stopped", "ended", "failed"
    ]
    kbps_out: int
    bytes_out: int
    dropped_tags: int
    lost_s: float
    retries: int
    rtt_ms: float | None
    fault: Literal["user_source", "user_destination", "service"] | None
    reason: str | None
    reason_code: str | None
    reason_params: dict[str, Any] | None
    in_trouble: bool


class Destination(TypedDict):
    """One of the destinations of a task."""

    id: int
    to: str
    server: str | None
    name: str
    enabled: bool
    latency: Literal["low", "normal", "dense"] | None
    options: dict[str, Any]
    backup_of: int | None
    run: DestinationRun | None


class Watermark(TypedDict):
    """The picture over a task's video; its bytes are at ``/tasks/{task_id}/watermark``."""

    media_type: str
    size_bytes: int
    x: float
    y: float
    ratio: float


class Input(TypedDict):
    """A further input, shown when what comes before it cannot be."""

    kind: Literal["live", "vod"]
    sources: list[Source]
    warm: bool
    options: dict[str, Any]


class Slate(TypedDict):
    """What is shown while no input can be."""

    kind: Literal["card", "picture", "color", "clip", "last_frame"]
    title: str
    text: str
    color: str
    picture: str | None
    clip: str | None


class Switching(TypedDict):
    """When another input comes on air by itself."""

    switch_after_s: float
    return_after_s: float
    returns: bool
    normalize: str


class Rule(TypedDict):
    """When something is wrong with the content."""

    threshold: float
    duration_s: float
    switches: bool


class Insert(TypedDict):
    """A file that waits to be inserted."""

    number: int
    url: str
    start_s: float
    end_s: float
    at: str | None


class Playhead(TypedDict):
    """How far a list has played."""

    loop: int
    item: int
    position_s: float
    at: str
    item_end_s: float | None


class Trouble(TypedDict):
    """What keeps a task from streaming: from a failure until it has streamed for 10 s without a break. It stays between
    two tries, whatever the state is, and across restarts of worker and service."""

    since_at: str
    tries: int
    fault: Literal["user_source", "user_destination", "service"]
    reason: str
    reason_code: str
    reason_params: dict[str, Any]


class Found(TypedDict):
    """What is wrong with the content that is sent."""

    reason: str
    reason_code: str
    reason_params: dict[str, Any]
    fault: Literal["black", "frozen", "silent", "low_bitrate", "low_fps", "keyframes_far_apart"]
    since_at: str


class Unseen(TypedDict):
    """What of the content is to be watched and cannot be: nothing is known of it, and nothing is found."""

    reason: str
    reason_code: str
    reason_params: dict[str, Any]
    sense: Literal["picture", "sound"]
    since_at: str


class Unready(TypedDict):
    """An input that is not on air and could not be shown now, though it is tried."""

    reason: str
    reason_code: str
    reason_params: dict[str, Any]
    input: int | Literal["slate"]


class OnAir(TypedDict):
    """What is on air, of a task with further inputs or a slate."""

    reason: str
    reason_code: str
    reason_params: dict[str, Any]
    shown: Literal["input", "slate", "insert"]
    input: int | None
    file: str
    since_at: str


class Run(TypedDict):
    """What is happening, derived from media that left. Two seconds old at most while the task runs."""

    state: Literal[
        "waiting", "preparing", "connecting", "streaming", "stalled", "retrying", "stopped", "ended", "failed"
    ]
    worker_id: str | None
    epoch: int
    playhead: Playhead | None
    kbps_in: int
    kbps_out: int
    media_time_s: float
    bytes_in: int
    bytes_out: int
    preparing_percent: float | None
    repairs: int
    sound_drift_s: float | None
    dropped_tags: int
    lost_s: float
    lost_packets: int
    rtt_ms: float | None
    retransmits: int | None
    delivery_kbps: int | None
    server_ack_s: float | None
    retries: int
    fault: Literal["user_source", "user_destination", "service"] | None
    reason: str | None
    reason_code: str | None
    reason_params: dict[str, Any] | None
    trouble: Trouble | None
    found: list[Found]
    unseen: list[Unseen]
    unready: list[Unready]
    on_air: OnAir | None


class Task(TypedDict):
    """A task: what is wanted, and under ``run`` what is happening."""

    task_id: str
    title: str
    group: str
    kind: Literal["live", "vod"]
    status: Literal["disabled", "not_started", "active", "ended"]
    enabled: bool
    version: int
    created_at: str
    start_at: str
    end_at: str | Literal["never"]
    series: Series | None
    sources: list[Source]
    destination: str
    destinations: list[Destination]
    destination_server: str | None
    loops: int
    continue_strategy: Literal["at_break", "at_break_plus_elapsed"]
    pre_download: bool
    latency: Literal["low", "normal", "dense"]
    codecs: Literal["any", "h264", "h264_if_needed"]
    placement: list[str]
    priority: int
    callback_url: str
    callback_failures: int
    callbacks_ended: bool
    watermark: Watermark | None
    source_options: dict[str, Any]
    destination_options: dict[str, Any]
    inputs: list[Input]
    slate: Slate | None
    switching: Switching
    watch: dict[str, Rule]
    inserts: list[Insert]
    pinned: int | Literal["slate"] | None
    note: str
    run: Run


class TaskPage(TypedDict):
    """One page of tasks, newest first."""

    tasks: list[Task]
    page: int
    size: int
    total: int


class PastWindow(TypedDict):
    """A window that is over, with what the task's last run in it did."""

    start_at: str
    end_at: str
    state: str
    media_time_s: float
    bytes_out: int
    lost_s: float
    dropped_tags: int
    retries: int


class Window(TypedDict):
    """From one time to another."""

    start_at: str
    end_at: str


class WindowList(TypedDict):
    """The windows of a task."""

    past: list[PastWindow]
    upcoming: list[Window]


class GuideEntry(TypedDict):
    """Something that plays from one time to another, if nothing breaks."""

    start_at: str
    end_at: str | None
    item: int | None
    loop: int | None
    source: str
    slate: bool


class Guide(TypedDict):
    """What plays when."""

    entries: list[GuideEntry]


class CalendarLink(TypedDict):
    """Where calendars find the windows of all tasks."""

    path: str


class Event(TypedDict):
    """Something that happened to a task."""

    id: int
    task_id: str
    seq: int
    at: str
    kind: str
    detail: dict[str, Any]
    actor: str | None
    request_id: str | None


class EventPage(TypedDict):
    """Events after a cursor, oldest first."""

    events: list[Event]
    next_after: int


class WorkerHealth(TypedDict):
    """What a worker uses and how it is doing. Counters count from its start."""

    cpu_percent: float
    memory_bytes: int
    beat_late_ms: float
    preparing: int
    bytes_in: int
    bytes_out: int
    dropped_tags: int
    repairs: int
    retries: dict[str, int]


class Worker(TypedDict):
    """A worker process, here or on another machine."""

    worker_id: str
    is_alive: bool
    state: Literal["open", "cordoned", "draining", "drained", "leaving", "gone"]
    since_at: str
    labels: list[str]
    version: str
    tasks: int
    capacity: int
    kbps: int | None
    capacity_kbps: int | None
    encodes: int | None
    capacity_encodes: int | None
    started_at: str
    health: WorkerHealth | None


class WorkerList(TypedDict):
    """Workers that exist, or did in the last hour."""

    workers: list[Worker]
