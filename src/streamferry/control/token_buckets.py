"""Token buckets in this process's memory: how often something may be done. Times are monotonic seconds, passed in."""

from collections import OrderedDict

_MAX_REMEMBERED = 10_000


class TokenBuckets:
    """A bucket of ``capacity`` tokens for each name, filled at ``rate`` a second; names of long ago are forgotten."""

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate = rate
        self._capacity = capacity
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def has_token(self, name: str, now: float) -> bool:
        """Whether the next one could be taken."""
        return self._tokens(name, now) >= 1

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self._rate

    def take(self, name: str, now: float, share: float = 1.0) -> bool:
        """Take a token; False if there is none. ``share``: how much of rate and capacity there is now."""
        tokens = self._tokens(name, now, share)
        if tokens < 1:
            return False
        self._buckets[name] = (tokens - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        return True

    def give_back(self, name: str) -> None:
        """One that was taken for nothing."""
        if name in self._buckets:
            tokens, then = self._buckets[name]
            self._buckets[name] = (tokens + 1, then)

    def _tokens(self, name: str, now: float, share: float = 1.0) -> float:
        tokens, then = self._buckets.get(name, (self._capacity, now))
        return min(max(self._capacity * share, 1.0), tokens + (now - then) * self._rate * share)
