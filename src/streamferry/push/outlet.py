"""The outlet of a run: it outlives publish sessions, and decides what is sent, kept and dropped between them.

Liveness is what the peer's TCP acknowledged, not what we wrote: ``check_liveness`` detects a peer that stays connected
but takes nothing.
"""

from collections.abc import Callable
from contextlib import suppress

from streamferry.media.errors import DestinationError, DestinationStalled
from streamferry.media.tag import KEYFRAME, LaidTag
from streamferry.push.forms import Forms
from streamferry.push.queue import TagQueue
from streamferry.push.session import Session
from streamferry.reasons import Code
from streamferry.wire.rtmp.framed import Framed

#: Bytes and tags taken from the queue at a time, and bytes per visit: a backlog must not delay the other streams, but
#: still be sent at 100 Mbps when a file relay is visited every 320 ms.
_BATCH_BYTES, _BATCH_TAGS = 256 << 10, 1_000
_VISIT_BYTES = 4 << 20
#: A destination that acknowledges nothing for this long, while bytes wait for it, is given up.
STALL_S = 10.0


#: A session that begins so soon after the last one's media has lost none.
_NOTHING_LOST_MS = 100


class Outlet:
    """Takes laid tags at each beat. ``session`` is None while there is no destination."""

    __slots__ = (
        "_acked_bytes",
        "_always_needs_tags",
        "_begun_ms",
        "_ended_ms",
        "_finished_bytes",
        "_follows",
        "_forms",
        "_lost_ms",
        "_progress_at",
        "_settled_at",
        "fan",
        "framed",
        "media_time_ms",
        "needs_tags",
        "queue",
        "session",
        "tap",
    )

    def __init__(self) -> None:
        self.session: Session | None = None
        #: What the destination has not taken yet, to be looked at only.
        self.queue = TagQueue()
        self._finished_bytes = 0
        self._acked_bytes = 0
        # Whether the present session has taken the place of one whose peer had acknowledged media.
        self._follows = False
        self._progress_at = 0.0
        # Last check at which the peer had made progress, or had nothing to take.
        self._settled_at = 0.0
        #: Stamp on the output clock of the last frame that left: the media time of the run.
        self.media_time_ms = 0
        # Where the media of the last session ended, until the next one's begins; and where that did.
        self._ended_ms: int | None = None
        self._begun_ms = 0
        self._lost_ms = 0
        #: Called with the tags that were sent, while there is a preview; bodies may be views.
        self.tap: Callable[[list[LaidTag]], None] | None = None
        #: Called at each visit with frames that are framed already, before they leave, while there are other
        #: destinations; with how many there are, the DTS of the last, and whether more follows in this visit.
        self.fan: Callable[[Framed, int, int, bool], None] | None = None
        #: Set when all that is offered has to come as tags.
        self.needs_tags = False
        self._always_needs_tags = False
        # Set while the stream has to be written otherwise than it comes.
        self._forms: Forms | None = None
        #: Frames that leave before what is offered next; only if all that is offered would leave at once.
        self.framed: Framed | None = None

    @property
    def has_acked(self) -> bool:
        """Whether the present session's peer has acknowledged media, or that of the one whose place it has taken."""
        return self._acked_bytes > 0 or self._follows

    @property
    def is_drained(self) -> bool:
        """Whether all that was offered was acknowledged by the last liveness check."""
        session = self.session
        return session is not None and not self.is_backed_up and self._acked_bytes == session.sent_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes the present session has on their way; 0 if there is none."""
        return self.session.sent_bytes if self.session else 0

    @property
    def acked_bytes(self) -> int:
        """How many bytes of the present session had arrived when that was last looked at."""
        return self._acked_bytes

    @property
    def bytes_out(self) -> int:
        """Bytes the kernel took, over all sessions."""
        return self._finished_bytes + self.sent_bytes

    @property
    def dropped_tags(self) -> int:
        """Frames dropped because a destination was too slow."""
        return self.queue.dropped_tags

    @property
    def lost_ms(self) -> int:
        """Media that was to be sent and never was, because there was no destination or it was too slow; not before the
        first session, and not what a destination had been given and did not take.
        """
        return self._lost_ms + self.queue.lost_ms

    def note_lost(self, lost_ms: int) -> None:
        """That much more of it was left out."""
        self._lost_ms += lost_ms

    @property
    def last_progress_at(self) -> float:
        """Monotonic time at which the present session was last seen acknowledging bytes, or began."""
        return self._progress_at

    @property
    def is_backed_up(self) -> bool:
        """Whether something waits here or in the session."""
        return bool(self.queue) or (self.session is not None and self.session.is_blocked)

    def attach(self, session: Session, headers: list[LaidTag], now: float) -> None:
        """Start a session: the headers in force, then the group of pictures kept while there was none."""
        self.session = session
        self._acked_bytes = 0
        self._progress_at = now
        self._settled_at = now
        kept = self.queue.take(1 << 62)
        self.queue.waits_for_next = False
        self._note_begun(kept)
        self._forms, self.needs_tags = None, self._always_needs_tags
        self.note_headers(headers)
        tags = headers + kept
        self.queue.put(tags if self._forms is None else self._forms.write(tags))

    def require_tags(self) -> None:
        """From now on all that is offered has to come as tags."""
        self._always_needs_tags = self.needs_tags = True

    def note_headers(self, headers: list[LaidTag]) -> None:
        """In force from what is offered next: they tell whether the session wants the stream in other forms."""
        forms = self.session.forms if self.session is not None else None
        if self._forms is None and forms is not None and forms.concern(headers):
            # For the rest of the session: what was laid before a header that says otherwise is still to be written.
            self._forms = forms
            self.needs_tags = True

    def release_forms(self) -> Forms | None:
        """Leave what is offered from now on as it comes; gives how it was to be written for the present session."""
        forms, self._forms = self._forms, None
        return forms

    def takes(self, needed: frozenset[str]) -> bool:
        """Whether the peer of the present session, if there is one, takes those codecs (``forms.needed_of``)."""
        forms = self.session.forms if self.session is not None else None
        return forms is None or forms.take(needed)

    def forget(self) -> None:
        """Nothing of what is kept for a session to come is to be sent: it begins with what is offered next."""
        if self.session is None:
            self.queue.clear()
            self.queue.needs_start = True

    def hand_on(self) -> None:
        """Remove the session; what is queued is for the next one, and begins where a viewer can."""
        follows = self.has_acked
        self._remove()
        self._follows = follows
        self.queue.waits_for_next = True

    def detach(self) -> Session | None:
        """Remove the session; what was queued for it is stale and dropped."""
        session = self._remove()
        self.queue.clear()
        self.queue.needs_start = True
        return session

    def _remove(self) -> Session | None:
        session, self.session = self.session, None
        self._follows = False
        if session is not None:
            self._finished_bytes += session.sent_bytes
            # Nothing was sent before the very first. Of this one nothing may have left.
            self._ended_ms = max(self.media_time_ms, self.queue.lost_to_ms, self._begun_ms) or None
        return session

    def offer(self, tags: list[LaidTag], *, goes_on: bool = False) -> None:
        """Send what can be sent now, queue the rest. Raises DestinationError when the session is over.

        ``goes_on``: more is offered in the same visit, and what has to wait is judged with that.
        """
        session = self.session
        if self._forms is not None and session is not None:
            tags = self._forms.write(tags)
        framed = self.framed
        if framed is not None and session is not None:
            self.framed = None
            self.note_framed(framed, session.write(tags), tags)
            return
        if session is None:
            if tags:
                self.queue.keep_latest_group(tags)
            return
        queue = self.queue
        if queue.needs_start:
            tags = queue.skip_to_start(tags)
            self._note_begun(tags)
        if queue:
            queue.put(tags)
            if not goes_on:
                self._drain(session)
        elif tags:
            taken = self._write(session, tags)
            if taken < len(tags):
                queue.put(tags, taken)
        elif session.is_blocked:
            session.flush()

    def _note_begun(self, tags: list[LaidTag]) -> None:
        """A session begins with these tags: what lies between the last one's media and their first frame is lost."""
        if self._ended_ms is None:
            return
        first_ms = next((dts_ms for _, dts_ms, _, kind in tags if kind <= KEYFRAME), None)
        if first_ms is not None:
            lost_ms, self._ended_ms, self._begun_ms = first_ms - self._ended_ms, None, first_ms
            if lost_ms > _NOTHING_LOST_MS:
                self._lost_ms += lost_ms

    @property
    def place(self) -> Framed | None:
        """Where to put frames that are framed already; None while they have to come as tags."""
        session, queue = self.session, self.queue
        if session is None or queue.tags or queue.needs_start or self.needs_tags or self.tap is not None:
            return None
        return session.framed

    def send_framed(self, framed: Framed) -> None:
        """Send what was put into the ``place``. Raises DestinationError."""
        assert self.session is not None
        self.note_framed(framed, self.session.write([]), [])

    def note_framed(self, framed: Framed, taken: int, tags: list[LaidTag]) -> None:
        """So many of the frames, and of the tags after them, are on their way. Raises DestinationError."""
        if taken == framed.count + len(tags):
            self.media_time_ms = framed.last_ms
            self._note_left(tags, len(tags))
            framed.pieces.clear()
            return
        tags = framed.tags() + tags
        framed.pieces.clear()
        self._note_left(tags, taken)
        self.queue.put(tags, taken)

    def _note_left(self, tags: list[LaidTag], taken: int) -> None:
        """So many of the tags are on their way. Headers alone are no media: a run that sends nothing else is silent."""
        for at in range(taken - 1, -1, -1):
            if tags[at][3] <= KEYFRAME:
                self.media_time_ms = tags[at][1]
                return

    def _write(self, session: Session, tags: list[LaidTag]) -> int:
        taken = session.write(tags)
        if taken:
            self._note_left(tags, taken)
            if self.tap is not None:
                self.tap(tags[:taken])
        return taken

    def _drain(self, session: Session) -> None:
        sent_bytes = session.sent_bytes
        while self.queue and session.sent_bytes - sent_bytes < _VISIT_BYTES:
            batch = self.queue.take(_BATCH_BYTES, _BATCH_TAGS)
            taken = self._write(session, batch)
            if taken < len(batch):
                self.queue.put_back(batch, taken)
                return

    def note_acked(self) -> None:
        """See once more what the peer of a session that ends has acknowledged, if that can still be known."""
        if self.session is not None:
            with suppress(DestinationError):
                self._acked_bytes = max(self._acked_bytes, self.session.acked_bytes)

    def check_liveness(self, now: float) -> None:
        """Note what the peer acknowledged, at each inspection. Raises DestinationError when it is stuck or gone."""
        session = self.session
        if session is None:
            return
        session.check()
        acked_bytes = session.acked_bytes
        if acked_bytes > self._acked_bytes:
            self._acked_bytes = acked_bytes
            self._progress_at = self._settled_at = now
        elif acked_bytes == session.sent_bytes and not self.is_backed_up:
            self._settled_at = now
        elif now - self._settled_at >= STALL_S:
            raise DestinationStalled(Code.DESTINATION_STALLED, seconds=STALL_S)
