"""RelayHost: a process full of relays on one beat. Relay: the supervisor of one of them.

The supervisor stands above the run's own retries. A run that raises an unexpected error is a bug of ours; it is logged
with its traceback, and a new run is built.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TypeVar

from streamferry.media.errors import Fault
from streamferry.net.child import end_all
from streamferry.prepare.home import Home
from streamferry.prepare.store import PreparedStore
from streamferry.reasons import Code, Reason
from streamferry.relay.backoff import Backoff
from streamferry.relay.beat import Beat
from streamferry.relay.collector import Collector
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.keeper import Claim
from streamferry.relay.network import Network
from streamferry.relay.preview import Viewer
from streamferry.relay.run import RelayRun
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import ItemChange, Moved, Playhead, RelayStatus, State, Switch, Totals, Trouble
from streamferry.relay.turns import Turns
from streamferry.source.live import SCRATCH_BYTES
from streamferry.source.shared import SharedPulls

_log = logging.getLogger("streamferry.relay")

#: A relay that was asked to stop gets this long to close its sessions properly; then it is aborted. The longest is the
#: end of an SRT session (``push.srt``): 2 s for what is not acknowledged, and 8 s of latency.
STOP_S = 12.0


#: Makes a run (``RelayRun``), given what is not common to all relays of a host.
NewRun = Callable[..., RelayRun]
_T = TypeVar("_T")


class Relay:
    """A running relay. Made by :meth:`RelayHost.start`."""

    def __init__(
        self,
        spec: RelaySpec,
        group: asyncio.TaskGroup,
        turns: Turns,
        new_run: NewRun,
        log: "logging.LoggerAdapter[logging.Logger]",
        trouble: Trouble | None,
    ) -> None:
        self._spec = spec
        self._turns = turns
        self._log = log
        self._new_run = new_run
        self._stopping = asyncio.Event()
        # Whether the broadcast is to end with it.
        self._ends = False
        self._crashed: RelayStatus | None = None
        self._late: asyncio.TimerHandle | None = None
        self._began_at = time.monotonic()
        #: What runs did that were replaced.
        self._past = Totals()
        self._watchers: list[Callable[[RelayStatus], None]] = []
        self._item_watchers: list[Callable[[ItemChange], None]] = []
        self._switch_watchers: list[Callable[[Switch], None]] = []
        self._move_watchers: list[Callable[[Moved], None]] = []
        self._claim: Claim | None = None
        self._claimed: set[int] = set()
        self._run = self._make_run(spec, trouble)
        # Whether it is to end since a run of the other kind was asked for: also if the kind is its own again by now.
        self._is_replaced = False
        self._supervisor = group.create_task(self._supervise(), name="relay supervisor")
        self.on_end(self._forget_limit)

    @property
    def status(self) -> RelayStatus:
        """The latest status, at most about half a second old."""
        status = self._crashed or self._run.status
        if not self._is_replaced:
            return status
        # The position of the ending run is none in its successor.
        return replace(status, playhead=None, item_end_ms=None)

    @property
    def is_ending(self) -> bool:
        """Whether its outcome is decided, although closing may take seconds: a change comes too late."""
        return self._run.is_ending and not self._is_renewed

    @property
    def totals(self) -> Totals:
        """What all its runs have done."""
        return Totals.sum((self._past, self._run.totals))

    def watch(self, callback: Callable[[RelayStatus], None]) -> None:
        """Call ``callback`` at each change of state or reason, from the event loop's thread."""
        self._watchers.append(callback)

    def watch_items(self, callback: Callable[[ItemChange], None]) -> None:
        """Call ``callback`` at each step of an item of a list, inside the beat: it has to be quick."""
        self._item_watchers.append(callback)

    def watch_switches(self, callback: Callable[[Switch], None]) -> None:
        """Call ``callback`` whenever something else comes on air, inside the beat: it has to be quick."""
        self._switch_watchers.append(callback)

    def watch_moves(self, callback: Callable[[Moved], None]) -> None:
        """Call ``callback`` whenever a destination has asked to go on in another session."""
        self._move_watchers.append(callback)

    def ask_before_orders(self, claim: Claim) -> None:
        """Ask that before an order is followed; none is followed twice."""
        self._claim = claim

    async def _may_follow(self, number: int) -> bool:
        if number in self._claimed or (self._claim is not None and not await self._claim(number)):
            return False
        self._claimed.add(number)
        return True

    def open_preview(self) -> Viewer:
        """A viewer of what is sent to the destination; see :meth:`RelayRun.open_preview`."""
        return self._run.open_preview()

    def update(self, spec: RelaySpec) -> None:
        """Change the run; see :meth:`RelayRun.update`. A change of its kind starts a new run: the publish session is
        closed and opened again.
        """
        is_elsewhere = spec.destination != self._spec.destination
        self._spec = spec
        if not self._is_replaced and spec.has_list_flow is self._run.has_list_flow:
            self._run.update(spec)
        else:
            self._is_replaced = True
            if not self._stopping.is_set():
                self._run.goes_on = not is_elsewhere
            self._stop_run()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the relay has ended."""
        self._supervisor.add_done_callback(lambda _: callback())

    async def wait(self) -> RelayStatus:
        """Wait for the end and return the final status."""
        return await asyncio.shield(self._supervisor)

    def request_stop(self) -> None:
        """Request the end: unpublish, and become ``stopped``; also while it is being handed over."""
        self._ends = True
        self._stopping.set()
        # A change may have asked for another run just now.
        self._run.goes_on = False
        self._turns.take(self._stop_run)

    def hand_over(self, *, at_once: bool = False) -> None:
        """Stop, so that another relay goes on: at the next START, or ``at_once``. Not after the end was requested."""
        is_first = not self._stopping.is_set()
        self._stopping.set()
        if self._ends:
            return
        if at_once:
            self._run.goes_on = True
            self._turns.take(self._stop_run)
        elif is_first:
            self._run.stop_at_next_start()

    def close(self) -> None:
        """Stop at once: the process ends. What was being handed over still goes on elsewhere."""
        if self._stopping.is_set():
            self.hand_over(at_once=True)
        else:
            self.request_stop()

    def abort(self) -> None:
        """Send nothing from here on, not even an unpublish, and end; see :meth:`RelayRun.abort`."""
        self._stopping.set()
        self._run.abort()

    async def stop(self) -> RelayStatus:
        """Request the end, wait for it, and return the final status."""
        self.request_stop()
        return await self.wait()

    def _stop_run(self) -> None:
        self._run.stop()
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(STOP_S, self._abort_late, self._run)

    def _abort_late(self, run: RelayRun) -> None:
        self._late = None
        if run is self._run and not self._supervisor.done():
            self._log.error("a relay did not stop within %g s and is aborted", STOP_S)
            run.abort()

    def _forget_limit(self) -> None:
        if self._late is not None:
            self._late.cancel()

    @property
    def _is_renewed(self) -> bool:
        """Whether another run follows the present one."""
        return self._is_replaced and not self._stopping.is_set()

    def _notify(self, status: RelayStatus) -> None:
        if status.final and self._is_renewed:
            return
        self._tell(self._watchers, status)

    def _tell(self, watchers: Iterable[Callable[[_T], None]], change: _T) -> None:
        for watcher in watchers:
            try:
                watcher(change)
            except Exception:
                # Called inside a beat: a watcher's bug must not affect the streams.
                self._log.exception("a watcher of a relay failed")

    def _make_run(self, spec: RelaySpec, trouble: Trouble | None) -> RelayRun:
        return self._new_run(
            spec,
            began_at=self._began_at,
            on_change=self._notify,
            on_item=partial(self._tell, self._item_watchers),
            on_switch=partial(self._tell, self._switch_watchers),
            on_moved=partial(self._tell, self._move_watchers),
            trouble=trouble,
            claim=self._may_follow,
        )

    def _replace_run(self, spec: RelaySpec) -> None:
        self._past = self.totals
        self._run, self._is_replaced = self._make_run(spec, self.status.trouble), False

    async def _supervise(self) -> RelayStatus:
        backoff = Backoff()
        await self._turns.wait()
        while True:
            run_began_at = time.monotonic()
            try:
                final = await self._run.run()
                if not self._is_renewed:
                    return final
                if (on_air := final.on_air) is not None and on_air.input != 0:
                    self._tell(self._switch_watchers, Switch(on_air, on_air.replaced()))
                place = self._run.place_in(self._spec)
                self._replace_run(self._spec if place is None else replace(self._spec, playhead=place))
                continue
            except Exception:
                self._log.exception("a run failed inside streamferry; it is built anew")
            backoff.note_session(time.monotonic() - run_began_at)
            last, broke = self._run.status, self._spec
            playhead = last.playhead
            tries = (last.trouble.tries if last.trouble else 0) + 1
            trouble = Trouble(Fault.SERVICE, Reason.of(Code.SERVICE_INTERNAL), tries)
            self._crashed = RelayStatus(
                State.FAILED if self._stopping.is_set() else State.RETRYING,
                retries=backoff.attempts + 1,
                fault=trouble.fault,
                why=trouble.why,
                playhead=playhead,
                trouble=trouble,
            )
            self._notify(self._crashed)
            if self._stopping.is_set():
                return self._crashed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.next_delay()):
                    await self._stopping.wait()
            # Within the same window, and where it broke, or the clock is, if that is still a place in the list; its
            # counters begin anew.
            spec = self._spec
            if playhead is not None and not spec.is_live and spec.items == broke.items:
                if spec.keeps_time:
                    playhead = self._run.where_now() or Playhead(spec.loops)
                spec = replace(spec, playhead=playhead)
            self._replace_run(spec)
            self._crashed = None
            if self._stopping.is_set():
                self._run.stop()


class RelayHost:
    """Async context manager that owns the beat, the cache of prepared files and the network options of a process.

    A ``store`` that is given is taken over: it is closed at the end.
    """

    def __init__(
        self, *, store: PreparedStore | None = None, network: Network | None = None, shares_pulls: bool = False
    ) -> None:
        """``shares_pulls``: whether relays of the same live source pull it once."""
        self._pulls = SharedPulls() if shares_pulls else None
        self._network = network or Network()
        self._store = store or PreparedStore(
            allow=self._network.allow, tls=self._network.tls, home=Home.of_environment()
        )
        self._relays: set[Relay] = set()
        #: What relays did that have ended.
        self._past = Totals()
        self._group = asyncio.TaskGroup()
        # Every live source of the process receives into it, one after the other.
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._fence = self._network.deadlines.fence
        self._beat: Beat | None = None
        self._collector = Collector()

    async def __aenter__(self) -> "RelayHost":
        self._beat = Beat(self._fence, self._abort_all)
        self._turns = Turns()
        self._eyes = Eyes()
        self._collector.start()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for relay in self._relays:
            relay.close()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            self._require_beat().close()
            self._collector.stop()
            await self._eyes.aclose()
            await self._store.aclose()
            await end_all()

    def start(self, spec: RelaySpec, of: Mapping[str, object] | None = None, trouble: Trouble | None = None) -> Relay:
        """Start a relay; it runs until its end or until it is stopped.

        ``of``: attributes of all its log lines, which say whose relay it is. ``trouble``: in which the same was left
        that ran before it, here or elsewhere.
        """
        beat = self._require_beat()
        log = logging.LoggerAdapter(_log, of)

        new_run = partial(
            RelayRun,
            beat=beat,
            scratch=self._scratch,
            store=self._store,
            network=self._network,
            log=log,
            on_attempt=self._collector.note_attempt,
            pulls=self._pulls,
            eyes=self._eyes,
        )
        relay = Relay(spec, self._group, self._turns, new_run, log, trouble)
        self._relays.add(relay)
        relay.on_end(lambda: self._forget(relay))
        self._collector.note_started()
        return relay

    def fence(self, at: float) -> None:
        """Send nothing at ``at`` (on ``lease_clock``) or later: relays are aborted then. Infinity lifts it."""
        self._fence.at = at

    def _abort_all(self) -> None:
        """Called by the beat past the fence."""
        _log.error("the lease ran out: %d relays are aborted", len(self._relays))
        for relay in self._relays:
            relay.abort()

    def _forget(self, relay: Relay) -> None:
        self._relays.discard(relay)
        self._past = Totals.sum((self._past, relay.totals))
        self._collector.note_ended()

    @property
    def totals(self) -> Totals:
        """What all relays have done since the host began. Costs some microseconds a relay."""
        return Totals.sum((self._past, *(relay.totals for relay in self._relays)))

    @property
    def preparing(self) -> int:
        """Files that are being prepared now."""
        return self._store.preparing

    def take_worst_lateness(self) -> float:
        """Seconds by which the worst visit of the beat was late since the last call."""
        return self._require_beat().take_worst_lateness()

    def _require_beat(self) -> Beat:
        if self._beat is None:
            raise RuntimeError("use RelayHost as an async context manager")
        return self._beat
