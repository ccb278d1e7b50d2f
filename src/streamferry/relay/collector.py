"""Garbage collection at times of our choosing, so that it does not make the beat late.

A full collection visits every object of every relay: 130 ms for 2,000 of them (CPython 3.11, two cores of an EPYC).
Automatic collection is therefore off while relays run. A few times a minute new objects are collected, which takes time
only for those, and the survivors are frozen: later collections skip them. A frozen object that dies is freed by its
reference count as usual, unless it is part of a cycle, as most of a relay is. So a full collection follows when as many
relays have ended as are running, which keeps it rare however many come and go. Sessions and attempts of relays that go
on are made without cycles; what is overlooked, there or in a library, is some KiB each, and as many of them as make up
a relay count as one.
"""

import asyncio
import gc

_INTERVAL_S = 5.0
#: Fewer ended relays than this are not worth a full collection: some MiB.
_MIN_ENDED = 100
#: What an ended session or a failed attempt counts: a relay that has run is about 150 KiB.
_ATTEMPT = 0.1


class Collector:
    """Takes over the process's garbage collection from ``start`` to ``stop``."""

    def __init__(self) -> None:
        self._was_enabled = False
        #: Whether something was frozen before: what the process has imported, as a rule (``cli/process.py``).
        self._had_frozen = False
        self._running = 0
        self._ended = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Switch automatic collection off, and freeze all existing objects: they live as long as the process.

        What is frozen already is not looked at: 180,000 objects of imports were half of what a short relay cost.
        """
        self._was_enabled = gc.isenabled()
        self._had_frozen = gc.get_freeze_count() > 0
        gc.disable()
        gc.collect()
        gc.freeze()
        self._schedule()

    def note_started(self) -> None:
        """A relay was started."""
        self._running += 1

    def note_ended(self) -> None:
        """A relay has ended, and is garbage."""
        self._running -= 1
        self._ended += 1

    def note_attempt(self) -> None:
        """A relay has lost a session, or an attempt to open one has failed."""
        self._ended += _ATTEMPT

    def stop(self) -> None:
        """Restore garbage collection as it was. If something was frozen before, all stays frozen."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._had_frozen:
            gc.unfreeze()
        if self._was_enabled:
            gc.enable()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL_S, self._run)

    def _run(self) -> None:
        if self._ended >= max(_MIN_ENDED, self._running):
            self._collect_all()
        else:
            gc.collect(1)
            gc.freeze()
        self._schedule()

    def _collect_all(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._ended = 0.0
