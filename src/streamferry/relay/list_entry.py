"""What a list plays, or is about to: a reader with its place in the list."""

from dataclasses import dataclass

from streamferry.relay.status import Playhead
from streamferry.source.prepared import PreparedReader


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
