"""Feeds: what a flow pulls its tags from. A live one follows its source's pace, a file one keeps the schedule."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamferry.media.errors import MediaError, SourceStalled
from streamferry.media.tag import KEYFRAME, SCRIPT, LaidTag, Tag
from streamferry.push import Outlet
from streamferry.relay.status import ItemStep, Playhead
from streamferry.source.live import LiveInlet
from streamferry.source.prepared import PreparedReader
from streamferry.timeline import Pace, Timeline

#: Media that comes for this long, and of which nothing can be laid, has no beginning: three times the longest distance
#: of keyframes that encoders set by themselves (x264: 250 frames).
UNUSABLE_S = 30.0


class LiveFeed:
    """One live session. Raises SourceError from ``pull`` when the session is over."""

    def __init__(self, inlet: LiveInlet, timeline: Timeline, scratch: memoryview, now: float) -> None:
        self._inlet = inlet
        self._timeline = timeline
        self._scratch = scratch
        self._media_at = now
        self._began_at = now
        self._has_laid = False
        #: Bytes received in this session.
        self.bytes_in = 0
        timeline.begin_live()

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Receive once and lay what came; bodies are views of the scratch buffer."""
        tags: list[Tag] = []
        try:
            self.bytes_in += self._inlet.pull(self._scratch, tags)
        finally:
            # What came whole before a source broke counts too.
            if tags:
                if tags[0][0] != SCRIPT or any(tag[0] != SCRIPT for tag in tags):
                    self._media_at = now
                self._timeline.lay(tags, laid)
                self._has_laid = self._has_laid or any(tag[3] <= KEYFRAME for tag in laid)

    def check_liveness(self, now: float) -> None:
        """Raise SourceStalled when no media came for too long, whatever the socket says."""
        silence_s = self._inlet.silence_s
        if now - self._media_at >= silence_s:
            raise SourceStalled(f"the source is connected but has sent no media for {silence_s:.0f} s")
        if not self._has_laid and now - self._began_at >= UNUSABLE_S:
            raise SourceStalled(f"the source sends media, but no keyframe to begin with came in {UNUSABLE_S:.0f} s")

    def close(self) -> None:
        """Close the session."""
        self._inlet.close()


@dataclass(slots=True)
class _Entry:
    """A reader with its place in the list."""

    loop: int
    item: int
    reader: PreparedReader

    @property
    def playhead(self) -> Playhead:
        return Playhead(self.loop, self.item, self.reader.position_ms)


class FileFeed:
    """Plays prepared files one after another on an absolute schedule, across publish sessions.

    asyncio puts the next reader in while the present one plays, so that a join never waits for a file to open.
    """

    def __init__(
        self,
        timeline: Timeline,
        outlet: Outlet,
        start: Playhead,
        on_step: Callable[[ItemStep, Playhead, MediaError | None], None],
    ) -> None:
        self._resting = start
        self._timeline = timeline
        self._outlet = outlet
        self._on_step = on_step
        self._current: _Entry | None = None
        self._upcoming: deque[_Entry] = deque()
        self._spent: list[PreparedReader] = []
        self._pace: Pace | None = None
        self._is_last = False
        self._room = asyncio.Event()
        self._room.set()
        #: Set once everything put in was played and ``finish`` was called.
        self.finished = asyncio.Event()
        self.bytes_in = 0

    @property
    def playhead(self) -> Playhead:
        """Where the list stands."""
        entry = self._current
        return entry.playhead if entry else self._resting

    @property
    def item_end_ms(self) -> int | None:
        """Where the item that plays ends, once that is known."""
        return self._current.reader.end_ms if self._current else None

    @property
    def is_waiting(self) -> bool:
        """Whether there is nothing to play yet: the next file is still being prepared."""
        return self._current is None and not self._upcoming and not self._is_last

    async def wait_for_room(self) -> None:
        """Wait until the reader that was put in last is playing: then it is time to open the next."""
        await self._room.wait()

    def put(self, loop: int, item: int, reader: PreparedReader) -> None:
        """Queue the next reader, which is taken over."""
        self._upcoming.append(_Entry(loop, item, reader))
        self._room.clear()

    def drop_upcoming(self) -> None:
        """Forget the readers that do not play yet: another list follows."""
        for entry in self._upcoming:
            entry.reader.close()
        self._upcoming.clear()
        self._room.set()
        self._is_last = False
        self.finished.clear()

    def skip_to(self, playhead: Playhead) -> None:
        """Forget what plays as well: the list goes on somewhere else."""
        self.drop_upcoming()
        if self._current is not None:
            self._spent.append(self._current.reader)
            self._current = None
        self._resting = playhead

    def finish(self) -> None:
        """No more readers will come."""
        self._is_last = True

    def begin_session(self, now: float) -> None:
        """A publish session was attached: start a schedule, and go back to the keyframe at or before the break."""
        self._pace = Pace(self._timeline.position_ms, now)
        entry = self._current
        if entry is not None:
            self._spent.append(entry.reader)
            entry.reader = entry.reader.reopen_at_keyframe()
            self._timeline.begin_file(entry.reader.first_stamps())

    def end_session(self) -> None:
        """The publish session is gone: hold everything."""
        self._pace = None

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Lay what is due; bodies are views of the prepared file."""
        for reader in self._spent:
            reader.close()
        self._spent.clear()
        if self._pace is None or self._outlet.is_backed_up:
            return
        due_ms = self._pace.due_ms(now)
        while self._current is not None or self._start_next():
            entry = self._current
            assert entry is not None
            tags: list[Tag] = []
            entry.reader.pull(due_ms - self._timeline.shift, tags)
            if tags:
                self._timeline.lay(tags, laid)
            failed = entry.reader.failed
            if failed is None and not entry.reader.at_end:
                return
            self._resting = entry.playhead
            self._on_step(ItemStep.FINISHED if failed is None else ItemStep.FAILED, self._resting, failed)
            self._spent.append(entry.reader)
            self._current = None
        if self._is_last:
            self.finished.set()

    def _start_next(self) -> bool:
        if not self._upcoming:
            return False
        self._current = self._upcoming.popleft()
        self._room.set()
        self._timeline.begin_file(self._current.reader.first_stamps())
        self._on_step(ItemStep.STARTED, self._current.playhead, None)
        return True

    def check_liveness(self, now: float) -> None:
        """A file cannot fall silent: the preparation that feeds it watches its own peer."""

    def close(self) -> None:
        """Close all readers; the playhead stays where it is."""
        self._resting = self.playhead
        readers = [entry.reader for entry in self._upcoming] + self._spent
        if self._current is not None:
            readers.append(self._current.reader)
        for reader in readers:
            reader.close()
        self._upcoming.clear()
        self._spent.clear()
        self._current = None
