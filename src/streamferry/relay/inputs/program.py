"""What is on air of a run's inputs: the feed that its flow pulls, the joins, and the tasks in which inputs are open.

It does what the keeper has decided. A join begins with a keyframe where the last segment ended, in the publish session
that is open.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial

from streamferry.media.errors import SourceError
from streamferry.reasons import Reason
from streamferry.relay.beat import RING_S
from streamferry.relay.encoded import EncodedFeed
from streamferry.relay.eyes.judge import Judge
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import Feed, LiveFlow
from streamferry.relay.inputs.held import HeldPicture, WatchedFeed
from streamferry.relay.inputs.policy import SLATE
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.keeper import RunContext, forget_frames
from streamferry.relay.live_session import LiveSession
from streamferry.relay.status import OnAir, Shown, Switch
from streamferry.relay.vitals import Phase

#: An input begins with a keyframe that came so shortly before its last visit, if it can be waited for: not with its
#: past, by which all that follows would be late.
FRESH_MS = 40


class Program:
    """``on_switch`` is called inside the beat whenever something else comes on air."""

    def __init__(self, context: RunContext, flow: LiveFlow, on_switch: Callable[[Switch], None]) -> None:
        self._context = context
        self._flow = flow
        self._on_switch = on_switch
        self._source = context.vitals.source
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[RunningInput, asyncio.Task[None]] = {}
        # How the flow says that what it pulls has ended.
        self._lost: asyncio.Future[SourceError] | None = None
        self._on_lost: Callable[[asyncio.Future[SourceError]], None] = lambda ended: None
        # When something was on air last, or it began.
        self._shown_at = 0.0
        # Whether the flow pulls what is another's by now.
        self._is_handed_over = False
        #: What the flow pulls from, and what it pulled from last.
        self.shown: RunningInput | None = None
        self.shown_last: RunningInput | None = None
        # What the flow pulls.
        self._feed: LiveFeed | EncodedFeed | None = None
        # What it pulls, or pulled last; and how far what was sent was ahead of its time when that began: by the pasts
        # with which inputs have begun, less the pauses since.
        self._fed: LiveFeed | EncodedFeed | None = None
        self._ahead_ms = 0.0
        # Each notes the pictures of what is shown, but for those of its own input.
        self._held: dict[RunningInput, HeldPicture] = {}

    @property
    def is_running(self) -> bool:
        """Between ``begin`` and ``close``."""
        return self._group is not None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Inputs run in that group from now on."""
        self._group, self._is_handed_over = group, False
        self._shown_at = time.monotonic()

    def close(self) -> None:
        """Nothing is on air any more."""
        if not self._is_handed_over:
            self._flow.detach_feed()
        self._group = self.shown = self.shown_last = self._feed = self._fed = None
        self._tasks.clear()
        self._held.clear()

    def run(self, one: RunningInput) -> None:
        """Let it open whenever it is wanted."""
        assert self._group is not None
        task = self._tasks[one] = self._group.create_task(one.keep(), name="input")
        task.add_done_callback(forget_frames)

    def ask(self, question: Coroutine[None, None, bool]) -> asyncio.Task[bool]:
        """Have it answered; it ends with the run."""
        assert self._group is not None
        return self._group.create_task(question, name="question")

    def end(self, one: RunningInput) -> None:
        """It is no longer one of the inputs."""
        if one is self.shown:
            self.shown = self._feed = None
            self._flow.detach_feed()
        self._tasks.pop(one).cancel()

    def show(self, target: RunningInput, now: float) -> None:
        """Let the flow pull from that."""
        self._ahead_ms = self._rest_ms(now) + target.kept_ms
        before, self.shown, self._feed = self.shown, target, None
        goes_on, self.shown_last = self.shown_last is target, target
        if before is not None:
            self._flow.release_feed()
            before.release(now)
        # What leaves from here on is not judged as what was on air till now.
        self._context.judge = target.judge or Judge(self._context.spec.watch)
        self._context.look_at_run(now)
        feed = target.take(now, goes_on=goes_on)
        self._watch(target, feed, self._flow.attach_feed(self._noted(target, feed), now))
        self._context.note(self._source, Phase.UP)

    def _rest_ms(self, now: float) -> float:
        """How much of what was sent ahead of its time is not over yet."""
        return 0.0 if self._fed is None else max(0.0, self._ahead_ms - (now - self._fed.media_at) * 1000)

    def may_begin(self, target: RunningInput, now: float) -> bool:
        """While nothing is sent: whether it is time, since what was sent ahead of its time is over, or the past with
        which ``target`` would begin is short. So that does not add up, and viewers have something to show meanwhile."""
        if not target.is_open:
            return False
        rest_ms = self._rest_ms(now)
        # For the verdict: the pause is wanted.
        self._source.lasts_until = now + rest_ms / 1000
        return rest_ms <= 0 or target.kept_ms <= RING_S * 1000 / self._context.spec.visits + FRESH_MS

    def _noted(self, target: RunningInput, feed: Feed) -> Feed:
        """The feed of what is shown, with its pictures noted if that is asked for."""
        for own, held in self._held.items():
            feed = feed if target is own else WatchedFeed(feed, held)
        return feed

    def hold(self, own: RunningInput, held: HeldPicture) -> None:
        """Note pictures from now on, but for those of that input."""
        self._held[own] = held
        self._note_anew()

    def let_go(self, own: RunningInput | None) -> None:
        """Note none any more for that input."""
        if own is not None and self._held.pop(own, None) is not None:
            self._note_anew()

    def _note_anew(self) -> None:
        if self.shown is not None and self._feed is not None:
            self._flow.replace_feed(self._noted(self.shown, self._feed))

    def pulls(self, one: RunningInput) -> bool:
        """Whether that is shown, and will be."""
        return self.shown is one and self._feed is not None

    def _watch(self, target: RunningInput, feed: LiveFeed | EncodedFeed, lost: "asyncio.Future[SourceError]") -> None:
        self._feed, self._fed, self._lost = feed, feed, lost
        self._on_lost = partial(self._note_lost, target)
        lost.add_done_callback(self._on_lost)

    def take_over(self, target: RunningInput, session: LiveSession) -> None:
        """The flow pulls that already."""
        if session.lost is not self._lost:
            # It was away meanwhile, which took longer than what was ahead.
            self._ahead_ms = 0.0
        self.shown = self.shown_last = target
        self._context.judge = target.judge
        self._watch(target, session.feed, session.lost)
        self._flow.replace_feed(self._noted(target, session.feed))

    def hand_over(self) -> "asyncio.Future[SourceError] | None":
        """What is on air is another's from now on; None if it has ended just now."""
        if self._feed is None or self._lost is None or self._lost.done():
            return None
        self._flow.replace_feed(self._feed)
        self._lost.remove_done_callback(self._on_lost)
        self.shown, self._feed, self._is_handed_over = None, None, True
        self._context.judge = None
        return self._lost

    def put_aside(self, now: float) -> None:
        """Show nothing; what is on air stays open."""
        before, self.shown, self._feed = self.shown, None, None
        if before is not None:
            self._flow.release_feed()
            before.release(now)

    def _note_lost(self, target: RunningInput, ended: "asyncio.Future[SourceError]") -> None:
        """Its feed has ended, unless it went off the air before that."""
        if ended.cancelled() or self.shown is not target:
            return
        error = ended.result()
        self.shown = self._feed = None
        self._flow.detach_feed()
        target.lose(error)
        self._context.vitals.note_failure(self._source, error)
        self._context.note(self._source, Phase.RETRYING)

    def tell_trouble(self, chosen: RunningInput, now: float) -> None:
        """When nothing has been on air for as long as an input may be silent, the run is in trouble: by what keeps
        ``chosen`` from it, which would be by the rules."""
        if self.shown is not None:
            self._shown_at = now
        error = chosen.error
        is_late = now - self._shown_at >= self._context.spec.switching.switch_after_s
        if is_late and error is not None and error is not self._source.error:
            self._context.vitals.note_failure(self._source, error)
            self._context.note(self._source, Phase.RETRYING)

    def note_on_air(
        self, which: int, why: Reason, shown: Shown = Shown.INPUT, file: str = "", *, tells: bool = True
    ) -> None:
        """What is on air from now on, by its number. ``file``: see ``OnAir``."""
        before = self._context.on_air
        shown = Shown.SLATE if shown is Shown.INPUT and which == SLATE else shown
        after = OnAir(shown, datetime.now(UTC), why, which if shown is Shown.INPUT else None, file)
        self._context.on_air = after
        if tells and before is not None:
            self._context.log.info("on air: %s instead of %s: %s", after, before, why)
            self._on_switch(Switch(before, after))
