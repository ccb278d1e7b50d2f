"""How often somebody may call: token buckets in this process's memory, per key and kind of action, and per peer for
calls that prove nothing. What keys call at other services of the store is taken from it (``control.shared_calls``).
Times are monotonic seconds, passed in.
"""

from dataclasses import dataclass
from enum import Enum

from streamferry.control.shared_calls import SharedCalls
from streamferry.control.token_buckets import TokenBuckets

#: Requests of one peer that prove nothing: this many a second, and at once. A client with a wrong secret stays below.
FAILURES_S, FAILURES_AT_ONCE = 20, 100


class Kind(Enum):
    """Actions that share a bucket."""

    WRITE = "write"
    LIST = "list"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls per second and key, and as many at once after a pause; 0 is no limit. The numbers are the cloud API's."""

    write: float = 10
    list: float = 15
    usage: float = 30

    def of(self, kind: Kind) -> float:
        """The rate of one kind."""
        return float(getattr(self, kind.value))


class RateLimiter:
    """Counts calls of keys that have proved themselves. ``door``: which front end's they are, if that is shared."""

    def __init__(self, rates: Rates, shared: SharedCalls | None = None, door: str = "") -> None:
        self._shared, self._door = shared, door
        self._buckets = {
            kind: TokenBuckets(rate, max(rate, 1.0)) for kind, rate in ((kind, rates.of(kind)) for kind in Kind) if rate
        }

    def take(self, access_key_id: str, kind: Kind, now: float) -> bool:
        """Count one call; False if the limit is reached."""
        if (buckets := self._buckets.get(kind)) is None:
            return True
        if self._shared is None:
            return buckets.take(access_key_id, now)
        name = self._name(access_key_id, kind)
        if is_allowed := buckets.take(access_key_id, now, self._shared.share(name, buckets.rate)):
            self._shared.note(name)
        return is_allowed

    def give_back(self, access_key_id: str, kind: Kind) -> None:
        """Do not count a call after all."""
        if kind in self._buckets:
            self._buckets[kind].give_back(access_key_id)
            if self._shared is not None:
                self._shared.note(self._name(access_key_id, kind), -1)

    def _name(self, access_key_id: str, kind: Kind) -> str:
        return f"{self._door} {kind.value} {access_key_id}"
