"""What a run is doing, as far as it can be known: derived from media that left, not from intent."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.judge import ContentFault


class State(StrEnum):
    """States of a run. ``STOPPED``, ``ENDED`` and ``FAILED`` are final."""

    WAITING = "waiting"
    PREPARING = "preparing"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    STALLED = "stalled"
    RETRYING = "retrying"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether a run in this state has ended for good."""
        return self in (State.STOPPED, State.ENDED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Playhead:
    """How far a VOD list has played: loop and item count from 0, position in ms from the item's own start."""

    loop: int = 0
    item: int = 0
    position_ms: int = 0


#: The beginning of a list.
START = Playhead()


class ItemStep(StrEnum):
    """The steps of an item of a list that are reported."""

    #: Its first media is being sent.
    STARTED = "item_started"
    #: Its last media is being sent.
    FINISHED = "item_finished"
    #: It could not be played, or not to its end; the list continues.
    FAILED = "item_failed"


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A step of an item. ``playhead`` is where it happened: the beginning, for an item that was never opened."""

    step: ItemStep
    playhead: Playhead
    fault: Fault | None = None
    why: Reason | None = None

    @property
    def reason(self) -> str | None:
        """``why`` in English."""
        return None if self.why is None else str(self.why)


class Shown(StrEnum):
    """What kind of thing is on air."""

    INPUT = "input"
    SLATE = "slate"
    INSERT = "insert"


@dataclass(frozen=True, slots=True)
class OnAir:
    """What is on air where there are several inputs or a slate: since when, and why.

    ``input``: its number, 0 for the source; None for a slate and for a file that was inserted. ``file``: address of the
    inserted file that ``why`` is about, as it may be shown; empty if it is about none.
    """

    shown: Shown
    since: datetime
    why: Reason
    input: int | None = None
    file: str = ""

    def __str__(self) -> str:
        return str(self.shown) if self.input is None else f"input {self.input}"

    def replaced(self) -> "OnAir":
        """What is on air when another run begins: its first input."""
        code = Code.ON_AIR_INSERT_OVER if self.shown is Shown.INSERT else Code.ON_AIR_EDITED
        return OnAir(Shown.INPUT, datetime.now(UTC), Reason.of(code), 0, self.file)


@dataclass(frozen=True, slots=True)
class Switch:
    """Something else came on air: ``after`` instead of ``before``, whose reason is that of ``after``."""

    before: OnAir
    after: OnAir


@dataclass(frozen=True, slots=True)
class Moved:
    """The destination with that id has asked to go on in another session; what came of it."""

    destination: str
    why: Reason


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with the content that is sent, since when, and in words as it was found."""

    fault: ContentFault
    since: datetime
    why: Reason


class Sense(StrEnum):
    """What content is watched by."""

    PICTURE = "picture"
    SOUND = "sound"


@dataclass(frozen=True, slots=True)
class Unseen:
    """What is to be watched of the content and cannot be, since when, and in words why: nothing is known of it."""

    sense: Sense
    since: datetime
    why: Reason


@dataclass(frozen=True, slots=True)
class Unready:
    """An input that is not on the air and could not be shown now, though it is tried, and why. ``which``: its number;
    -1: the slate."""

    which: int
    why: Reason


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a run from streaming: from a failure until it has streamed for ``vitals.CALM_S`` without a break.

    ``fault`` and ``why`` are those of the last failure; ``tries``: how many sessions were lost or refused meanwhile,
    by this run and by those before it.
    """

    fault: Fault
    why: Reason
    tries: int = 0

    @property
    def reason(self) -> str:
        """``why`` in English."""
        return str(self.why)


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One of several destinations of a run, as if the run had no other; ``id`` is that of its spec.

    See ``RelayStatus`` for each. ``retries`` are those of this destination, and not of the source.
    """

    id: str
    state: State
    bytes_out: int = 0
    kbps_out: int = 0
    dropped_tags: int = 0
    lost_ms: int = 0
    rtt_ms: float | None = None
    retries: int = 0
    fault: Fault | None = None
    why: Reason | None = None
    trouble: Trouble | None = None

    @property
    def reason(self) -> str | None:
        """``why`` in English."""
        return None if self.why is None else str(self.why)


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """A snapshot of a run. Counters are totals since it began; rates are over the last inspection (about 1 s).

    With several ``destinations``, bytes and rates are those of all, and the rest is that of the first.
    """

    state: State
    media_time_ms: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    kbps_in: int = 0
    kbps_out: int = 0
    dropped_tags: int = 0
    #: Media that no destination was given: it was away or too slow, or a list that keeps time left it out.
    lost_ms: int = 0
    #: What never came of a live source: packets of RTP or MPEG-TS, segments of HLS.
    lost_packets: int = 0
    #: Of the present RTMP session, about a second old (``net.tcp_info``): the round trip, TCP segments that were sent
    #: again, and what the line took in its last burst.
    rtt_ms: float | None = None
    retransmits: int | None = None
    delivery_kbps: int | None = None
    #: How long ago the server acknowledged media; None if it never has in this session, as many do not.
    server_ack_s: float | None = None
    retries: int = 0
    repairs: int = 0
    #: How far the clock of a live source's sound has run ahead of that of its picture (negative: behind), for which
    #: sound is restamped; None while that is not known.
    sound_drift_ms: int | None = None
    playhead: Playhead | None = None
    #: Where the item at the playhead ends, in ms from the file's start, once the whole file is known.
    item_end_ms: int | None = None
    preparing_percent: float | None = None
    fault: Fault | None = None
    why: Reason | None = None
    #: Stays between two tries; while it is set the task is in trouble, whatever the state is.
    trouble: Trouble | None = None
    #: Each of several, in order; empty when there is one.
    destinations: tuple[DestinationStatus, ...] = ()
    #: What is on air; None where there is only one source.
    on_air: OnAir | None = None
    #: What is wrong with the content, if that is watched (``RelaySpec.watch``) and the run streams.
    found: tuple[Found, ...] = ()
    #: What of it cannot be watched though that is asked for.
    unseen: tuple[Unseen, ...] = ()
    #: What could not be shown instead of what is on air.
    unready: tuple[Unready, ...] = ()

    @property
    def reason(self) -> str | None:
        """``why`` in English."""
        return None if self.why is None else str(self.why)

    @property
    def final(self) -> bool:
        """Whether this run is over."""
        return self.state.is_final


@dataclass(frozen=True, slots=True)
class Totals:
    """What relays have done since they began, including ended ones. ``retries`` counts by whose fault they were."""

    bytes_in: int = 0
    bytes_out: int = 0
    dropped_tags: int = 0
    repairs: int = 0
    retries: Counter[Fault] = field(default_factory=Counter)

    @classmethod
    def sum(cls, parts: Iterable["Totals"]) -> "Totals":
        """The sum of all."""
        bytes_in = bytes_out = dropped_tags = repairs = 0
        retries: Counter[Fault] = Counter()
        for part in parts:
            bytes_in += part.bytes_in
            bytes_out += part.bytes_out
            dropped_tags += part.dropped_tags
            repairs += part.repairs
            retries.update(part.retries)
        return cls(bytes_in, bytes_out, dropped_tags, repairs, retries)
