"""Places for callbacks in progress at each host, shared fairly. Pure.

A host has few places at a time, so that a dead one delays only its own tasks. Addresses whose last attempt failed share
one of them: a path that is slow or refuses leaves the rest to the other paths of its host, and a hundred dead hosts do
not take all places.
"""

from collections import Counter
from collections.abc import Collection


class HostPlaces:
    """``of_host`` places at a host, ``of_failing`` of them for addresses that failed last. Hosts are digests.

    ``failing``: digests of addresses whose last attempt failed.
    """

    def __init__(self, of_host: int, of_failing: int, failing: Collection[str] = ()) -> None:
        self.failing = failing
        self._of_host = of_host
        self._of_failing = of_failing
        self._taken: Counter[str] = Counter()
        self._taken_failing: Counter[str] = Counter()

    def take(self, host: str, *, is_failing: bool) -> bool:
        """Take a place, if there is one."""
        if self._taken[host] >= self._of_host or (is_failing and self._taken_failing[host] >= self._of_failing):
            return False
        self.put(host, is_failing=is_failing)
        return True

    def put(self, host: str, *, is_failing: bool) -> None:
        """Count one that is already in progress."""
        self._taken[host] += 1
        self._taken_failing[host] += is_failing

    @property
    def full(self) -> list[str]:
        """Hosts without a place."""
        return [host for host, count in self._taken.items() if count >= self._of_host]

    @property
    def full_for_failing(self) -> list[str]:
        """Hosts without a place for addresses that failed last."""
        return [host for host, count in self._taken_failing.items() if count >= self._of_failing]
