"""One pull of a live source for all relays of a process that want the same one.

The first relay pulls by itself, as if it were alone. When another one asks for the same source, the inlet goes behind a
``Hub`` that both read from. The hub receives when a reader has read all that there is. What comes is copied once and
kept until every reader has it, and from the last keyframe on: a reader that comes later begins there, with the headers,
as a player does at a server. Nobody waits for a reader that does not read: beyond a limit it loses its place, and its
relay opens the source anew. The source ends for all readers with the same error. Who leaves last closes it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Protocol

from streamferry.media.errors import SourceError, SourceStalled
from streamferry.media.tag import (
    AUDIO,
    KEPT_TAG_BYTES,
    KEYFRAME,
    METADATA,
    SCRIPT,
    SEQUENCE_HEADER,
    SIDE_DATA,
    VIDEO,
    Tag,
    kind_of_audio,
    kind_of_video,
)
from streamferry.reasons import Code
from streamferry.source.live import MANY_TAGS, LiveInlet

#: Most that is kept of a group of pictures, in media time and in bytes: 10 s at 13 Mbps. A reader that has not read for
#: this long by the clock, or leaves so many bytes, loses its place. Stamps say nothing about a reader: what comes at
#: once may last for longer, and they may jump.
MAX_KEPT_MS = 10_000
MAX_KEPT_BYTES = 16 << 20
_HEADERS = (SEQUENCE_HEADER, SIDE_DATA, METADATA)


class Hub:
    """See the module. ``headers``: what came before it, and a reader needs first."""

    def __init__(
        self, inlet: LiveInlet, headers: Iterable[Tag] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.inlet = inlet
        self._clock = clock
        #: When it last received.
        self.heard_at = clock()
        self.error: SourceError | None = None
        self._headers: dict[tuple[int, int], Tag] = {}
        self._tags: list[Tag] = []
        self._bytes = 0
        #: How many tags are not kept any more, and the place of the last keyframe; -1: it is not kept.
        self._gone, self._group_at = 0, -1
        self.readers: list[HubInlet] = []
        for tag in headers:
            self._keep_header((tag[0], tag[1], bytes(tag[2])))

    @property
    def end(self) -> int:
        """The place of the next tag; the first ever is at 0."""
        return self._gone + len(self._tags)

    def join(self) -> "HubInlet":
        """A reader that begins with the headers and the group of pictures that is being sent."""
        reader = HubInlet(self, self.end if self._group_at < 0 else self._group_at, is_late=True)
        self.readers.append(reader)
        return reader

    def take_over(self) -> "HubInlet":
        """The reader that goes on for who had the inlet alone: with what comes next."""
        reader = HubInlet(self, self.end, is_late=False)
        self.readers.append(reader)
        return reader

    @property
    def headers(self) -> list[Tag]:
        """What a reader needs first."""
        return list(self._headers.values())

    def read(self, at: int, out: list[Tag]) -> int:
        """Append the tags from ``at`` on, not too many at once; where the next one is."""
        begin = at - self._gone
        some = self._tags[begin : begin + MANY_TAGS]
        out.extend(some)
        return at + len(some)

    def stamp_at(self, at: int) -> int:
        """The stamp of a tag that is kept."""
        return self._tags[at - self._gone][1]

    def receive(self, scratch: memoryview) -> None:
        """Receive once, and keep what came for all readers."""
        tags: list[Tag] = []
        before, begin = self.heard_at, self.end
        self.heard_at = self._clock()
        try:
            self.inlet.pull(scratch, tags)
        except SourceError as error:
            self.error = error
        for tag in tags:
            kept = (tag[0], tag[1], bytes(tag[2]))
            if self._is_keyframe(kept):
                self._group_at = self.end
            self._tags.append(kept)
            self._bytes += len(kept[2]) + KEPT_TAG_BYTES
        if tags:
            self._let_go(begin, before)

    def _is_keyframe(self, tag: Tag) -> bool:
        """Whether a reader can begin with it; a header is kept by the way."""
        if tag[0] == SCRIPT:
            self._keep_header(tag)
            return False
        kind = (kind_of_video if tag[0] == VIDEO else kind_of_audio)(tag[2])
        if kind in _HEADERS:
            self._keep_header(tag)
        return tag[0] == VIDEO and kind == KEYFRAME

    def _keep_header(self, tag: Tag) -> None:
        kind = METADATA
        if tag[0] in (AUDIO, VIDEO):
            kind = (kind_of_video if tag[0] == VIDEO else kind_of_audio)(tag[2])
        self._headers[tag[0], kind] = tag

    def _let_go(self, begin: int, before: float) -> None:
        """Keep no more than is needed. What came ``begin`` on nobody could read yet, nor anything after ``before``."""
        for one in list(self.readers):
            if one.at < begin and one.read_at < before - MAX_KEPT_MS / 1000:
                one.lose()
        self._drop_read()
        if self._is_full:
            self._group_at = -1
            self._drop_read()
        while self._bytes > MAX_KEPT_BYTES:
            slow = [one for one in self.readers if one.at < begin]
            if not slow:
                break
            min(slow, key=lambda one: one.at).lose()
            self._drop_read()

    @property
    def _is_full(self) -> bool:
        if len(self._tags) < 2:
            return False
        span_ms = (self._tags[-1][1] - self._tags[0][1]) & 0xFFFFFFFF
        # A step back in time is no length.
        return self._bytes > MAX_KEPT_BYTES or MAX_KEPT_MS < span_ms < 1 << 31

    def _drop_read(self) -> None:
        place = min((one.at for one in self.readers), default=self.end)
        if self._group_at >= 0:
            place = min(place, self._group_at)
        count = place - self._gone
        if count > 0:
            self._bytes -= sum(len(tag[2]) for tag in self._tags[:count]) + count * KEPT_TAG_BYTES
            del self._tags[:count]
            self._gone = place


class HubInlet:
    """A ``LiveInlet`` that reads from a hub."""

    def __init__(self, hub: Hub, at: int, *, is_late: bool) -> None:
        self.at = at
        #: When there was last nothing more to read for it, or it took some of it.
        self.read_at = hub.heard_at
        self._hub: Hub | None = hub
        self._inlet = hub.inlet
        self._is_late = is_late
        # What was lost before it came was not lost to it.
        self._lost_before = hub.inlet.lost_packets if is_late else 0
        self._note()

    def _note(self) -> None:
        """What the source tells of itself, whoever receives."""
        self.silence_s, self.is_mute = self._inlet.silence_s, self._inlet.is_mute

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet``."""
        return self._inlet.lost_packets - self._lost_before

    @property
    def is_lost(self) -> bool:
        """Whether it has lost its place, or left."""
        return self._hub is None

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet``. Bodies are bytes, whatever becomes of ``scratch``."""
        hub = self._hub
        if hub is None:
            raise SourceStalled(Code.SOURCE_NOT_READ, seconds=MAX_KEPT_MS / 1000)
        if self.at == hub.end and hub.error is None:
            hub.receive(scratch)
        self._note()
        self.read_at = hub.heard_at
        count = len(out)
        if self._is_late and self.at < hub.end:
            self._is_late = False
            stamp_ms = hub.stamp_at(self.at)
            out.extend((tag[0], stamp_ms, tag[2]) for tag in hub.headers)
        self.at = hub.read(self.at, out)
        if self.at == hub.end and hub.error is not None:
            raise hub.error
        return sum(len(tag[2]) for tag in out[count:])

    def lose(self) -> None:
        """It has not read for too long."""
        self._leave()

    def close(self) -> None:
        """See ``LiveInlet``; the source stays open for the others."""
        self._leave()

    def _leave(self) -> None:
        if self._hub is not None:
            self._hub.readers.remove(self)
            self._hub = None


class SoleFeed(Protocol):
    """What pulls an inlet by itself until it is shared."""

    @property
    def source_headers(self) -> Iterable[Tag]:
        """What its source sent that a viewer needs before the next frame."""

    def read_from(self, inlet: LiveInlet) -> None:
        """Go on with what comes from there: the same stream, without a gap."""


class Pull:
    """One source that is open. Each relay that pulls it has a ``Share``."""

    def __init__(self) -> None:
        #: None: who was to open it was stopped.
        self.opened: asyncio.Future[LiveInlet | None] = asyncio.get_running_loop().create_future()
        self.hub: Hub | None = None
        self.sole: SoleFeed | None = None
        self.shares = 0

    @property
    def inlet(self) -> LiveInlet:
        """The source, once it is open."""
        inlet = self.opened.result()
        assert inlet is not None
        return inlet

    def share(self) -> LiveInlet:
        """An inlet for one more."""
        return self.require_hub().join()

    def require_hub(self) -> Hub:
        """The hub; from now on there is one."""
        if self.hub is None:
            sole = self.sole
            self.hub = Hub(self.inlet, sole.source_headers if sole is not None else ())
            if sole is not None:
                sole.read_from(self.hub.take_over())
                self.sole = None
        return self.hub


class Share:
    """A relay's part of a pull. ``origin``: what the source is read by, which tells its kind."""

    def __init__(self, pull: Pull, inlet: LiveInlet, forget: Callable[[], None]) -> None:
        """``forget``: whoever asks from then on does not get this pull."""
        self.inlet = inlet
        self.origin = pull.inlet
        self._pull = pull
        self._forget: Callable[[], None] | None = forget
        pull.shares += 1

    def pulled_by(self, feed: SoleFeed) -> None:
        """It is the only one so far, and pulls by itself."""
        if self._pull.hub is None:
            self._pull.sole = feed

    def give_up(self) -> None:
        """Its source sends nothing that is of use: who asks from now on opens it anew, this relay among them.

        Else relays that give up in turns would hand a dead connection to each other for ever. One that did not read
        may come back to it.
        """
        is_lost = isinstance(self.inlet, HubInlet) and self.inlet.is_lost
        if self._forget is not None and not is_lost:
            self._forget()

    def close(self) -> None:
        """Leave it; who is the last closes the source."""
        if self._forget is None:
            return
        forget, self._forget = self._forget, None
        if self.inlet is not self.origin:
            self.inlet.close()
        self._pull.shares -= 1
        if not self._pull.shares:
            self.origin.close()
            forget()


class SharedPulls:
    """The pulls of a process, by what distinguishes one from another: address and options."""

    def __init__(self) -> None:
        self._pulls: dict[Hashable, Pull] = {}

    async def open(self, key: Hashable, opener: Callable[[], Awaitable[LiveInlet]], *, alone: bool) -> Share:
        """A share of the pull of that key, which ``opener`` opens if there is none. Raises SourceError.

        ``alone``: whether it can be told to read from a hub later (``pulled_by``); else it does from the beginning.
        """
        while (pull := self._pulls.get(key)) is not None:
            if await asyncio.shield(pull.opened) is None:
                continue
            # What has ended is closed by who notices; the next one opens it anew.
            if self._pulls.get(key) is pull and (pull.hub is None or pull.hub.error is None):
                return self._join(key, pull)
            self._forget(key, pull)
        made = self._pulls[key] = Pull()
        try:
            made.opened.set_result(await opener())
        except SourceError as error:
            self._forget(key, made)
            made.opened.set_exception(error)
            # Nobody else may wait for it.
            made.opened.exception()
            raise
        except BaseException:
            self._forget(key, made)
            made.opened.set_result(None)
            raise
        inlet: LiveInlet = made.inlet if alone else made.require_hub().take_over()
        return Share(made, inlet, lambda: self._forget(key, made))

    def _join(self, key: Hashable, pull: Pull) -> Share:
        return Share(pull, pull.share(), lambda: self._forget(key, pull))

    def _forget(self, key: Hashable, pull: Pull) -> None:
        if self._pulls.get(key) is pull:
            del self._pulls[key]
