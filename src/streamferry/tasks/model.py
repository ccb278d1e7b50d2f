"""What a task is, in our own words: shared by the store, the actions and every front end. No I/O.

The cloud API's names and types live in ``web.compat`` only; the data plane's spec is made from these values by the
service. Times are aware UTC datetimes, offsets seconds.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.slate import Slate
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark, check_place
from streamferry.relay.eyes.judge import NOTHING, Watch
from streamferry.relay.inputs.policy import SWITCHING, Switching
from streamferry.relay.spec import Codecs, Latency, Order
from streamferry.tasks.series import Series
from streamferry.tasks.texts import TaskTexts

DEFAULT_GROUP = "default"


class TaskKind(IntEnum):
    """What the source is."""

    LIVE = 0
    VOD = 1


class ContinueStrategy(IntEnum):
    """Where a VOD list resumes after a break."""

    AT_BREAK = 0
    AT_BREAK_PLUS_ELAPSED = 1


class ApiStatus(IntEnum):
    """Status of a task as the API shows it; the numbers are ``TaskStatus`` of the old typed clients."""

    DISABLED = 0
    NOT_STARTED = 1
    ACTIVE = 2
    ENDED = 3


class CallbackEvent(StrEnum):
    """The events that are sent as callbacks."""

    STARTING = "starting"
    STREAMING = "streaming"
    STALLED = "stalled"
    RETRYING = "retrying"
    ITEM_STARTED = "item_started"
    ITEM_FINISHED = "item_finished"
    ITEM_FAILED = "item_failed"
    DESTINATION_CHANGED = "destination_changed"
    STOPPED = "stopped"
    FAILED = "failed"
    ENDED = "ended"
    DELETED = "deleted"
    #: Something else came on air: another input, the slate, or a file that was inserted.
    SWITCHED = "switched"
    #: Something is wrong with the content that is sent, of a task that is watched; and no longer.
    CONTENT_FOUND = "content_found"
    CONTENT_OVER = "content_over"


class DeliveryState(StrEnum):
    """What became of a callback."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    #: It was not accepted for a day, or refused too often.
    DEAD = "dead"


class AuditKind(StrEnum):
    """What the audit stream records."""

    KEY_MADE = "key_made"
    KEY_REPLACED = "key_replaced"
    KEY_DISABLED = "key_disabled"
    SECRET_REPLACED = "callback_secret_replaced"
    SEAL_ROTATED = "seal_key_rotated"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    WORKER_OPENED = "worker_opened"
    WORKER_CORDONED = "worker_cordoned"
    WORKER_DRAINED = "worker_drained"
    BACKED_UP = "backed_up"
    RESTORED = "restored"


class SourceForm(StrEnum):
    """In which form the sources were given, so that a list shows them as they came."""

    #: One live address.
    SINGLE = "single"
    #: Files, each with the place where it begins to be played.
    STARTS = "starts"
    #: Files, each with the places where it begins and ends.
    RANGES = "ranges"


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One address. ``end_s`` 0 means to the file's end. ``url`` keeps its secrets out of ``repr``."""

    url: MediaUrl
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskDestination:
    """One of the destinations of a task. ``id`` is from 1 to 10; ``latency``: None is that of the task.

    ``backup_of``: the id of one before it: both carry the same stamps.
    """

    id: int
    url: MediaUrl
    name: str = ""
    enabled: bool = True
    latency: Latency | None = None
    options: PeerOptions = NO_OPTIONS
    backup_of: int | None = None


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What is shown when what comes before it cannot be; see ``relay.spec.Input``."""

    kind: TaskKind
    items: tuple[TaskItem, ...]
    warm: bool = False
    options: PeerOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class StoredMark:
    """A watermark whose picture is in the store, and is read only when needed. Raises ValueError for a bad position."""

    digest: str
    media_type: str
    size_bytes: int
    pos_x: float
    pos_y: float
    ratio: float

    def __post_init__(self) -> None:
        check_place(self.pos_x, self.pos_y, self.ratio)

    @property
    def reference(self) -> str:
        """What stands for the picture where it is not shown; in an update it means this picture."""
        return f"data:{self.media_type};sha256,{self.digest}"


@dataclass(frozen=True, slots=True)
class TaskSpec(TaskTexts):
    """What is wanted. Valid by construction of the front ends' checks; see ``tasks.checks`` for the rules.

    ``end_at``: ``times.NEVER`` is no end. ``series``: windows that recur; ``start_at`` and ``end_at`` are those of the
    one that runs or comes next. ``loops``: -1 endless, else at least 1; of no meaning for live. ``pre_download``: keep
    files in the cache. ``latency``: of a live source, of no meaning for a list. ``codecs``: what is sent.
    ``placement``: labels of the worker that it needs, and ``priority``: which task is taken first; see ``placement``.
    ``source_options``: of all sources. ``watermark``: as it
    was given, or as the store has it. ``destination`` and what begins with that word are of the first destination;
    ``others`` are the rest. ``inputs``, ``slate``, ``switching``, ``pinned``, ``orders``, ``watch``:
    see ``relay.spec.RelaySpec``.
    """

    kind: TaskKind
    items: tuple[TaskItem, ...]
    destination: MediaUrl
    start_at: datetime
    end_at: datetime
    title: str = ""
    group: str = DEFAULT_GROUP
    source_form: SourceForm = SourceForm.SINGLE
    loops: int = -1
    cycle_mode: int | None = None
    play_times: int | None = None
    continue_strategy: ContinueStrategy = ContinueStrategy.AT_BREAK
    pre_download: bool = True
    latency: Latency = Latency.NORMAL
    codecs: Codecs = Codecs.ANY
    placement: tuple[str, ...] = ()
    priority: int = 0
    callback_url: str = ""
    watermark: Watermark | StoredMark | None = None
    source_options: PeerOptions = NO_OPTIONS
    destination_options: PeerOptions = NO_OPTIONS
    series: Series | None = None
    destination_id: int = 1
    destination_name: str = ""
    destination_enabled: bool = True
    destination_latency: Latency | None = None
    others: tuple[TaskDestination, ...] = ()
    inputs: tuple[TaskInput, ...] = ()
    slate: Slate | None = None
    switching: Switching = SWITCHING
    pinned: int | None = None
    orders: tuple[Order, ...] = ()
    watch: Watch = NOTHING

    @property
    def destinations(self) -> tuple[TaskDestination, ...]:
        """All of them, in order."""
        first = TaskDestination(
            self.destination_id,
            self.destination,
            self.destination_name,
            self.destination_enabled,
            self.destination_latency,
            self.destination_options,
        )
        return first, *self.others

    @property
    def pushed(self) -> tuple[TaskDestination, ...]:
        """Those that are switched on."""
        return tuple(one for one in self.destinations if one.enabled)

    @property
    def opens_at(self) -> datetime:
        """From when a worker has it: in a series with the slate between its windows from the first of them on."""
        since = self.series.slate_from if self.series is not None else None
        return self.start_at if since is None else min(since, self.start_at)

    @property
    def encodes(self) -> bool:
        """Whether its worker has to encode for it, or may have to."""
        brings_into_form = (self.inputs or self.slate is not None) and not self.switching.normalize.copies
        return self.watermark is not None or self.codecs is not Codecs.ANY or bool(brings_into_form)

    @property
    def overlaps(self) -> bool:
        """Whether all its destinations take a second publisher while it moves to another worker."""
        return all(one.options.overlap for one in self.pushed)


def decide_api_status(
    *, enabled: bool, start_at: datetime, end_at: datetime, finished: bool, now: datetime
) -> ApiStatus:
    """Status as the API shows it: disabled first, then the clock, then a finite list that ended."""
    if not enabled:
        return ApiStatus.DISABLED
    if now < start_at:
        return ApiStatus.NOT_STARTED
    if finished or now >= end_at:
        return ApiStatus.ENDED
    return ApiStatus.ACTIVE
