"""How long to wait before the next attempt: doubling with jitter, 0.5 s to 30 s."""

import random
from typing import Protocol

FIRST_S = 0.5
LONGEST_S = 30.0
EAGER_LONGEST_S = 1.5
#: A session must have worked this long before the next failure counts as the first again: a peer that accepts and
#: then drops each session must not be hammered (platforms start a broadcast for every try).
GOOD_AFTER_S = 20.0


class Pauses(Protocol):
    """What says how long a keeper waits."""

    @property
    def attempts(self) -> int:
        """Failed attempts in a row, before the one that is paused for."""

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""


class Backoff:
    """Counts failed attempts in a row and says how long to wait.

    The first ``eager_attempts`` waits are cut to EAGER_LONGEST_S, for a peer whose return should be noticed at once.
    """

    def __init__(self, eager_attempts: int = 0) -> None:
        self._eager_attempts = eager_attempts
        self.attempts = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure: half of the step fixed, half of it random."""
        step = self.step_s
        self.attempts += 1
        return step / 2 + random.uniform(0, step / 2)

    @property
    def step_s(self) -> float:
        """The longest that the next delay may be."""
        grown = self.attempts - self._eager_attempts
        if grown >= 0:
            return min(LONGEST_S, FIRST_S * 2.0 ** min(grown, 10))
        return min(EAGER_LONGEST_S, FIRST_S * 2.0 ** min(self.attempts, 10))

    def note_session(self, lasted_s: float) -> None:
        """Forget earlier failures if the session that just ended was a good one."""
        if lasted_s >= GOOD_AFTER_S:
            self.attempts = 0
