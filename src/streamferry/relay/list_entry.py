"""What a list plays, or is about to: a reader with its place in the list; and those that wait for their turn."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streamferry.relay.list_position import move
from streamferry.relay.orders import Item
from streamferry.relay.status import Playhead
from streamferry.source.prepared import PreparedReader

#: A reader that is shorter does not count as the one ahead, up to so much of them in all: opening and preparing a file
#: takes half a second and more.
SHORT_MS, AHEAD_MS = 1500, 6000
# What one counts for at least: each is an open file.
_LEAST_MS = 200


@dataclass(slots=True, eq=False)
class ListEntry:
    """One pass over one item. Its place changes when the list is edited."""

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
    #: Then what is left of it follows that other one, as ``rest``.
    pauses: bool = False
    rest: "ListEntry | None" = None
    is_rest: bool = False
    #: A file that is not of the list. Its place, ``resumes``, is where the list was when it began. ``file``: its
    #: address as it may be shown.
    is_extra: bool = False
    file: str = ""
    resumes: Playhead | None = None

    @property
    def playhead(self) -> Playhead:
        """Where it is in the list."""
        return self.resumes or Playhead(self.loop, self.item, self.reader.position_ms)

    def follow(self, before: Sequence[Item], after: Sequence[Item]) -> bool:
        """The list was edited; whether it still has a place in that. A file that is not of the list always has."""
        if self.resumes is not None:
            self.resumes = move(self.resumes, before, after)[0]
        if self.is_extra:
            return True
        place, is_kept = move(Playhead(self.loop, self.item), before, after)
        if is_kept:
            self.item = place.item
        return is_kept


class Upcoming(deque[ListEntry]):
    """What plays next, the first at the left."""

    def __init__(self) -> None:
        super().__init__()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def has_room(self) -> bool:
        """Whether it is time to open the next file of the list."""
        return self._room.is_set()

    async def wait_for_room(self) -> None:
        """Wait until it is time to open the next: the reader that was added last plays, or what waits is short."""
        await self._room.wait()

    def look_for_room(self) -> None:
        """Something may be known of a reader that waits, or it plays."""
        ahead_ms = 0
        for entry in self:
            span_ms = entry.reader.span_ms
            is_short = span_ms is not None and span_ms < SHORT_MS
            ahead_ms += max(span_ms, _LEAST_MS) if span_ms is not None and is_short else AHEAD_MS
        if ahead_ms < AHEAD_MS:
            self._room.set()
        else:
            self._room.clear()

    def put_rest(self, entry: ListEntry) -> list[PreparedReader]:
        """What is left of an entry that was cut goes on after the first; gives readers that have no use any more."""
        reader = entry.reader.reopen_where_cut()
        rest, spent = entry.rest, list[PreparedReader]()
        if rest is not None and rest in self:
            # Its session was lost, and it was cut once more.
            spent = [rest.reader]
            rest.reader = reader
        else:
            rest = entry.rest = ListEntry(entry.loop, entry.item, reader, is_rest=True)
            self.insert(1, rest)
        rest.begun_ms = reader.position_ms
        return spent

    def drop(self, *, rests: bool) -> None:
        """Close what waits of the list: no file that is not of it, and what is left of entries only with ``rests``."""
        kept = [one for one in self if one.is_extra or (one.is_rest and not rests)]
        for entry in self:
            if entry not in kept:
                entry.reader.close()
        self.clear()
        self.extend(kept)
        self._room.set()

    def follow(self, before: Sequence[Item], after: Sequence[Item]) -> None:
        """The list was edited."""
        gone = [entry for entry in self if not entry.follow(before, after)]
        for entry in gone:
            entry.reader.close()
            self.remove(entry)
