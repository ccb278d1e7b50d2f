"""The feed of a list: plays prepared files one after another on a schedule, across publish sessions.

A visit looks up how far the file that plays is due, and sends that stretch of it as it lies (``wire.rtmp.chunk_file``);
a session that takes no chunks, and previews, get the same stretch as tags. There is no queue: while a session is
blocked nothing more is given to it, and nothing of a file is ever left out. How far a file is ahead is bounded in media
time; after a hold it goes on as for a player that ran dry, or, where the list keeps time, catches up.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from streamferry.media.errors import MediaError
from streamferry.media.tag import LaidTag
from streamferry.push import Outlet
from streamferry.relay.arrivals import Arrivals
from streamferry.relay.beat import FILE_VISIT_S
from streamferry.relay.file_sender import FileSender
from streamferry.relay.list_entry import ListEntry, Upcoming
from streamferry.relay.spec import Item
from streamferry.relay.status import ItemStep, Playhead
from streamferry.source.prepared import PreparedReader
from streamferry.timeline import Joins, Pace
from streamferry.timeline.pace import LEAD_MS

#: After a hold of this long the list is somewhere else by the clock: one that keeps time goes there at once.
LATE_S = 3.0
#: How much faster than its pace a list that keeps time makes up for a shorter hold.
CATCH_UP = 1.5
# How often it is noted how far a list has come: what had arrived of a lost session is known to that.
_NOTE_S = 0.5


class FileFeed:
    """asyncio adds the next reader while the current one plays, so that a join never waits for a file to open.

    A reader that has ended stays until all of it has arrived: if the session is lost before that, the next one repeats
    what did not arrive.
    """

    __slots__ = (
        "_arrivals",
        "_at_place",
        "_given_ms",
        "_held_pace",
        "_is_last",
        "_joins",
        "_keeps_time",
        "_lead_ms",
        "_note_at",
        "_on_extra",
        "_on_late",
        "_on_step",
        "_outlet",
        "_pace",
        "_patience_ms",
        "_played",
        "_resting",
        "_sender",
        "_spent",
        "_visited_at",
        "current",
        "finished",
        "upcoming",
    )

    def __init__(
        self,
        outlet: Outlet,
        start: Playhead,
        on_step: Callable[[ItemStep, Playhead, MediaError | None], None],
        on_late: Callable[[], None] = lambda: None,
        keeps_time: Callable[[], bool] = lambda: False,
        lead_ms: int = LEAD_MS,
        on_extra: Callable[[bool, MediaError | None, str], None] = lambda begins, failed, file: None,
    ) -> None:
        """``on_late`` is called in the midst of a visit when what plays was held up for ``LATE_S`` or more.

        ``on_extra``: a file that is not of the list begins, or is over; ``failed``: before its end; then its address.
        ``lead_ms``: so much is sent ahead of its time from the start of a session on.
        """
        self._on_late = on_late
        self._keeps_time = keeps_time
        self._lead_ms = lead_ms
        self._resting: Playhead | None = start
        self._outlet = outlet
        self._on_step = on_step
        self._on_extra = on_extra
        self._joins = Joins()
        self.current: ListEntry | None = None
        self.upcoming = Upcoming()
        # Before the present one, the latest last: what has been played and has not arrived.
        self._played: deque[ListEntry] = deque()
        self._spent: list[PreparedReader] = []
        self._pace: Pace | None = None
        self._sender = FileSender(outlet)
        # Up to where on the output clock all has been given, and how much may be missing before that is a hold.
        self._given_ms = 0
        self._patience_ms = LEAD_MS
        self._visited_at = 0.0
        self._at_place: Callable[[], None] | None = None
        # Set where the place has come: the next session goes on there, by that schedule.
        self._held_pace: Pace | None = None
        self._is_last = False
        self._arrivals = Arrivals()
        self._note_at = 0.0
        #: Set while everything put in was played, after ``finish`` was called.
        self.finished = asyncio.Event()

    @property
    def playhead(self) -> Playhead | None:
        """The list's position; None until one of its items has played, after an edit."""
        entry = self.current
        if entry is None or entry.is_outdated:
            return self._resting
        return entry.resumes if entry.is_extra else entry.playhead

    @property
    def has_begun(self) -> bool:
        """Whether something plays, or has: before that, and after ``skip_to``, the playhead is where it shall begin."""
        return self.current is not None

    @property
    def position_ms(self) -> int:
        """Up to where on the output clock all has been given."""
        return self._given_ms

    @property
    def headers(self) -> list[LaidTag]:
        """Metadata and sequence headers of what plays."""
        return self._sender.headers

    @property
    def item_end_ms(self) -> int | None:
        """Where the item at the playhead ends, once that is known."""
        entry = self.current
        return entry.reader.end_ms if entry and not (entry.is_outdated or entry.is_extra) else None

    @property
    def plays_extra(self) -> bool:
        """Whether what plays is not of the list."""
        return self.current is not None and self.current.is_extra

    def item_ends(self) -> Iterator[tuple[int, int | None]]:
        """Items of the list that are playing or about to, and where each ends, once that is known."""
        for entry in (self.current, *self.upcoming):
            if entry and not (entry.is_outdated or entry.is_extra):
                yield entry.item, entry.reader.end_ms

    @property
    def is_waiting(self) -> bool:
        """Whether there is nothing to play yet: the next file is still being prepared."""
        return (self.current is None or self.current.is_told) and not self.upcoming and not self._is_last

    def put(self, loop: int, item: int, reader: PreparedReader) -> None:
        """Queue the next reader, which is taken over."""
        self.upcoming.append(ListEntry(loop, item, reader))
        self.upcoming.look_for_room()

    def drop_upcoming(self, *, rests: bool = False) -> None:
        """Drop the readers that are not playing yet: a new list follows. See ``Upcoming.drop``."""
        self.upcoming.drop(rests=rests)
        self._is_last = False
        self.finished.clear()

    def follow(self, before: Sequence[Item], after: Sequence[Item]) -> None:
        """The list was edited: the current item gets its place in the new list, or gives way to what follows."""
        self._resting = None
        for entry in (*self._played, self.current):
            if entry is not None and not entry.is_outdated and not entry.follow(before, after):
                entry.is_outdated = entry.gives_way = True
                entry.pauses = False
        self.upcoming.follow(before, after)

    def give_way(self) -> None:
        """Let the current item end at its next keyframe, as soon as another follows."""
        if self.current is not None:
            self.current.gives_way, self.current.pauses = True, False

    def begin_at(self, playhead: Playhead) -> bool:
        """Let the first item begin at that position; returns whether the item has it."""
        entry = self.upcoming[0] if self.upcoming and self.current is None else None
        if entry is None or (entry.loop, entry.item) != (playhead.loop, playhead.item):
            return False
        if (end_ms := entry.reader.end_ms) is not None and playhead.position_ms >= end_ms:
            return False
        self._reopen(entry, playhead.position_ms)
        return True

    def skip_to(self, playhead: Playhead) -> None:
        """Drop the current item as well: the list continues elsewhere."""
        self.drop_upcoming(rests=True)
        if (entry := self.current) is not None:
            self._end_pass(entry)
            if entry.is_extra:
                self._tell_end(entry)
            self._spent += [played.reader for played in (*self._played, entry)]
            self._played.clear()
            self.current = self._arrivals.place = None
        self._arrivals.forget_given()
        self._resting = playhead

    def finish(self) -> None:
        """No more readers will come."""
        self._is_last = True

    def begin_session(self, now: float) -> None:
        """A publish session was attached: start a schedule, and go back to the keyframe before what did not arrive."""
        self._sender.begin_session()
        self._visited_at = now
        if self._held_pace is not None:
            self._go_on()
            return
        self._restart_pace(self._joins.position_ms, now)
        if self._arrivals.place is None:
            return
        entry, arrived_ms = self._arrivals.place
        self.finished.clear()
        while (later := self.current) is not None and later is not entry:
            self._reopen(later, later.begun_ms or 0)
            self.upcoming.appendleft(later)
            self.current = self._played.pop()
        self._reopen(entry, entry.reader.position_of(arrived_ms))
        self._begin_pass(entry)

    def _go_on(self) -> None:
        """At the place where the last session ended, as if it had not: with the same shift, by the same schedule."""
        self._pace, self._held_pace = self._held_pace, None
        entry = self.current
        if entry is not None and entry.reader.is_cut and not (entry.gives_way and self.upcoming):
            self._spent.append(entry.reader)
            entry.reader = entry.reader.reopen_where_cut()
            self._sender.begin_pass(entry.reader, self._joins.shift)

    def end_session(self) -> None:
        """The publish session is about to end: hold everything."""
        self.note_arrived()
        self._arrivals.forget_given()
        if self._pace is not None and self.current is not None:
            self._end_pass(self.current)
        self._pace = self._held_pace = None

    def _reopen(self, entry: ListEntry, position_ms: int) -> None:
        self._spent.append(entry.reader)
        entry.reader = entry.reader.reopen_at_keyframe(position_ms)

    def _restart_pace(self, position_ms: int, now: float) -> None:
        self._pace = Pace(position_ms, now, self._lead_ms)
        self._given_ms = position_ms
        self._patience_ms = LEAD_MS

    def note_arrived(self) -> None:
        """See how far the peer has come in what was given; at each inspection."""
        arrived = self._arrivals.look(self._outlet.acked_bytes)
        while arrived is not None and self._played and self._played[0] is not arrived:
            self._spent.append(self._played.popleft().reader)

    def stop_at_place(self, then: Callable[[], None], *, goes_on: bool = False) -> None:
        """Send nothing from the next place on where a viewer can begin, and call ``then`` when it comes.

        ``goes_on``: this feed is to go on there in another session, unless another worker already waits to do so.
        """
        if not goes_on or self._at_place is None:
            self._at_place = then
        if (entry := self.current) is not None:
            entry.reader.needs_place = goes_on

    def forget_place(self, then: Callable[[], None]) -> None:
        """It is not waited for any more, unless by somebody else."""
        if self._at_place == then:
            self._at_place = None

    def hold(self) -> None:
        """The place has come: the next session goes on there. The last one is closed properly, so its peer gets all."""
        self._arrivals.forget_given()
        self._spent += [entry.reader for entry in self._played]
        self._played.clear()
        if (entry := self.current) is not None:
            self._arrivals.place = entry, entry.reader.reached_ms

    def play(self, now: float) -> bool:
        """Send what is due; gives whether all is plain: on time, and not about to change. Raises DestinationError.

        The hot path: one look-up and one send.
        """
        outlet, pace, entry = self._outlet, self._pace, self.current
        session = outlet.session
        since_s, self._visited_at = now - self._visited_at, now
        if session is None or pace is None or (session.is_blocked and not session.flush()):
            return False
        if self._spent:
            self._close_spent()
        due_ms = pace.due_ms(now)
        if due_ms - self._given_ms > self._patience_ms:
            due_ms = self._due_after_hold(now, due_ms, since_s)
        while entry is not None or (entry := self._start_next()) is not None:
            reader = entry.reader
            start = reader.offset
            if now >= self._note_at or reader.unsent_tracks:
                self._note_at = now + _NOTE_S
                self._arrivals.note_given(outlet.sent_bytes, entry)
            cuts = self._at_place is not None or (entry.gives_way and bool(self.upcoming))
            end = reader.advance(due_ms - self._joins.shift, cuts)
            if end > start:
                self._sender.send(session, reader, start, end)
            if not reader.at_end:
                if not reader.starved:
                    self._given_ms = outlet.media_time_ms = due_ms
                    return True
                if reader.file.failed is None:
                    self._given_ms = min(due_ms, reader.reached_ms + self._joins.shift)
                    outlet.media_time_ms = self._given_ms
                    return False
            self._end_pass(entry)
            self._given_ms = outlet.media_time_ms = self._joins.position_ms
            if reader.is_cut and entry.pauses and self._at_place is None and reader.span_ms != 0:
                self._spent += self.upcoming.put_rest(entry)
            elif self._at_place is None or not reader.is_cut:
                self._tell_end(entry)
            if self._at_place is not None and (reader.is_cut or self.upcoming or not self._is_last):
                self._held_pace, self._pace = pace, None
                self._at_place()
                return False
            if session.is_blocked or (entry := self._start_next()) is None:
                break
        if self._is_last and not self.upcoming:
            self.finished.set()
        return False

    def _tell_end(self, entry: ListEntry) -> None:
        if not entry.is_told:
            entry.is_told = True
            failed = entry.reader.failed
            if entry.is_extra:
                self._on_extra(False, failed, entry.file)
                return
            self._on_step(ItemStep.FINISHED if failed is None else ItemStep.FAILED, entry.playhead, failed)

    def _close_spent(self) -> None:
        for reader in self._spent:
            reader.close()
        self._spent.clear()

    def _due_after_hold(self, now: float, due_ms: int, since_s: float) -> int:
        """What may be given now that more is due than a player's buffer held: the hold was noticed there.

        ``since_s``: since the last visit.
        """
        given_ms, entry = self._given_ms, self.current
        is_starved = entry is not None and entry.reader.starved
        if due_ms - given_ms >= LATE_S * 1000 and not is_starved:
            self._restart_pace(given_ms, now)
            if entry is not None:
                self._on_late()
        elif self._keeps_time():
            limit_ms = given_ms + round(CATCH_UP * 1000 * min(since_s, FILE_VISIT_S))
            # Until it has caught up, so that the last second is not made up for at once.
            self._patience_ms = 0 if limit_ms < due_ms else LEAD_MS
            return min(due_ms, limit_ms)
        else:
            self._restart_pace(given_ms, now)
        return given_ms + self._lead_ms

    def _start_next(self) -> ListEntry | None:
        if not self.upcoming:
            return None
        place = self.playhead
        if self.current is not None:
            self._played.append(self.current)
        entry = self.current = self.upcoming.popleft()
        self.upcoming.look_for_room()
        self._begin_pass(entry)
        if entry.begun_ms is None:
            entry.begun_ms = entry.reader.position_ms
            if entry.is_extra:
                entry.resumes = place
                self._on_extra(True, None, entry.file)
            else:
                self._on_step(ItemStep.STARTED, entry.playhead, None)
        if self._arrivals.place is None:
            self._arrivals.place = entry, entry.reader.reached_ms
        return entry

    def _begin_pass(self, entry: ListEntry) -> None:
        self._joins.begin(entry.reader.first_stamps())
        self._sender.begin_pass(entry.reader, self._joins.shift)

    def _end_pass(self, entry: ListEntry) -> None:
        self._joins.end(entry.reader.ends())
        self._sender.end_pass(entry.reader)

    def close(self) -> None:
        """Close all readers, and tell nobody of anything any more; the playhead stays where it is."""
        self._resting = self.playhead
        self._spent += [entry.reader for entry in (*self._played, self.current, *self.upcoming) if entry is not None]
        self._close_spent()
        self._played.clear()
        self.upcoming.clear()
        self._on_step, self._on_extra = (lambda *told: None), (lambda *told: None)
        self._on_late, self._keeps_time, self.current = (lambda: None), bool, None
