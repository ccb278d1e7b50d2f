"""The brake on guessing secrets, for every front end that takes one: waits after failures, comparison in constant time.

Times are monotonic seconds, passed in.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Collection

#: So many failures are free; each one after them doubles the wait.
FREE_FAILURES = 4
_FIRST_WAIT_S = 15.0
_LONGEST_WAIT_S = 900.0
_MAX_REMEMBERED = 10_000


class Brake:
    """Makes who fails to sign in wait, longer each time. ``who``: whatever failures are counted by."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, who: Collection[str], now: float) -> float:
        """How long none of them may try; 0 if they may."""
        return max((self._failures.get(one, (0, now))[1] - now for one in who), default=0.0)

    def fail(self, who: Collection[str], now: float) -> None:
        """They failed."""
        for one in who:
            count = self._failures.pop(one, (0, now))[0] + 1
            extra = count - FREE_FAILURES
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(extra - 1, 10)) if extra > 0 else 0.0
            self._failures[one] = (count, now + wait_s)
        while len(self._failures) > _MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def forgive(self, who: Collection[str]) -> None:
        """They got in."""
        for one in who:
            self._failures.pop(one, None)


def is_same_secret(given: str, secret: str) -> bool:
    """Whether the secret is right, in the same time however much of it is."""
    return hmac.compare_digest(_digest(given), _digest(secret))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
