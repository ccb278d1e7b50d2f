"""How often keys call at other services of the store: each tells the others once a second, so that a limit holds for
all of them together, whichever of them a balancer chooses.

A service decides by its own buckets (``token_buckets``), without asking anybody. What others have allowed a key in the
last second is taken from its rate here, down to an equal share. So a key that calls all of them is held to what is set
within about a second, and one that calls a single service has all of it there. While the store is away, and as long as
nobody calls, nothing is told.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter

from streamferry.store import TROUBLE, Store, call_rates

TELL_S = 1.0


class SharedCalls:
    """What is counted here, and what the others have told. Names are ours, of a key and a kind of call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._service = secrets.token_hex(8)
        self._counted: Counter[str] = Counter()
        self._counted_at = time.monotonic()
        self._has_told = False
        self._elsewhere: dict[str, tuple[float, int]] = {}

    def note(self, name: str, count: int = 1) -> None:
        """Calls that were allowed; -1 for one that was not made after all."""
        self._counted[name] += count

    def share(self, name: str, rate: float) -> float:
        """How much of a rate, in calls a second, is left for this service: 1 for all of it."""
        calls, services = self._elsewhere.get(name, (0.0, 0))
        return max(1 - calls / rate, 1 / (1 + services))

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell and be told until it is to stop."""
        while not stopping.is_set():
            await self.tell(time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await stopping.wait()

    async def tell(self, now: float) -> None:
        """Once."""
        span_s = max(now - self._counted_at, 0.001)
        rates = {name: count / span_s for name, count in self._counted.items() if count > 0}
        self._counted, self._counted_at = Counter(), now
        elsewhere: dict[str, tuple[float, int]] = {}
        if rates or self._has_told:
            with contextlib.suppress(*TROUBLE):
                async with self._store.write(is_durable=False) as connection:
                    elsewhere = await call_rates.exchange(connection, self._service, rates)
                self._has_told = bool(rates)
        self._elsewhere = elsewhere
