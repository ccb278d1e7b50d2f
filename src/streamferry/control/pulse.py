"""Pulse: a write to the store each second, which shows that it can be written to, or since when it cannot.

Leases are judged by it (``store.workers``): a worker that did not renew is gone only if it could have.
"""

import asyncio
import contextlib
import logging
import time

from streamferry.control.clock import StepWatch
from streamferry.store import TROUBLE, Store, describe_trouble, due, workers
from streamferry.store.database import read_now_ms
from streamferry.store.sqlite import BUSY_S

_log = logging.getLogger("streamferry.control")

#: A third of what makes a gap (``workers.PULSE_GAP_MS``).
BEAT_S = 1.0


class Pulse:
    """Run it in the service's process. ``trouble``: what is wrong with the store, as text; None while it is fine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps = StepWatch()
        self._failed_at = 0.0
        self.trouble: str | None = None

    @property
    def trouble_s(self) -> float:
        """How long it has been in trouble; 0 while it is fine."""
        return 0.0 if self.trouble is None else time.monotonic() - self._failed_at

    def log_bytes(self) -> int | None:
        """The size of a SQLite store's write-ahead log; None for another database."""
        return self._store.log_bytes()

    async def run(self, stopping: asyncio.Event) -> None:
        """Beat until told to stop."""
        while not stopping.is_set():
            await self.beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await stopping.wait()

    async def beat(self) -> None:
        """Write once; each kind of failure is logged once, and when it is over."""
        try:
            async with asyncio.timeout(BUSY_S + BEAT_S):
                await self._write()
        except TROUBLE as error:
            self._fail(describe_trouble(error))
        else:
            self._recover()

    async def _write(self) -> None:
        async with self._store.write(is_durable=False) as connection:
            asked_at = time.monotonic()
            now_ms = await read_now_ms(connection)
            is_step = self._steps.note(now_ms, asked_at, time.monotonic())
            await workers.beat(connection, now_ms, afresh=is_step)
            if is_step:
                await due.follow_clock(connection, now_ms)
        if is_step:
            _log.warning("the store's clock was set: each lease gets its full length again before it is judged")

    def _fail(self, trouble: str) -> None:
        if self.trouble is None:
            self._failed_at = time.monotonic()
        if self.trouble != trouble:
            _log.error("the store cannot be written to: %s", trouble)
        self.trouble = trouble

    def _recover(self) -> None:
        if self.trouble is not None:
            _log.warning("the store can be written to again, after %.1f s", self.trouble_s)
        self.trouble = None
