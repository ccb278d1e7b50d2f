"""What a service and the preview servers of its workers agree on: passes for one task, and how long one waits."""

import hmac
import time
from collections.abc import Callable

#: How long a pass is valid: time for the request to arrive, with clocks that differ by a minute.
PASS_S = 120.0
#: How long the first picture may take: two of the longest keyframe intervals in use.
FIRST_PICTURE_S = 20.0


class Passes:
    """Short-lived permissions to view one task. ``sign`` makes text that only holders of the key can make."""

    def __init__(self, sign: Callable[[str], str], now: Callable[[], float] = time.time) -> None:
        self._sign = sign
        self._now = now

    def issue(self, task_id: str) -> str:
        """A pass for a task, from now on for ``PASS_S``."""
        until = round(self._now() + PASS_S)
        return f"{until}.{self._sign(_statement(task_id, until))}"

    def admits(self, given: str, task_id: str) -> bool:
        """Whether it is a pass for the task that is valid now."""
        until, _, signature = given.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) < 16):
            return False
        expected = self._sign(_statement(task_id, int(until)))
        is_genuine = hmac.compare_digest(signature.encode(), expected.encode())
        return is_genuine and 0 <= int(until) - self._now() <= 2 * PASS_S


def _statement(task_id: str, until: int) -> str:
    return f"preview of {task_id} until {until}"
