"""The last picture of a file that was inserted, held while the live source that follows it has no keyframe yet.

A file may be shorter than the source's keyframes are apart. Without this nothing would be sent until the next of them.
"""

from streamferry.media.errors import MediaError
from streamferry.reasons import Reason
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.held import HeldPicture
from streamferry.relay.inputs.policy import Health


class StillInput:
    """A ``RunningInput`` that needs no task of its own."""

    kept_ms = 0
    judge = None
    error: MediaError | None = None
    trouble: Reason | None = None

    def __init__(self, flow: LiveFlow, scratch: memoryview) -> None:
        self.health = Health()
        self.held = HeldPicture(flow.timeline)
        self._flow = flow
        self._scratch = scratch

    def begin(self) -> HeldPicture:
        """Of another file from now on: that is to note its pictures."""
        self.held = HeldPicture(self._flow.timeline)
        return self.held

    @property
    def is_open(self) -> bool:
        """See ``RunningInput``."""
        return self.held.is_there

    def want(self, is_wanted: bool) -> None:
        """It is always there."""

    def visit(self, now: float) -> None:
        """See ``RunningInput``."""

    def take(self, now: float, *, goes_on: bool) -> LiveFeed:
        """See ``RunningInput``."""
        return LiveFeed(self.held.inlet(now), self._flow.timeline, self._scratch, now)

    def release(self, now: float) -> None:
        """See ``RunningInput``."""

    def lose(self, error: MediaError) -> None:
        """See ``RunningInput``."""

    async def keep(self) -> None:
        """There is nothing to open."""
