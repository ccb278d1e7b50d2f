"""What every input of a run is, for the keeper that shows one of them."""

from typing import Protocol

from streamferry.media.errors import MediaError
from streamferry.reasons import Reason
from streamferry.relay.eyes.judge import Judge
from streamferry.relay.feed import LiveFeed
from streamferry.relay.inputs.policy import Health


class RunningInput(Protocol):
    """An input of a run. Its keeper visits it with the beat, and says when it is wanted and when it is on air."""

    health: Health

    @property
    def error(self) -> MediaError | None:
        """Why it last failed."""

    @property
    def trouble(self) -> Reason | None:
        """Why it could not be shown now, though it is tried, or is open; None: it could, or nobody tries."""

    @property
    def is_open(self) -> bool:
        """Whether it could go on after a break, on air as it is."""

    @property
    def judge(self) -> Judge | None:
        """Who judges its content, on the air or not; None: nothing is switched for that."""

    @property
    def kept_ms(self) -> int:
        """How much of the past it would begin with."""

    def want(self, is_wanted: bool) -> None:
        """Be open, or closed."""

    def visit(self, now: float) -> None:
        """Note how it is doing; receive, if it is open and not on air."""

    def take(self, now: float, *, goes_on: bool) -> LiveFeed:
        """It goes on air: what the flow is to pull from now on. ``goes_on``: what was on air last was of it, too."""

    def release(self, now: float) -> None:
        """It is off the air: nobody pulls the feed any more."""

    def lose(self, error: MediaError) -> None:
        """It was on air, and its feed has ended and is closed."""

    async def keep(self) -> None:
        """Open it whenever it is wanted, until cancelled."""
