"""How often an access key may call: a token bucket for each key and kind of action, in this process's memory."""

from dataclasses import dataclass
from enum import Enum

from streamferry.control.api.faults import ApiError, ErrorCode


class Kind(Enum):
    """Actions that share a bucket."""

    WRITE = "write"
    LIST = "list"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls a second of one key, and as many at once after a pause; 0 is no limit. The numbers are the cloud API's."""

    write: float = 10
    list: float = 15
    usage: float = 30

    def of(self, kind: Kind) -> float:
        """The rate of one kind."""
        return float(getattr(self, kind.value))


class RateLimiter:
    """Counts calls of keys that have proved themselves, so there are never more buckets than keys and kinds."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._buckets: dict[tuple[str, Kind], tuple[float, float]] = {}

    def take(self, access_key_id: str, kind: Kind, now: float) -> None:
        """Count one call at ``now`` (monotonic seconds). Raises ApiError AccountFlowLimitExceeded."""
        rate = self._rates.of(kind)
        if rate == 0:
            return
        capacity = max(rate, 1.0)
        tokens, then = self._buckets.get((access_key_id, kind), (capacity, now))
        tokens = min(capacity, tokens + (now - then) * rate)
        if tokens < 1:
            raise ApiError(ErrorCode.FLOW_LIMIT)
        self._buckets[access_key_id, kind] = (tokens - 1, now)
