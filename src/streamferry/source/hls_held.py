"""Tags that have come and are not due yet, in the order in which they will be. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter

from streamferry.media.tag import KEPT_TAG_BYTES, Tag

_MAX_STAMP = 0xFFFFFFFF

#: When it is due in ms, type, stamp in ms on the clock of the inlet, body.
Held = tuple[int, int, int, "bytes | memoryview"]
due_of = itemgetter(0)
_body_of = itemgetter(3)


class HeldTags:
    """Those of one rendition. A tag is due at its stamp, but never before those of its track that came before it.

    Multiplexers send sound later than its picture: what comes may be due before what is held.
    """

    __slots__ = ("_due_of", "_held", "last_of", "size_bytes")

    def __init__(self) -> None:
        self._held: list[Held] = []
        # Until when each track is due.
        self._due_of: defaultdict[int, int] = defaultdict(int)
        #: The last stamp of each track that ever came.
        self.last_of: dict[int, int] = {}
        #: What they take.
        self.size_bytes = 0

    @property
    def first_ms(self) -> int | None:
        """When the next is due, None if nothing is held."""
        return self._held[0][0] if self._held else None

    def add(self, tags: Iterable[Tag], shift_ms: int) -> None:
        """``shift_ms``: what makes their stamps those of the inlet."""
        held, latest_of, last_of = self._held, self._due_of, self.last_of
        size_bytes, before = 0, len(held)
        for kind, stamp, body in tags:
            stamp += shift_ms
            due_ms = latest_of[kind]
            if stamp >= due_ms:
                latest_of[kind] = due_ms = stamp
            last_of[kind] = stamp
            size_bytes += len(body)
            held.append((due_ms, kind, stamp, body))
        self.size_bytes += size_bytes + (len(held) - before) * KEPT_TAG_BYTES
        held.sort(key=due_of)

    def take(self, due_ms: float, most: int) -> list[Held]:
        """Remove what is due by then, so many at most."""
        held = self._held
        if not held or held[0][0] > due_ms:
            return []
        count = min(bisect_right(held, due_ms, key=due_of), most)
        found = held[:count]
        del held[:count]
        self.size_bytes -= sum(map(len, map(_body_of, found))) + count * KEPT_TAG_BYTES
        return found


def as_tags(found: list[Held]) -> list[Tag]:
    """With stamps of 32 bits."""
    return [(kind, stamp & _MAX_STAMP, body) for _, kind, stamp, body in found]
