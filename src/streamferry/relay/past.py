"""The one look at the beginning of a session that may begin with what was sent before.

the first picture is one that was laid    it goes on after the last that was laid (``continuation``)
else, while it comes in a burst           it goes on after what viewers have seen (``replay``)
else                                      a new segment, as it comes
"""

from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import START, Tag
from streamferry.relay.continuation import Continuation
from streamferry.relay.replay import Replay
from streamferry.timeline import Timeline


class Past:
    """Of one session. Begins the segment, where the session before is not continued."""

    def __init__(self, timeline: Timeline, now: float, *, may_continue: bool) -> None:
        """``timeline``: as the session before has left it. ``may_continue``: its clocks still hold."""
        lead = timeline.lead if timeline.starts.sound != START else timeline.tracks.audio
        self._timeline = timeline
        self._replay = Replay(to_wire_ms(lead.last_ms - lead.shift))
        self._continuation = Continuation(timeline, now) if may_continue else None
        #: Whether all that comes now is new.
        self.is_over = False
        if not may_continue:
            timeline.begin_live()

    def leave_out(self, tags: list[Tag], now: float) -> list[Tag]:
        """What is new of the tags, and of what was held; to be called at each visit, also without any."""
        if (continuation := self._continuation) is not None:
            tags = continuation.rest_of(tags, now)
            if not continuation.is_over:
                return tags
            self._continuation = None
            if continuation.is_found:
                self.is_over = True
                return tags
        tags = self._replay.take(tags, now)
        self.is_over = self._replay.is_over
        if self.is_over and self._replay.has_cut:
            self._timeline.begin_live()
        return tags
