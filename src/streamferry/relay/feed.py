"""Feeds: what a flow pulls its tags from. A live one follows its source's pace, a file one keeps the schedule."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streamferry.media.errors import MediaError, SourceStalled
from streamferry.media.tag import KEYFRAME, SCRIPT, VIDEO, LaidTag, Tag
from streamferry.push import Outlet, WhenLate
from streamferry.reasons import Code
from streamferry.relay.beat import RING_S
from streamferry.relay.drift import Drift
from streamferry.relay.list_position import move
from streamferry.relay.silence import Silence
from streamferry.relay.spec import Item
from streamferry.relay.status import ItemStep, Playhead
from streamferry.source.live import LiveInlet
from streamferry.source.prepared import PreparedReader
from streamferry.timeline import Pace, Timeline
from streamferry.timeline.pace import LEAD_MS

#: If media arrives for this long and none of it can be laid, it has no keyframes: three times the longest default
#: keyframe interval of encoders (x264: 250 frames).
UNUSABLE_S = 30.0
#: Sound that goes on for this long without its picture is that of a camera that hangs: the timeline lets sound wait as
#: long for a picture. A picture that was never there for as long is none to miss, such as what a server had kept.
PICTURE_LOST_S = 15.0


class LiveFeed:
    """One live session. ``pull`` raises SourceError when the session is over.

    ``silence``: whether a source without sound gets a silent track; ``drift``: corrects the drift of its sound.
    """

    #: A live source cannot be held back.
    when_late = WhenLate.DROP

    def __init__(
        self,
        inlet: LiveInlet,
        timeline: Timeline,
        scratch: memoryview,
        now: float,
        *,
        silence: bool = False,
        drift: Drift | None = None,
    ) -> None:
        self._inlet = inlet
        self._timeline = timeline
        self._scratch = scratch
        #: See ``relay.flow.Feed``.
        self.media_at = now
        self._began_at = now
        self._has_laid = False
        self._picture_at = now
        self._drift = drift
        if drift is not None:
            drift.begin_session()
        self._silence = Silence(is_known=inlet.is_mute) if silence else None
        #: Bytes received in this session.
        self.bytes_in = 0
        timeline.begin_live()

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""
        return self._drift.sound_ms if self._drift is not None else None

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Receive once and lay what came; bodies are views of the scratch buffer."""
        tags: list[Tag] = []
        try:
            self.bytes_in += self._inlet.pull(self._scratch, tags)
        finally:
            # Complete tags that came before a source broke count too.
            if tags:
                if tags[0][0] != SCRIPT or any(tag[0] != SCRIPT for tag in tags):
                    self.media_at = now
                if self._drift is not None:
                    tags = self._drift.correct(tags)
                if self._silence is not None:
                    tags = self._silence.fill(tags)
                    if self._silence.is_over:
                        self._silence = None
                self._timeline.lay(tags, laid)
                self._has_laid = self._has_laid or any(tag[3] <= KEYFRAME for tag in laid)
                for tag in laid:
                    if tag[0] == VIDEO and tag[3] <= KEYFRAME:
                        self._picture_at = now
                        break

    def check_liveness(self, now: float) -> None:
        """Raise SourceStalled when no media has arrived for too long, whatever the socket's state is."""
        silence_s = self._inlet.silence_s
        if now - self.media_at >= silence_s:
            raise SourceStalled(Code.SOURCE_SILENT, seconds=silence_s)
        if not self._has_laid and now - self._began_at >= UNUSABLE_S:
            raise SourceStalled(Code.SOURCE_NO_KEYFRAME, seconds=UNUSABLE_S)
        if self.media_at - self._picture_at >= PICTURE_LOST_S <= self._picture_at - self._began_at:
            raise SourceStalled(Code.SOURCE_PICTURE_LOST, seconds=PICTURE_LOST_S)

    def begin_session(self, now: float) -> None:
        """Does nothing: a live source continues regardless of sessions."""

    def end_session(self) -> None:
        """The same."""

    def close(self) -> None:
        """Close the session."""
        self._inlet.close()


#: If nothing could be pulled from a file for this long, it continues where it stopped instead of catching up: after a
#: pause of the machine or the destination, all of it would be sent at once. Shorter pauses are caught up.
LATE_S = 3.0
#: What a pull gives at most, in media time: what is sent ahead, and what a visit comes to. After a shorter hold the
#: rest comes in the next visits, four times as fast as it plays.
MAX_PULL_MS = LEAD_MS + round(RING_S * 1000)
#: A new session goes back to what the old one's peer had acknowledged, but no further than this from what was given.
#: Linux holds 4 MiB unsent by itself (tcp_wmem), and of a file that is not kept 8 MiB behind its player are there.
_MAX_BACK_BYTES = 6 << 20


@dataclass(slots=True)
class _Entry:
    """A reader with its position in the list."""

    loop: int
    item: int
    reader: PreparedReader
    #: Where it began, once it has. It may begin again, for another session.
    begun_ms: int | None = None
    #: Whether its end was told. It may be played again from a place before that.
    is_told: bool = False
    #: Of the list before the present one, in which its place means nothing.
    is_outdated: bool = False
    #: It ends at its next keyframe, once another reader is there.
    gives_way: bool = False

    @property
    def playhead(self) -> Playhead:
        return Playhead(self.loop, self.item, self.reader.position_ms)


class FileFeed:
    """Plays prepared files one after another on an absolute schedule, across publish sessions.

    asyncio adds the next reader while the current one plays, so that a join never waits for a file to open. A reader
    that has ended stays until all of it has arrived: if the session is lost before that, the next one repeats what did
    not arrive.
    """

    #: A file waits for its destination, and nothing of it is dropped.
    when_late = WhenLate.HOLD
    #: A prepared file gives only what can be laid: see what was sent.
    media_at = float("-inf")
    #: Of a prepared file, none.
    sound_drift_ms = None

    def __init__(
        self,
        timeline: Timeline,
        outlet: Outlet,
        start: Playhead,
        on_step: Callable[[ItemStep, Playhead, MediaError | None], None],
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_late`` is called in the midst of a pull when what plays was held up for ``LATE_S`` or more."""
        self._on_late = on_late
        self._resting: Playhead | None = start
        self._timeline = timeline
        self._outlet = outlet
        self._on_step = on_step
        self._current: _Entry | None = None
        self._upcoming: deque[_Entry] = deque()
        # Before the present one, the latest last: what has been played and has not arrived.
        self._played: deque[_Entry] = deque()
        self._spent: list[PreparedReader] = []
        self._pace: Pace | None = None
        # When all that was due could be pulled, last, and up to which stamp on the output clock.
        self._kept_up_at = 0.0
        self._given_until_ms = 0
        self._is_last = False
        # How far the peer has acknowledged, once something has begun; behind that places that were given, each with the
        # bytes of the session that were on their way by then.
        self._arrived: tuple[_Entry, int] | None = None
        self._given: deque[tuple[int, _Entry, int]] = deque()
        self._room = asyncio.Event()
        self._room.set()
        #: Set while everything put in was played, after ``finish`` was called.
        self.finished = asyncio.Event()
        self.bytes_in = 0

    @property
    def playhead(self) -> Playhead | None:
        """The list's position; None until one of its items has played, after an edit."""
        entry = self._current
        return entry.playhead if entry and not entry.is_outdated else self._resting

    @property
    def has_begun(self) -> bool:
        """Whether something plays, or has: before that, and after ``skip_to``, the playhead is where it shall begin."""
        return self._current is not None

    @property
    def item_end_ms(self) -> int | None:
        """Where the item at the playhead ends, once that is known."""
        entry = self._current
        return entry.reader.end_ms if entry and not entry.is_outdated else None

    def item_ends(self) -> Iterator[tuple[int, int | None]]:
        """Items of the list that are playing or about to, and where each ends, once that is known."""
        for entry in (self._current, *self._upcoming):
            if entry and not entry.is_outdated:
                yield entry.item, entry.reader.end_ms

    @property
    def is_waiting(self) -> bool:
        """Whether there is nothing to play yet: the next file is still being prepared."""
        return (self._current is None or self._current.is_told) and not self._upcoming and not self._is_last

    async def wait_for_room(self) -> None:
        """Wait until the reader that was added last is playing: then it is time to open the next."""
        await self._room.wait()

    def put(self, loop: int, item: int, reader: PreparedReader) -> None:
        """Queue the next reader, which is taken over."""
        self._upcoming.append(_Entry(loop, item, reader))
        self._room.clear()

    def drop_upcoming(self) -> None:
        """Drop the readers that are not playing yet: a new list follows."""
        for entry in self._upcoming:
            entry.reader.close()
        self._upcoming.clear()
        self._room.set()
        self._is_last = False
        self.finished.clear()

    def follow(self, before: Sequence[Item], after: Sequence[Item]) -> None:
        """The list was edited: the current item gets its place in the new list, or gives way to what follows."""
        self._resting = None
        for entry in (*self._played, self._current):
            if entry is None or entry.is_outdated:
                continue
            place, is_kept = move(Playhead(entry.loop, entry.item), before, after)
            if is_kept:
                entry.item = place.item
            else:
                entry.is_outdated = entry.gives_way = True

    def begin_at(self, playhead: Playhead) -> bool:
        """Let the first item begin at that position; returns whether the item has it."""
        entry = self._upcoming[0] if self._upcoming and self._current is None else None
        if entry is None or (entry.loop, entry.item) != (playhead.loop, playhead.item):
            return False
        if (end_ms := entry.reader.end_ms) is not None and playhead.position_ms >= end_ms:
            return False
        self._spent.append(entry.reader)
        entry.reader = entry.reader.reopen_at_keyframe(playhead.position_ms)
        return True

    def skip_to(self, playhead: Playhead) -> None:
        """Drop the current item as well: the list continues elsewhere."""
        self.drop_upcoming()
        if self._current is not None:
            self._spent += [entry.reader for entry in (*self._played, self._current)]
            self._played.clear()
            self._current = self._arrived = None
        self._given.clear()
        self._resting = playhead

    def finish(self) -> None:
        """No more readers will come."""
        self._is_last = True

    def begin_session(self, now: float) -> None:
        """A publish session was attached: start a schedule, and go back to the keyframe before what did not arrive."""
        self._pace = Pace(self._timeline.position_ms, now)
        self._kept_up_at = now
        self._given_until_ms = self._timeline.position_ms
        if self._arrived is None:
            return
        entry, arrived_ms = self._arrived
        self.finished.clear()
        while (later := self._current) is not None and later is not entry:
            self._reopen(later, later.begun_ms or 0)
            self._upcoming.appendleft(later)
            self._current = self._played.pop()
        self._reopen(entry, arrived_ms)
        self._timeline.begin_file(entry.reader.first_stamps())

    def _reopen(self, entry: _Entry, position_ms: int) -> None:
        self._spent.append(entry.reader)
        entry.reader = entry.reader.reopen_at_keyframe(position_ms)

    def end_session(self) -> None:
        """The publish session is about to end: hold everything."""
        self._note_arrived()
        self._given.clear()
        self._pace = None

    def _note_arrived(self) -> None:
        """See how far the peer has come in what was given."""
        given = self._given
        if not given:
            return
        arrived_bytes = max(self._outlet.acked_bytes, given[-1][0] - _MAX_BACK_BYTES)
        while given and given[0][0] <= arrived_bytes:
            _, entry, position_ms = given.popleft()
            self._arrived = entry, position_ms
            while self._played and self._played[0] is not entry:
                self._spent.append(self._played.popleft().reader)

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Lay what is due; bodies are views of the prepared file."""
        for reader in self._spent:
            reader.close()
        self._spent.clear()
        if self._pace is None or self._outlet.is_backed_up:
            return
        if self._current is not None:
            self._given.append((self._outlet.sent_bytes, self._current, self._current.reader.position_ms))
        if now - self._kept_up_at >= LATE_S:
            self._pace = Pace(self._timeline.position_ms, now)
            if self._current is not None and not self._current.reader.starved:
                self._on_late()
        due_ms = min(self._pace.due_ms(now), self._given_until_ms + MAX_PULL_MS)
        while self._current is not None or self._start_next():
            entry = self._current
            assert entry is not None
            tags: list[Tag] = []
            entry.reader.pull(due_ms - self._timeline.shift, tags)
            is_cut = entry.gives_way and bool(self._upcoming) and self._cut_at_start(tags)
            if tags:
                self._timeline.lay(tags, laid)
            failed = entry.reader.failed
            if failed is None and not entry.reader.at_end and not is_cut:
                if tags or not entry.reader.starved:
                    self._kept_up_at = now
                    self._given_until_ms = self._timeline.position_ms if entry.reader.starved else due_ms
                return
            if not entry.is_told:
                entry.is_told = True
                self._on_step(ItemStep.FINISHED if failed is None else ItemStep.FAILED, entry.playhead, failed)
            if not self._start_next():
                break
        self._given_until_ms = self._timeline.position_ms
        if self._is_last:
            self.finished.set()

    def _cut_at_start(self, tags: list[Tag]) -> bool:
        """Take away what comes from the next place on at which a viewer can begin; whether there was one."""
        start = self._timeline.find_start(tags)
        if start is None:
            return False
        del tags[start:]
        return True

    def _start_next(self) -> bool:
        if not self._upcoming:
            return False
        if self._current is not None:
            self._played.append(self._current)
        entry = self._current = self._upcoming.popleft()
        self._room.set()
        self._timeline.begin_file(entry.reader.first_stamps())
        if entry.begun_ms is None:
            entry.begun_ms = entry.reader.position_ms
            self._on_step(ItemStep.STARTED, entry.playhead, None)
        if self._arrived is None:
            self._arrived = entry, entry.begun_ms
        return True

    def check_liveness(self, now: float) -> None:
        """A file cannot fall silent: the preparation that feeds it watches its own peer. What arrived is noted."""
        self._note_arrived()

    def close(self) -> None:
        """Close all readers; the playhead stays where it is."""
        self._resting = self.playhead
        readers = [entry.reader for entry in (*self._played, *self._upcoming)] + self._spent
        if self._current is not None:
            readers.append(self._current.reader)
        for reader in readers:
            reader.close()
        self._played.clear()
        self._upcoming.clear()
        self._spent.clear()
        self._current = None
