"""Whether the place of a list is news.

The store takes a list that plays on to go on at the speed of the clock, for as long as its worker reports: only what is
otherwise is told (docs/decisions/0130). Pure: ``now`` is monotonic, in seconds.
"""

from dataclasses import dataclass

from streamferry.relay import Playhead, RelayStatus

#: A list stands whose place has been the same for so long. What plays is sent in visits of at most 0.64 s.
STANDS_S = 1.0
#: The store may be wrong by so much: places are seen between visits.
_TOLERANCE_MS = 1000


@dataclass(frozen=True, slots=True)
class _Seen:
    known: tuple[int, int]
    place: Playhead | None
    at: float
    moved_at: float

    @property
    def plays_on(self) -> bool:
        return self.place is not None and self.at - self.moved_at < STANDS_S


class ListPlace:
    """The place of one run's list as it was seen last, and as the store was told."""

    def __init__(self, now: float) -> None:
        self._seen = self._told = _Seen((0, 0), None, now, now)

    def see(self, known: tuple[int, int], status: RelayStatus, now: float) -> None:
        """Where the list is, under this epoch and version. Before it plays it has no place, nor has what is no list."""
        # Without media nothing has played.
        place = status.playhead if status.media_time_ms and not status.final else None
        before, moved_at = self._seen.place, self._seen.moved_at
        if before is None:
            # Not a move: what is sent at the beginning of a session brings it ahead of the clock.
            moved_at = now - STANDS_S
        elif place != before:
            moved_at = now
        self._seen = _Seen(known, place, now, moved_at)

    @property
    def plays_on(self) -> bool:
        """Whether it moves."""
        return self._seen.plays_on

    @property
    def is_news(self) -> bool:
        """Whether the store takes it to be elsewhere. Who changes a task may have moved its place."""
        seen, told = self._seen, self._told
        if seen.place is None:
            return False
        if told.place is None or told.known != seen.known or told.plays_on != seen.plays_on:
            return True
        if (seen.place.loop, seen.place.item) != (told.place.loop, told.place.item):
            return True
        by_ms = (seen.at - told.at) * 1000 if told.plays_on else 0.0
        return abs(seen.place.position_ms - told.place.position_ms - by_ms) > _TOLERANCE_MS

    def confirm(self) -> None:
        """The store was told what was seen last."""
        self._told = self._seen
