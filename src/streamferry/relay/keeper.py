"""What the keepers of a run share.

A keeper is responsible for one end of a run: it opens the end, passes it to the flow, waits until the flow reports its
loss, and starts over after a pause. The keepers of the two ends meet only in the flow. Protocol code never retries;
keepers do.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

from streamferry.media.errors import MediaError
from streamferry.relay.backoff import Pauses
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.judge import Judge
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.flow import Flow
from streamferry.relay.network import Network
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import Moved, OnAir, Playhead, State, Unready
from streamferry.relay.vitals import End, Phase, Vitals
from streamferry.source.shared import SharedPulls

#: What a keeper does, from its start until it is cancelled.
Keep = Callable[[], Coroutine[None, None, None]]

#: Whether the order of that number may be followed, which it then is: no run is told so twice, of any worker.
Claim = Callable[[int], Coroutine[None, None, bool]]

_LOGGED_ATTEMPTS = 10


async def _may_always(number: int) -> bool:
    return True


class RunContext:
    """What a run and its keepers know in common. ``spec`` is what is wanted now."""

    def __init__(
        self,
        spec: RelaySpec,
        flow: Flow,
        vitals: Vitals,
        network: Network,
        log: "logging.LoggerAdapter[logging.Logger]",
        *,
        pulls: SharedPulls | None = None,
        eyes: Eyes | None = None,
        on_attempt: Callable[[], None],
        on_moved: Callable[[Moved], None] = lambda moved: None,
        inspect: Callable[[float], object],
        claim: Claim | None = None,
    ) -> None:
        """``pulls``: those that runs share. ``eyes``: without, nothing is watched. ``on_attempt``: called for each
        attempt that failed, ``on_moved`` when a destination has asked to move. ``inspect``: checks the run, at a
        monotonic time. ``claim``: asked before an order is followed; without it all are."""
        self.spec = spec
        self.flow = flow
        #: Those of the first destination.
        self.vitals = vitals
        #: Of several inputs: what is on air, and the feed of the first if that is a list, for its place in it.
        self.on_air: OnAir | None = None
        self.first_list: FileFeed | None = None
        #: Of several inputs: who judges the content of what is on air.
        self.judge: Judge | None = None
        #: Who has judged it so far; None while nothing is watched.
        self.watching: Judge | None = None
        self.eyes = eyes
        self.network = network
        # Its own, if it shares none.
        self.pulls = pulls or SharedPulls()
        self.log = log
        self.on_attempt = on_attempt
        self.on_moved = on_moved
        #: Checks the run, at a monotonic time.
        self.look_at_run = inspect
        #: Has all that is not H.264 and AAC encoded from here on, because a destination does not take it; gives
        #: whether that is done now, which is once, and where the task allows it.
        self.encode: Callable[[], bool] = lambda: False
        self.claim = claim or _may_always
        #: Done with the run's outcome, once that is decided.
        self.over: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        #: Whether nothing may be sent any more.
        self.is_aborted = False
        #: Whether another run publishes to the same place after this one.
        self.goes_on = False
        #: When a preparation was last seen advancing: patience is not for a download that comes.
        self.advanced_at = time.monotonic()

    def finish(self, state: State) -> None:
        """Decide the run's outcome, unless that is decided already."""
        if not self.over.done():
            self.over.set_result(state)

    def note(self, end: End, phase: Phase) -> None:
        """Note the state of an end, and have the run checked."""
        end.enter(phase)
        self.look_at_run(time.monotonic())

    async def pause(
        self, end: End, error: MediaError, backoff: Pauses, vitals: Vitals | None = None, *, may_fail: bool = True
    ) -> None:
        """Note the loss and wait for the next attempt; end the run, if it ``may_fail``, when another is useless.

        ``vitals``: those of the destination; else those of the first one.
        """
        error.forget_trace()
        vitals = vitals or self.vitals
        vitals.note_failure(end, error)
        self.note(end, Phase.RETRYING)
        if may_fail and not error.retryable and not vitals.has_streamed:
            # What has worked before may do so again: a server may answer with a page of its own for a while.
            self.finish(State.FAILED)
        self.on_attempt()
        self._log_attempt(end, error, backoff.attempts + 1)
        await asyncio.sleep(max(backoff.next_delay(), error.retry_after_s))

    def _log_attempt(self, end: End, error: MediaError, attempt: int) -> None:
        """Days of attempts that all end alike fill no log: each of the first ten, then the hundredth, and so on."""
        is_news = attempt <= _LOGGED_ATTEMPTS or attempt % _LOGGED_ATTEMPTS**2 == 0 or error.why != end.logged
        end.logged = error.why
        level = logging.WARNING if is_news else logging.DEBUG
        self.log.log(level, "%s; attempt %d follows", error, attempt)


def forget_frames(task: "asyncio.Task[None]") -> None:
    """Called when a task is done: where it was cancelled is not kept. It refers to the task again, and to itself where
    a task group was left (CPython 3.11)."""
    if task.cancelled():
        try:
            task.result()
        except asyncio.CancelledError as error:
            error.__traceback__ = error.__context__ = None


def forget_turn(error: TimeoutError) -> None:
    """The same of what ends by ``asyncio.timeout``, within one task: it is caused by where that was cancelled."""
    for one in (error.__cause__, error.__context__, error):
        if one is not None:
            one.__traceback__ = one.__cause__ = one.__context__ = None


class KeeperTask:
    """The task in which one keeper runs, within the run's group; and earlier ones, which may still be closing."""

    def __init__(self, name: str, end: End) -> None:
        self._name = name
        self._end = end
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        """Whether the run has begun and does not end yet."""
        return self._group is not None

    @property
    def is_closing(self) -> bool:
        """Whether something of it has not ended yet."""
        return any(not task.done() for task in self._tasks)

    def start(self, group: asyncio.TaskGroup, keep: Keep) -> None:
        """The run begins."""
        self._group = group
        self._tasks = [self._begin(keep, self._name)]

    def restart(self, keep: Keep) -> None:
        """Keep the end in another way from now on: begin when the previous task has released it."""
        # All that are not done: the last may itself be waiting for one that is still unpublishing.
        previous = [task for task in self._tasks if not task.done()]
        if previous:
            previous[-1].cancel()

        async def follow() -> None:
            if previous:
                await asyncio.wait(previous)
            self._end.enter(Phase.IDLE)
            self._end.error = None
            await keep()

        self._tasks = [*previous, self._begin(follow, self._name)]

    def start_beside(self, keep: Keep, name: str) -> asyncio.Task[None]:
        """Do something else until the run ends, whatever is restarted meanwhile."""
        self._beside = [task for task in self._beside if not task.done()]
        self._beside.append(self._begin(keep, name))
        return self._beside[-1]

    def _begin(self, keep: Keep, name: str) -> asyncio.Task[None]:
        assert self._group is not None
        task = self._group.create_task(keep(), name=name)
        task.add_done_callback(forget_frames)
        return task

    def close(self) -> None:
        """The run ends: a restart comes too late from here on."""
        self._group = None

    def cancel(self) -> None:
        """Close the end properly."""
        for task in (self._tasks[-1], *self._beside):
            task.cancel()

    def abort(self) -> None:
        """Close the end at once, without waiting for anything."""
        for task in (*self._tasks, *self._beside):
            task.cancel()


class SourceKeeper(Protocol):
    """The keeper of the end that media comes from: a live source, or a list of files."""

    task: KeeperTask

    @property
    def skipped(self) -> MediaError | None:
        """Why the last item that could not be played was left out."""

    @property
    def unready(self) -> tuple[Unready, ...]:
        """See ``RelayStatus``."""

    def where_now(self) -> Playhead | None:
        """Where it would be if it had never stopped; None when it would have been played out."""

    def keep(self) -> Coroutine[None, None, None]:
        """Keep the source of the context's spec."""

    def update(self, before: RelaySpec) -> None:
        """The context's spec has a new source."""

    def follow_orders(self, before: RelaySpec) -> None:
        """Its sources are the same, but not what is asked for (``RelaySpec.on_air_key``)."""

    def encode(self, before: RelaySpec) -> None:
        """The context's spec has everything encoded now, and nothing more of what was sent so far may be sent."""

    def look(self, now: float) -> None:
        """Called at each inspection of the run."""

    async def catch_up(self) -> None:
        """The destination is there: go where the source would be if it had not had to wait for that."""
