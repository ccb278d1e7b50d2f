"""When to try a destination again, and what to say when it fails in the same way again and again. Pure policy.

    the last attempt                                  from its beginning to the next
    the first failure after a good session            a pause of 0.25 to 0.5 s
    nobody was there (no connection, no handshake)    1 to 1.5 s for 50 attempts, then 2 to 4 s
    "somebody publishes this stream already"          2 to 3 s for 20 attempts, then as anything else
    the user and password were refused                a pause of 2 to 4 s once, then of 1 to 1.5 minutes
    another publisher took the key, the third time    a pause of 2 to 4 minutes
    it was accepted or heard, then closed             pauses that double from 2 s to 2 minutes
    anything else                                     pauses that double from 2 s to 30 s

Of a pause that doubles, half is random. A destination that is not there costs little to ask, and the picture should be
back soon after its return. One that is there and refuses is asked less and less. See decision 0064.
"""

import random
from collections.abc import Callable

from streamferry.media.errors import (
    DestinationAbsent,
    DestinationClosed,
    DestinationError,
    MediaError,
    PublishBusy,
    PublishEvicted,
    PublishRefusedLogin,
    PublishRejected,
)
from streamferry.reasons import Code
from streamferry.relay import backoff

#: The first minute of a destination that is not there, and later.
EAGER_ATTEMPTS, EAGER_S, LATER_S = 50, (1.0, 1.5), (2.0, 4.0)
#: Servers keep an old session for some seconds to some minutes: the first minute is asked evenly.
BUSY_ATTEMPTS, BUSY_S = 20, (2.0, 3.0)
#: Servers are known that refuse right credentials once; what follows may lock an account.
LOGIN_AGAIN_S, LOGIN_S = (2.0, 4.0), (60.0, 90.0)
#: So many evictions are no accident; whoever else publishes is not to be evicted again at once.
EVICTIONS, EVICTED_S = 3, (120.0, 240.0)
#: An eviction has a meaning of its own for longer than other ends: the other publisher may be pausing as we do.
EVICTED_WITHIN_S = 60.0
#: So many sessions that were closed without a word have one cause, and asking will not remove it.
CLOSES, LONGEST_AFTER_CLOSES_S = 5, 120.0
#: Sessions of at least this length that end after the same time, so often, end by a limit of the platform; how much
#: they may differ.
LIMITED_FROM_S, LIMITED, ALIKE_S, ALIKE = 60.0, 3, 2.0, 0.01
_STEPS = 10


class DestinationBackoff:
    """Counts failures by their kind, all of them since the last good session. ``uniform``: see ``random.uniform``."""

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._had_session = False
        # How long the last session was, how many were that long, and whether the last failure was the end of one.
        self._length_s = 0.0
        self._alike = 0
        self._ended_session = self._noted_session = False
        self._evictions = 0
        self._pause_s = 0.0
        self._forget()

    def _forget(self) -> None:
        self._failures = self._absences = self._busy = self._logins = self._closes = self._others = 0

    @property
    def attempts(self) -> int:
        """See ``Pauses``."""
        return self._failures - 1

    def note_session(self, lasted_s: float) -> None:
        """A session ended that had been accepted; its error follows."""
        self._had_session = self._noted_session = True
        # It was there: when it goes again, that is another absence.
        self._absences = 0
        is_alike = abs(lasted_s - self._length_s) <= max(ALIKE_S, ALIKE * lasted_s)
        self._alike = (self._alike if is_alike else 0) + 1 if lasted_s >= LIMITED_FROM_S else 0
        self._length_s = lasted_s
        if lasted_s >= backoff.GOOD_AFTER_S:
            self._forget()
        if lasted_s >= EVICTED_WITHIN_S:
            self._evictions = 0

    def note_failure(self, error: DestinationError, took_s: float) -> None:
        """One more attempt failed, or one more session ended; since the attempt began, so much time has passed."""
        self._failures += 1
        self._ended_session, self._noted_session = self._noted_session, False
        first_s = backoff.FIRST_S
        match error:
            case DestinationAbsent():
                self._absences += 1
                interval_s = self._uniform(*EAGER_S if self._absences <= EAGER_ATTEMPTS else LATER_S)
                self._pause_s = interval_s - took_s
            case PublishBusy() if self._busy < BUSY_ATTEMPTS:
                self._busy += 1
                self._pause_s = self._uniform(*BUSY_S) - took_s
            case PublishRefusedLogin():
                self._logins += 1
                self._pause_s = self._uniform(*LOGIN_AGAIN_S if self._logins == 1 else LOGIN_S)
                return
            case PublishEvicted() if self._evictions + 1 >= EVICTIONS:
                self._evictions += 1
                self._pause_s = self._uniform(*EVICTED_S)
                return
            case PublishEvicted():
                self._evictions += 1
                self._pause_s = self._doubled(self._evictions, backoff.LONGEST_S)
            case DestinationClosed():
                self._closes += 1
                self._pause_s = self._doubled(self._closes, LONGEST_AFTER_CLOSES_S)
            case _:
                self._others += 1
                self._pause_s = self._doubled(self._others, backoff.LONGEST_S)
        least_s = self._uniform(first_s / 2, first_s)
        self._pause_s = least_s if self._failures == 1 else max(least_s, self._pause_s)

    def _doubled(self, count: int, longest_s: float) -> float:
        step_s = min(longest_s, backoff.FIRST_S * 2.0 ** min(max(count, 2), _STEPS))
        return self._uniform(step_s / 2, step_s)

    def told(self, error: DestinationError) -> MediaError:
        """The error as it is told: by its pattern, where there is one."""
        match error:
            case PublishEvicted() if self._evictions >= EVICTIONS:
                return PublishEvicted(Code.DESTINATION_TAKEN_OVER)
            case DestinationClosed() if self._closes >= CLOSES:
                return PublishRejected(Code.DESTINATION_CLOSES_AT_ONCE)
            case DestinationClosed() | PublishRejected() if self._ended_session and self._alike >= LIMITED:
                return PublishRejected(Code.DESTINATION_LIMITS_SESSIONS, minutes=round(self._length_s / 60, 1))
            case PublishBusy() if self._had_session:
                return PublishBusy(Code.DESTINATION_STILL_BUSY, why=error.why)
            case _:
                return error

    def next_delay(self) -> float:
        """Seconds to wait now."""
        return self._pause_s
