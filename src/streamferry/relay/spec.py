"""What one run is to do. Frozen: a change is a new spec."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from math import inf

from streamferry.media.peer_options import NO_OPTIONS, End, PeerOptions, check_use
from streamferry.media.slate import Slate
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.net.listening import DatagramPlace, srt_mode
from streamferry.net.s3 import check_s3
from streamferry.prepare.processing import FIRST, Normalize
from streamferry.reasons import Code, InvalidPart, InvalidValue
from streamferry.relay.eyes.judge import NOTHING, Watch
from streamferry.relay.inputs.policy import SLATE, SWITCHING, Switching
from streamferry.relay.orders import ORDER_STALE_S as ORDER_STALE_S
from streamferry.relay.orders import Item as Item
from streamferry.relay.orders import Order as Order
from streamferry.relay.status import START, Playhead
from streamferry.timeline.pace import LEAD_MS as LEAD_MS

ENDLESS = -1
#: As in the cloud API, so that a spec fits any front end.
MAX_ITEMS = 30
#: Destinations of one relay.
MAX_DESTINATIONS = 10
#: What can be pulled live, played as a file, and pushed to: front ends refuse the rest before a run exists.
LIVE_SCHEMES = frozenset(("rtmp", "rtmps", "http", "https", "rtsp", "rtsps", "srt", "udp"))
VOD_SCHEMES = frozenset(("file", "http", "https", "s3"))
PUSH_SCHEMES = frozenset(("rtmp", "rtmps", "srt", "http", "https"))
#: Inputs of a task, with the first one.
MAX_INPUTS = 5
#: Shorter pauses are those of a network and of a server that restarts; a day is as good as never.
LEAST_SWITCH_S, MOST_SWITCH_S = 1.0, 86_400.0
_PORT_NEEDED = frozenset(("srt", "udp"))


def check_source(url: MediaUrl, *, is_live: bool) -> None:
    """Raises ValueError, with a message for the user, for an address that cannot be pulled live or played."""
    if url.scheme not in (LIVE_SCHEMES if is_live else VOD_SCHEMES):
        kind = "live" if is_live else "VOD"
        raise InvalidValue(Code.ADDRESS_KIND_SCHEME, kind=kind, scheme=url.scheme)
    _check_parts(url)


def check_destination(url: MediaUrl) -> None:
    """Raises ValueError, with a message for the user, for an address that cannot be pushed to."""
    if url.scheme not in PUSH_SCHEMES:
        raise InvalidValue(Code.ADDRESS_PUSH_SCHEME)
    if url.scheme in ("http", "https") and not (url.path.endswith(".m3u8") or url.query.endswith(".m3u8")):
        raise InvalidValue(Code.ADDRESS_PUSH_PLAYLIST)
    _check_parts(url)


def check_options(field: str, end: End, options: PeerOptions, urls: Iterable[MediaUrl]) -> None:
    """Raises InvalidPart naming the option, in the field ``field``, that these addresses have no use for."""
    try:
        check_use(end, options, urls)
    except InvalidPart as error:
        raise InvalidPart(f"{field}.{error.name}", error.why) from None


def _check_parts(url: MediaUrl) -> None:
    if url.is_rtmp:
        _ = url.app_and_key
    if url.scheme in _PORT_NEEDED and not url.port:
        raise InvalidValue(Code.ADDRESS_NO_PORT, scheme=url.scheme)
    if url.scheme == "srt":
        srt_mode(url)
    if url.scheme == "udp":
        DatagramPlace.of(url)
    if url.scheme == "s3":
        check_s3(url)


@contextmanager
def _named(field: str) -> Iterator[None]:
    try:
        yield
    except InvalidValue as error:
        raise InvalidPart(field, error.why) from None


class Latency(Enum):
    """How much latency a relay may add to a live source: the beat visits it less often the more it is, and costs less.

    Of a list it says nothing: its media is sent ahead of its time.
    """

    LOW = "low"
    NORMAL = "normal"
    DENSE = "dense"

    @property
    def visits(self) -> int:
        """Visits in a turn of the beat: every 80, 160 or 320 ms."""
        return {Latency.LOW: 4, Latency.NORMAL: 2, Latency.DENSE: 1}[self]

    @property
    def unsent_bytes(self) -> int:
        """What the kernel may hold unsent between two visits: 52 Mbps."""
        return (2 << 20) // self.visits


class Codecs(Enum):
    """What it is sent: what the source sends, only H.264 and AAC, or what it lists; else that is encoded to H.264."""

    ANY = "any"
    H264 = "h264"
    H264_IF_NEEDED = "h264_if_needed"


@dataclass(frozen=True, slots=True)
class Destination:
    """One of the destinations of a relay. ``id``: by which it stays the same one when its spec changes.

    ``latency``: None is that of the relay. ``backup_of``: the id of one before it; both carry the same stamps.
    """

    id: str
    url: MediaUrl
    options: PeerOptions = NO_OPTIONS
    latency: Latency | None = None
    backup_of: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """What a relay shows when what comes before it in order cannot be: a live stream, or a list without end.

    ``warm``: a live one is pulled all the time, so that it is on air at once; else it is opened when it is needed.
    """

    items: tuple[Item, ...]
    is_live: bool
    warm: bool = False
    options: PeerOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """Source, destination and limits of one relay. Build it with :meth:`live` or :meth:`vod`.

    ``playhead``: where a list begins: loop, item, and position in ms from the file's start. ``duration_s``: end after
    this long. ``patience_s``: give up if nothing was ever streamed for this long; once it has streamed a relay retries
    until its duration is over. None: no limit.

    ``watermark`` is laid over the picture: of files once, when they are prepared, of a live stream all the time.
    ``silence``: sources without sound get silent AAC. ``latency``: of a live source. ``codecs``: what the
    destination is sent. ``source_options`` and ``destination_options``: how these peers are reached and what they are
    told, all sources alike. ``others``: further destinations, in order, besides the first one, whose id is
    ``destination_id``.

    ``more_inputs``: what is shown while the source cannot be, by preference, and ``slate`` while none of them can be;
    ``switching`` has the rules, and ``pinned`` is the input (or ``SLATE``) that was asked for by hand.
    ``windows``: from when to when inputs may be on air, in Unix seconds; between them and after the last only the slate
    is. Without any there are no such limits.
    ``orders``: the last ones, in order of their numbers. ``watch``: what the content is watched for.

    For files: ``normalize`` says how different ones become one stream; ``pre_download`` False keeps none after it has
    played; ``keeps_time``: after an outage of an end a list resumes where it would be without it, else where it broke.
    """

    destination: MediaUrl
    items: tuple[Item, ...]
    is_live: bool
    loops: int = ENDLESS
    playhead: Playhead = START
    duration_s: float | None = None
    patience_s: float | None = None
    normalize: Normalize = FIRST
    silence: bool = True
    watermark: Watermark | None = None
    pre_download: bool = True
    keeps_time: bool = False
    latency: Latency = Latency.NORMAL
    codecs: Codecs = Codecs.ANY
    source_options: PeerOptions = NO_OPTIONS
    destination_options: PeerOptions = NO_OPTIONS
    destination_id: str = ""
    others: tuple[Destination, ...] = ()
    more_inputs: tuple[Input, ...] = ()
    slate: Slate | None = None
    switching: Switching = SWITCHING
    pinned: int | None = None
    orders: tuple[Order, ...] = ()
    watch: Watch = NOTHING
    windows: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        with _named("destination"):
            check_destination(self.destination)
        if self.others:
            self._check_others()
        if not 1 <= len(self.items) <= MAX_ITEMS:
            raise InvalidPart("sources", Code.FIELD_SOURCE_COUNT, count=MAX_ITEMS)
        if self.is_live and len(self.items) > 1:
            raise InvalidPart("sources", Code.FIELD_ONE_LIVE_SOURCE)
        for item in self.items:
            with _named("sources"):
                check_source(item.url, is_live=self.is_live)
            if not (0 <= item.start_s < inf and 0 <= item.end_s < inf):
                raise InvalidPart("offset", Code.FIELD_OFFSET)
            if 0 < item.end_s <= item.start_s:
                raise InvalidPart("end offset", Code.FIELD_END_OFFSET)
        end = End.LIVE if self.is_live else End.FILES
        check_options("source_options", end, self.source_options, [item.url for item in self.items])
        check_options("destination_options", End.DESTINATION, self.destination_options, [self.destination])
        if self.loops != ENDLESS and self.loops < 1:
            raise InvalidPart("loop", Code.FIELD_LOOPS)
        if not 0 <= self.playhead.item < len(self.items):
            raise InvalidPart("playhead", Code.FIELD_PLAYHEAD)
        for name, seconds in (("duration", self.duration_s), ("patience", self.patience_s)):
            if seconds is not None and not 0 < seconds < inf:
                raise InvalidPart(name, Code.FIELD_POSITIVE_SECONDS)
        self._check_inputs()

    def _check_inputs(self) -> None:
        if len(self.more_inputs) >= MAX_INPUTS:
            raise InvalidPart("inputs", Code.FIELD_INPUT_COUNT, count=MAX_INPUTS - 1)
        for number, one in enumerate(self.more_inputs):
            with _named(f"inputs[{number}]"):
                if not 1 <= len(one.items) <= MAX_ITEMS:
                    raise InvalidValue(Code.FIELD_SOURCE_COUNT, count=MAX_ITEMS)
                if one.is_live and len(one.items) > 1:
                    raise InvalidValue(Code.FIELD_ONE_LIVE_SOURCE)
                for item in one.items:
                    check_source(item.url, is_live=one.is_live)
            end = End.LIVE if one.is_live else End.FILES
            check_options(f"inputs[{number}].options", end, one.options, [item.url for item in one.items])
        rules = self.switching
        for name, seconds, least in (
            ("switch_after_s", rules.switch_after_s, LEAST_SWITCH_S),
            ("return_after_s", rules.return_after_s, 0.0),
        ):
            if not least <= seconds <= MOST_SWITCH_S:
                raise InvalidPart(name, Code.FIELD_SWITCH_SECONDS, least=least, most=MOST_SWITCH_S)
        if self.pinned is not None and not (
            0 <= self.pinned <= len(self.more_inputs) or (self.pinned == SLATE and self.slate is not None)
        ):
            raise InvalidPart("input", Code.FIELD_NO_SUCH_INPUT, count=len(self.more_inputs))

    @property
    def is_plain(self) -> bool:
        """Whether one live source, or list, is all that there may be to show."""
        return not self.more_inputs and self.slate is None

    @property
    def has_list_flow(self) -> bool:
        """Whether it is one list to one destination, which has a flow of its own: all else runs on that of live
        sources."""
        return self.is_plain and not self.is_live and not self.others

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs, by preference: the source is the first, and always open."""
        return (Input(self.items, self.is_live, True, self.source_options), *self.more_inputs)

    def _check_others(self) -> None:
        if len(self.others) >= MAX_DESTINATIONS:
            raise InvalidPart("destinations", Code.FIELD_DESTINATION_COUNT, count=MAX_DESTINATIONS)
        before: dict[str, MediaUrl] = {self.destination_id: self.destination}
        for other in self.others:
            with _named("destinations"):
                check_destination(other.url)
            check_options("destinations", End.DESTINATION, other.options, [other.url])
            if other.id in before:
                raise InvalidPart("destinations", Code.FIELD_DESTINATION_TWICE, name=other.id)
            if other.backup_of is not None:
                pair = (before.get(other.backup_of), other.url)
                if not all(url is not None and url.is_rtmp for url in pair):
                    raise InvalidPart("destinations", Code.FIELD_BACKUP_OF, name=other.id)
            before[other.id] = other.url

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """All of them, in order."""
        return Destination(self.destination_id, self.destination, self.destination_options), *self.others

    @property
    def visits(self) -> int:
        """Visits in a turn of the beat: those of the destination that may be the least late."""
        return max((other.latency or self.latency).visits for other in self.destinations)

    @property
    def list_key(self) -> tuple[object, ...]:
        """Everything that determines what is played: equal for two specs whose sources need no change."""
        return (
            *(self.items, self.source_options, self.loops, self.playhead),
            *(self.normalize, self.silence, self.watermark, self.codecs, self.pre_download),
            *(self.more_inputs, self.slate),
        )

    @property
    def on_air_key(self) -> tuple[object, ...]:
        """What decides which input is on air: equal for two specs that show the same of the same inputs."""
        return (self.switching, self.pinned, self.orders, self.windows)

    @classmethod
    def live(
        cls,
        source: MediaUrl,
        destination: MediaUrl,
        *,
        duration_s: float | None = None,
        patience_s: float | None = None,
        silence: bool = True,
        watermark: Watermark | None = None,
        latency: Latency = Latency.NORMAL,
        codecs: Codecs = Codecs.ANY,
        source_options: PeerOptions = NO_OPTIONS,
        destination_options: PeerOptions = NO_OPTIONS,
        destination_id: str = "",
        others: tuple[Destination, ...] = (),
    ) -> "RelaySpec":
        """A relay of a live stream. Raises ValueError naming the field."""
        return cls(
            destination,
            (Item(source),),
            True,
            duration_s=duration_s,
            patience_s=patience_s,
            silence=silence,
            watermark=watermark,
            latency=latency,
            codecs=codecs,
            source_options=source_options,
            destination_options=destination_options,
            destination_id=destination_id,
            others=others,
        )

    @classmethod
    def vod(
        cls,
        items: Iterable[Item],
        destination: MediaUrl,
        *,
        loops: int = ENDLESS,
        playhead: Playhead = START,
        duration_s: float | None = None,
        patience_s: float | None = None,
        normalize: Normalize = FIRST,
        silence: bool = True,
        watermark: Watermark | None = None,
        codecs: Codecs = Codecs.ANY,
        pre_download: bool = True,
        keeps_time: bool = False,
        source_options: PeerOptions = NO_OPTIONS,
        destination_options: PeerOptions = NO_OPTIONS,
        destination_id: str = "",
        others: tuple[Destination, ...] = (),
    ) -> "RelaySpec":
        """A relay of files played in order, ``loops`` times. Raises ValueError naming the field."""
        return cls(
            destination,
            tuple(items),
            False,
            loops=loops,
            playhead=playhead,
            duration_s=duration_s,
            patience_s=patience_s,
            normalize=normalize,
            silence=silence,
            watermark=watermark,
            codecs=codecs,
            pre_download=pre_download,
            keeps_time=keeps_time,
            source_options=source_options,
            destination_options=destination_options,
            destination_id=destination_id,
            others=others,
        )
