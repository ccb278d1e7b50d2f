"""What REST shows, as models: snake_case, times in UTC, addresses redacted (decision 0005). No secret gets in here.

This module has tasks and what belongs to them, which ``record_views`` makes; what happened to them is in
``event_views``, the rest in ``operation_views``.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from streamferry.media.errors import Fault
from streamferry.media.slate import SlateKind
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.spec import Codecs, Latency
from streamferry.relay.status import Sense, Shown, State


class Kind(StrEnum):
    """What the source is."""

    LIVE = "live"
    VOD = "vod"


class Status(StrEnum):
    """The status of a task, from the clock and the last action."""

    DISABLED = "disabled"
    NOT_STARTED = "not_started"
    ACTIVE = "active"
    ENDED = "ended"


class Strategy(StrEnum):
    """Where a list resumes after a break: at the break, or later by the time that has passed."""

    AT_BREAK = "at_break"
    AT_BREAK_PLUS_ELAPSED = "at_break_plus_elapsed"


class View(BaseModel):
    """Base of everything that is shown."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ToldView(View):
    """Base of what is told with its reason: a sentence, and what that is made from."""

    reason: str
    reason_code: str
    reason_params: dict[str, Any]


class SourceView(View):
    """One address of a task."""

    url: str
    """Redacted: only scheme, host and what cannot be secret; a mark tells two hidden ones apart."""
    start_s: float
    """Where playing begins, in seconds from the file's start."""
    end_s: float
    """Where playing ends, in seconds from the file's start; 0 is the file's end."""


class InputView(View):
    """A further input, shown when what comes before it cannot be."""

    kind: Kind
    sources: list[SourceView]
    warm: bool
    options: dict[str, Any]
    """As ``source_options``."""


class SlateView(View):
    """What is shown while no input can be."""

    kind: SlateKind
    title: str
    text: str
    color: str
    picture: str | None
    """Stands for the picture: sent back, it means the one that the task has."""
    clip: str | None
    """Redacted."""


class SwitchingView(View):
    """When another input comes on air by itself."""

    switch_after_s: float
    return_after_s: float
    returns: bool
    normalize: str


class OnAirView(ToldView):
    """What is on air, of a task with further inputs or a slate."""

    shown: Shown
    input: int | None
    """Its number, 0 for the source; null for the slate and for a file that was inserted."""
    file: str
    """The inserted file that the reason is about, without secrets; empty if it is about none."""
    since_at: datetime


class InsertView(View):
    """A file that waits to be inserted."""

    number: int
    url: str
    """Redacted as a source is."""
    start_s: float
    end_s: float
    at: datetime | None
    """When it is played; null: after the present item of the list."""


class RuleView(View):
    """When something is wrong with the content."""

    threshold: float
    duration_s: float
    switches: bool
    """Whether another input is shown then."""


class FoundView(ToldView):
    """What is wrong with the content that is sent."""

    fault: ContentFault
    since_at: datetime


class UnseenView(ToldView):
    """What of the content is to be watched and cannot be: nothing is known of it, and nothing is found."""

    sense: Sense
    since_at: datetime


class UnreadyView(ToldView):
    """An input that is not on air and could not be shown now, though it is tried."""

    input: int | Literal["slate"]


class WatermarkView(View):
    """The picture over a task's video; its bytes are at ``/tasks/{task_id}/watermark``."""

    media_type: str
    size_bytes: int
    x: float
    """Left edge, as a fraction of the video's width."""
    y: float
    """Top edge, as a fraction of the video's height."""
    ratio: float
    """Width, as a fraction of the video's."""


class SeriesView(View):
    """A window that recurs; ``start_at`` and ``end_at`` of the task are those of the one that runs or comes next."""

    rule: str
    """RFC 5545's RRULE, as ``FREQ=WEEKLY;BYDAY=MO,WE``."""
    time_zone: str
    """By whose clocks each window begins and ends."""
    exdates: list[str]
    """Starts of windows that are left out, by these clocks."""
    rdates: list[str]
    """Starts of windows that come in addition, by these clocks."""
    slate_between: bool
    """Whether the slate is sent between the windows."""


class PlayheadView(View):
    """How far a list has played."""

    loop: int
    """Counts from 0."""
    item: int
    """Index of the source."""
    position_s: float
    """Seconds from the file's start."""
    at: datetime
    """When it was there."""
    item_end_s: float | None
    """Where the item ends, once that is known."""


class TroubleView(View):
    """What keeps a task from streaming: from a failure until it has streamed for 10 s without a break. It stays
    between two tries, whatever the state is, and across restarts of worker and service."""

    since_at: datetime
    tries: int
    """Sessions that were lost or refused since then."""
    fault: Fault
    reason: str
    """Of the last failure."""
    reason_code: str
    """What ``reason`` is made from; each code has the same ``reason_params`` in every language."""
    reason_params: dict[str, Any]


class RunView(View):
    """What is happening, derived from media that left. Two seconds old at most while the task runs."""

    state: State
    worker_id: str | None
    """The worker that has the task."""
    epoch: int
    """Counts how often a worker has taken the task."""
    playhead: PlayheadView | None
    """Of a list, once something has played."""
    kbps_in: int
    """Received from the source, in the last second."""
    kbps_out: int
    """Sent to the destination, in the last second."""
    media_time_s: float
    """Media sent since the run began."""
    bytes_in: int
    bytes_out: int
    preparing_percent: float | None
    """Progress of the file that is being prepared, while nothing can be played yet."""
    repairs: int
    """Stamps that had to be changed since the run began."""
    sound_drift_s: float | None
    """How far the clock of a live source's sound has run ahead of that of its picture (negative: behind). Sound is
    restamped to correct it."""
    dropped_tags: int
    """Frames dropped because the destination was too slow."""
    lost_s: float
    """Media that no destination was given since the run began: it was away or too slow, or a list that keeps time left
    it out."""
    lost_packets: int
    """What never came of a live source since the run began: packets of RTP or MPEG-TS, segments of HLS."""
    rtt_ms: float | None
    """Round trip to the destination, of an RTMP session that is open."""
    retransmits: int | None
    """TCP segments that had to be sent again since that session began."""
    delivery_kbps: int | None
    """What the line to the destination took in its last burst, which may be faster than the stream."""
    server_ack_s: float | None
    """How long ago the destination's server acknowledged media, and not only its TCP; null if it never has."""
    retries: int
    fault: Fault | None
    """Whose fault keeps it from streaming."""
    reason: str | None
    """The same as a sentence."""
    reason_code: str | None
    """What ``reason`` is made from, as with ``trouble``."""
    reason_params: dict[str, Any] | None
    trouble: TroubleView | None
    found: list[FoundView]
    """What is wrong with the content, of a task that is watched."""
    unseen: list[UnseenView]
    """What of it cannot be watched, as pictures that no decoder reads."""
    unready: list[UnreadyView]
    """Further inputs, or the slate, that could not be shown if they were needed, and why."""
    on_air: OnAirView | None
    """Null for a task with one source and no slate. While the slate is on air the state is ``streaming``."""


class DestinationRunView(View):
    """What is happening at one of several destinations, as if the task had no other; see ``RunView``."""

    state: State
    kbps_out: int
    bytes_out: int
    dropped_tags: int
    lost_s: float
    retries: int
    """Of this destination, and not of the source."""
    rtt_ms: float | None
    fault: Fault | None
    reason: str | None
    reason_code: str | None
    reason_params: dict[str, Any] | None
    in_trouble: bool


class DestinationView(View):
    """One of the destinations of a task."""

    id: int
    """Stays while others come and go."""
    to: str
    """Its address, redacted as a source is."""
    server: str | None
    """If server and key were given apart: the server, as it may be shown."""
    name: str
    enabled: bool
    latency: Latency | None
    """Null: that of the task."""
    options: dict[str, Any]
    """As ``destination_options``."""
    backup_of: int | None
    """The id of the one whose stamps it carries."""
    run: DestinationRunView | None
    """While the task runs with several destinations; else see ``run`` of the task."""


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
    end_at: datetime | Literal["never"]
    series: SeriesView | None
    sources: list[SourceView]
    destination: str
    """Redacted as a source is; the first, if it has several."""
    destinations: list[DestinationView]
    """All of them, in order. The task's state is that of the first that is switched on."""
    destination_server: str | None
    """If server and key were given apart: the server, as it may be shown."""
    loops: int
    """How often the list is played; -1 is without end."""
    continue_strategy: Strategy
    pre_download: bool
    """Whether prepared files are kept in the cache."""
    latency: Latency
    """Of a live source; a list has none."""
    codecs: Codecs
    """What the destination is sent."""
    placement: list[str]
    """Labels that its worker must have."""
    priority: int
    """More is taken first when there is not room for all."""
    callback_url: str
    """Redacted; empty for none."""
    callback_failures: int
    """Failed callback attempts in a row; 0 once one was accepted."""
    callbacks_ended: bool
    """Whether the receiver has said that it wants no more callbacks (410)."""
    watermark: WatermarkView | None
    source_options: dict[str, Any]
    """How its sources are reached and what they are told, as they were given; what is secret is ``***``."""
    destination_options: dict[str, Any]
    """The same of its destination."""
    inputs: list[InputView]
    """Further inputs, in order of preference after the sources."""
    slate: SlateView | None
    switching: SwitchingView
    watch: dict[ContentFault, RuleView]
    """What the content is watched for."""
    inserts: list[InsertView]
    """Files that wait to be played over what is on air, the next one first."""
    pinned: int | Literal["slate"] | None
    """The input, or the slate, that was asked for by hand; null: by the rules."""
    note: str
    """What somebody wrote about it; empty for none."""
    run: RunView


class TaskPage(View):
    """One page of tasks, newest first."""

    tasks: list[TaskView]
    page: int
    size: int
    total: int
    """On all pages."""


class TokenView(View):
    """A bearer token."""

    token: str
    expires_at: datetime
    read_only: bool


class RequestView(View):
    """A task as a request. Secrets are shown as ``***`` and have to be filled in."""

    action: str
    """Of the compatible API."""
    body: dict[str, Any]
    """For that action."""
    rest_body: dict[str, Any]
    """For ``POST /tasks``."""
    python: str
    curl: str
    is_complete: bool
    """Whether it is complete, because the task contains no secrets."""
