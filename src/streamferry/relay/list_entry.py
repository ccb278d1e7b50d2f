"""What a list plays, or is about to: a reader with its place in the list."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamferry.relay.status import Playhead
from streamferry.source.prepared import PreparedReader

#: A reader that is shorter does not count as the one ahead, up to so much of them in all: opening and preparing a file
#: takes half a second and more.
SHORT_MS, AHEAD_MS = 1500, 6000
# What one counts for at least: each is an open file.
_LEAST_MS = 200


@dataclass(slots=True)
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

    @property
    def playhead(self) -> Playhead:
        """Where it is in the list."""
        return Playhead(self.loop, self.item, self.reader.position_ms)


def has_room(upcoming: Iterable[ListEntry]) -> bool:
    """Whether it is time to open another file, besides those that wait."""
    ahead_ms = 0
    for entry in upcoming:
        span_ms = entry.reader.span_ms
        is_short = span_ms is not None and span_ms < SHORT_MS
        ahead_ms += max(span_ms, _LEAST_MS) if span_ms is not None and is_short else AHEAD_MS
    return ahead_ms < AHEAD_MS
