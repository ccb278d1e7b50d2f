"""The queue in front of a destination: what it cannot take now, as whole tags.

A live source cannot be held back: at or beyond the soft limit a new START discards everything queued before it; at the
hard limit the destination is given up (DestinationStalled) and its session rebuilt. Files wait, and need no queue.

With no destination attached only what came since the last START is kept, so that the next session begins at once. Where
one session follows another by plan, all is kept up to the soft limit.
"""

from collections import deque

from streamferry.media.errors import DestinationStalled
from streamferry.media.tag import KEYFRAME, START, LaidTag
from streamferry.reasons import Code

#: Beyond this much waiting media a viewer gains more from a jump to the present than from the rest.
SOFT_MS = 2_000
SOFT_BYTES = 4 << 20
#: At this point no keyframe came to jump to: two of the longest keyframe intervals in use, or 32 MiB of one stream.
HARD_MS = 20_000
HARD_BYTES = 32 << 20


class TagQueue:
    """Tags waiting for one destination. Bodies are copied on the way in: they outlive the beat's buffer."""

    __slots__ = ("dropped_tags", "lost_ms", "lost_to_ms", "needs_start", "size_bytes", "tags", "waits_for_next")

    def __init__(self) -> None:
        #: What waits, to be looked at only.
        self.tags: deque[LaidTag] = deque()
        self.size_bytes = 0
        #: Set when the next frames cannot be decoded: they are skipped until a viewer can start.
        self.needs_start = True
        #: Set while the next session is to begin with all that is here.
        self.waits_for_next = False
        #: Frames dropped because the destination did not take them in time.
        self.dropped_tags = 0
        #: How much media that was, and up to where.
        self.lost_ms = self.lost_to_ms = 0

    def __bool__(self) -> bool:
        return bool(self.tags)

    @property
    def span_ms(self) -> int:
        """Media time from the first queued tag to the last."""
        return self.tags[-1][1] - self.tags[0][1] if self.tags else 0

    def put(self, tags: list[LaidTag], start: int = 0) -> None:
        """Queue ``tags[start:]`` for an attached destination. Raises DestinationStalled at the hard limit."""
        for tag in tags[start:]:
            if tag[3] == START and (self.span_ms >= SOFT_MS or self.size_bytes >= SOFT_BYTES):
                self._drop_frames(tag[1])
            self._append(tag)
        if self.span_ms > HARD_MS or self.size_bytes > HARD_BYTES:
            raise DestinationStalled(Code.DESTINATION_TOO_SLOW)

    def keep_latest_group(self, tags: list[LaidTag]) -> None:
        """Queue tags while no destination is attached: each START replaces what came before it, uncounted."""
        for tag in tags:
            if tag[3] == START:
                self.needs_start = False
                if not self.waits_for_next or self.span_ms >= SOFT_MS:
                    self.waits_for_next = False
                    self.clear()
            if tag[3] <= KEYFRAME and not self.needs_start:
                self._append(tag)
        if self.span_ms > HARD_MS or self.size_bytes > HARD_BYTES:
            self.needs_start = True
            self.clear()

    def skip_to_start(self, tags: list[LaidTag]) -> list[LaidTag]:
        """The tags without the frames that come before the first a viewer can start at."""
        wanted: list[LaidTag] = []
        for tag in tags:
            if tag[3] == START:
                self.needs_start = False
            if tag[3] > KEYFRAME or not self.needs_start:
                wanted.append(tag)
        return wanted

    def clear(self) -> None:
        """Forget everything without counting it as dropped."""
        self.tags.clear()
        self.size_bytes = 0

    def take(self, max_bytes: int, max_tags: int = 1 << 62) -> list[LaidTag]:
        """Remove and return tags from the front: at least one, then as many as fit ``max_bytes``, of ``max_tags``."""
        taken: list[LaidTag] = []
        waiting, room = self.tags, max_bytes
        while waiting and (not taken or (len(waiting[0][2]) <= room and len(taken) < max_tags)):
            tag = waiting.popleft()
            room -= len(tag[2])
            taken.append(tag)
        self.size_bytes -= max_bytes - room
        return taken

    def put_back(self, tags: list[LaidTag], start: int) -> None:
        """Return ``tags[start:]``, taken before and not sent, to the front."""
        for tag in reversed(tags[start:]):
            self.tags.appendleft(tag)
            self.size_bytes += len(tag[2])

    def _append(self, tag: LaidTag) -> None:
        body = bytes(tag[2])
        self.tags.append((tag[0], tag[1], body, tag[3]))
        self.size_bytes += len(body)

    def _drop_frames(self, now_ms: int) -> None:
        """Drop the queued frames; headers and metadata stay, as of now, because what follows may need them."""
        kept = [tag for tag in self.tags if tag[3] > KEYFRAME]
        self.dropped_tags += len(self.tags) - len(kept)
        if (first_ms := next((tag[1] for tag in self.tags if tag[3] <= KEYFRAME), None)) is not None:
            self.lost_ms += now_ms - first_ms
            self.lost_to_ms = now_ms
        self.clear()
        for tag_type, _, body, kind in kept:
            self._append((tag_type, now_ms, body, kind))
