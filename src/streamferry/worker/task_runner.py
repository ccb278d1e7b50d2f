"""TaskRunner: one task that this worker holds, from its assignment to its return.

It starts the relay when the window opens, changes it when the task changes, stops it when the window closes, and keeps
reports until the store has them. It neither waits nor calls the store: the worker does.

    waiting --window opens--> running --window closes, not wanted, worker leaves--> stopping --> over
                                 |--relay ended by itself-------------------------------------> over
                                 `--new epoch--> stopping --> running, from the new beginning
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay import (
    ItemChange,
    ItemStep,
    Moved,
    RelaySpec,
    RelayStatus,
    State,
    Switch,
    Trouble,
    move_ends,
)
from streamferry.relay.preview import Viewer
from streamferry.worker.content import content_changes
from streamferry.worker.items import ItemFilter
from streamferry.worker.ledger import Assignment, Change, Outcome, Report, Usage
from streamferry.worker.list_place import ListPlace
from streamferry.worker.news import besides_counters, verdict_of
from streamferry.worker.running_relay import RunningRelay
from streamferry.worker.specs import decide_left, decide_spec, overlaps

#: Counters are reported this often; everything else, as the position in a list, within ``worker.REPORT_S``.
COUNTERS_S = 5.0
#: Usage is reported in sums of about this length.
USAGE_S = 60.0
#: Relays whose tasks move to another worker get this long to reach a keyframe, so that the next one continues there.
KEYFRAME_S = 2.0
#: Where the destinations take two publishers, it goes on for so long until the next worker is on the air.
OVERLAP_S = 10.0
#: How many changes are kept while the store does not answer; beyond that the oldest are dropped.
_MAX_CHANGES = 200


class TaskRunner:
    """See the module. ``stir`` is called when something has to be reported at once, ``claim`` before an order is
    followed, with its number: whether it may be."""

    def __init__(
        self,
        assignment: Assignment,
        start: Callable[[RelaySpec, Mapping[str, object], Trouble | None], RunningRelay],
        stir: Callable[[], None],
        claim: "Callable[[TaskRunner, int], Coroutine[None, None, bool]] | None" = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = start
        self._stir = stir
        self._claim = claim
        self._assignment = assignment
        self._spec = assignment.spec
        self._relay: RunningRelay | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._is_stopping = False
        self._is_handed_over = False
        self._is_renewing = False
        # Until when it goes on for the next worker, on the loop's clock; and whether that may be on the air beside it.
        self._overlap_until: float | None = None
        self._may_be_two = False
        self._outcome: Outcome | None = None
        self._final = self._reported = self._noted = RelayStatus(State.WAITING, trouble=assignment.trouble)
        self._place = ListPlace(self._loop.time())
        # With the time at which they happened instead of their age.
        self._changes: list[Change] = []
        # Those in the last report.
        self._told: list[Change] = []
        self._items = ItemFilter()
        self._has_begun = False
        self._item_ends_ms: dict[int, int] = {}
        self._reported_ends: dict[int, int] = {}
        self._sampled_at = self._usage_at = self._reported_at = self._loop.time()
        self._sampled_bytes = 0
        self._streamed_ms = self._bytes_out = 0
        self._set_timers()

    @property
    def known(self) -> tuple[int, int]:
        """The epoch and version that it follows."""
        return self._assignment.epoch, self._assignment.version

    @property
    def task_id(self) -> str:
        """The task."""
        return self._assignment.task_id

    @property
    def is_over(self) -> bool:
        """Whether nothing runs any more, and the task is to be given back."""
        return self._outcome is not None

    @property
    def moves(self) -> bool:
        """Whether it goes on until another worker does."""
        return self._overlap_until is not None

    @property
    def is_next(self) -> bool:
        """Whether another worker has the task, as far as is known, until this one is on the air with it."""
        return self._assignment.is_next

    def follow(self, assignment: Assignment) -> None:
        """The task was changed: make the run follow."""
        if assignment.epoch == self._assignment.epoch and self._is_ending:
            # Its results are reported under the version that it followed.
            return
        if self._is_handed_over:
            # Who goes on follows all other changes.
            left = None
            if assignment.is_wanted and assignment.start_in_s <= 0:
                left = decide_left(self._spec, assignment.spec)
            if left is None:
                self.end()
            elif self._relay is not None and left is not self._spec:
                # Where nobody goes on the broadcast ends, and nowhere else.
                self._relay.update(left)
                self._spec = left
            return
        before, self._assignment = self._assignment, assignment
        if assignment.epoch != before.epoch:
            self._begin_anew()
        elif self._spec is not None and assignment.spec is not None:
            wanted = decide_spec(self._spec, assignment.spec, self._status.playhead)
            if wanted.items != self._spec.items:
                self._item_ends_ms = move_ends(self._item_ends_ms, self._spec.items, wanted.items)
            if self._relay is not None and wanted != self._spec:
                self._relay.update(wanted)
            self._spec = wanted
        cannot_go_on = assignment.spec is None or assignment.start_in_s > 0
        if not assignment.is_wanted or (self._relay is not None and cannot_go_on):
            self.end()
            return
        self._set_timers()
        if not assignment.moves:
            self._overlap_until, self._may_be_two = None, False
        elif self._relay is not None and self._spec is not None and overlaps(self._spec):
            self._overlap_until, self._may_be_two = self._overlap_until or self._loop.time() + OVERLAP_S, True
            self._timers.append(self._loop.call_at(self._overlap_until, self._hand_over_soon))
        else:
            self._hand_over_soon()

    def _hand_over_soon(self) -> None:
        """At the next keyframe; it does not wait for ever for that."""
        self._overlap_until = None
        self.hand_over()
        if self._relay is not None:
            self._timers.append(self._loop.call_later(KEYFRAME_S, lambda: self.hand_over(at_once=True)))

    def end_deleted(self) -> None:
        """The task was deleted: end its broadcast, but for a worker that is only the next one."""
        if self.is_next:
            self.abort()
        else:
            self.end()

    def lose(self) -> None:
        """The task is another worker's, or about to be: send nothing from here on, unless both may for a moment.

        Nobody's broadcast is ended: it goes on there.
        """
        if self._may_be_two:
            self.hand_over(at_once=True)
        else:
            self.abort()

    def end(self) -> None:
        """Stop the run and end its broadcast; this is over when the run has ended."""
        self._overlap_until = None
        self._cancel_timers()
        if (relay := self._stop()) is not None:
            relay.request_stop()

    def hand_over(self, *, at_once: bool = False) -> None:
        """Stop the run, so that another worker goes on: at its next keyframe or ``at_once``. Then this is over.

        A window that closes meanwhile ends the broadcast, as a stop of the task does.
        """
        self._is_handed_over = True
        if (relay := self._stop()) is not None:
            relay.hand_over(at_once=at_once)

    def _stop(self) -> RunningRelay | None:
        self._is_stopping = True
        if self._relay is None:
            self._conclude(Outcome.HANDED_BACK, self._final)
        return self._relay

    def abort(self) -> None:
        """Send nothing from here on; this is over when the run has released everything."""
        self._cancel_timers()
        self._is_stopping = True
        if self._relay is not None:
            self._relay.abort()
        elif not self.is_over:
            self._conclude(Outcome.HANDED_BACK, self._final)

    def open_preview(self) -> Viewer | None:
        """A viewer of what the relay sends to its destination; None while there is no relay. Raises PreviewRefused."""
        return self._relay.open_preview() if self._relay is not None else None

    def report(self) -> Report | None:
        """What is new since the last report that was confirmed, or None."""
        status = self._status
        usage = self._measure(status)
        if status.final and not self.is_over:
            # The end is reported together with its outcome.
            return None
        now = self._loop.time()
        is_whole = bool(self._changes or self.is_over or usage or self._is_news(status, now))
        self._place.see(self.known, status, now)
        if not is_whole and not self._place.is_news:
            return None
        self._told = list(self._changes)
        return Report(
            task_id=self._assignment.task_id,
            epoch=self._assignment.epoch,
            version=self._assignment.version,
            status=status,
            changes=tuple(replace(change, age_s=now - change.age_s) for change in self._changes),
            item_ends_ms=dict(self._item_ends_ms) if self._item_ends_ms != self._reported_ends else {},
            usage=usage,
            outcome=self._outcome,
            is_place=not is_whole,
            plays_on=self._place.plays_on,
        )

    def confirm(self, report: Report) -> None:
        """The store has stored that report."""
        # Not by count from the front: the oldest may have been dropped since.
        told = set(map(id, self._told))
        self._changes = [change for change in self._changes if id(change) not in told]
        self._told = []
        self._place.confirm()
        if not report.is_place:
            self._reported, self._reported_at = report.status, self._loop.time()
        if report.item_ends_ms:
            self._reported_ends = dict(report.item_ends_ms)
        if report.usage is not None:
            self._streamed_ms -= report.usage.streamed_ms
            self._bytes_out -= report.usage.bytes_out
            self._usage_at = self._loop.time()

    def _is_news(self, status: RelayStatus, now: float) -> bool:
        """Whether the status is to be reported by itself: its counters always differ, and each report is a write."""
        if now - self._reported_at >= COUNTERS_S:
            return status != self._reported
        return besides_counters(status) != besides_counters(self._reported)

    @property
    def _is_ending(self) -> bool:
        """Whether this epoch is over, or about to end whatever is changed."""
        return self.is_over or (self._relay is not None and self._relay.is_ending and not self._is_renewing)

    @property
    def _status(self) -> RelayStatus:
        return self._relay.status if self._relay is not None else self._final

    def _set_timers(self) -> None:
        self._cancel_timers()
        if self.is_over or self._is_stopping:
            return
        assignment = self._assignment
        if assignment.spec is None:
            before, why = assignment.trouble, assignment.problem or Reason.of(Code.SERVICE_CANNOT_RUN)
            trouble = Trouble(Fault.SERVICE, why, (before.tries if before else 0) + 1)
            self._conclude(Outcome.FAILED, RelayStatus(State.FAILED, fault=Fault.SERVICE, why=why, trouble=trouble))
            return
        if self._relay is None:
            self._timers.append(self._loop.call_later(max(0.0, assignment.start_in_s), self._open))
        self._timers.append(self._loop.call_later(max(0.0, assignment.end_in_s), self.end))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _open(self) -> None:
        """The window opens."""
        if self._relay is not None or self._spec is None:
            return
        self._sampled_bytes = 0
        self._has_begun = False
        assignment = self._assignment
        whose = {"task_id": assignment.task_id, "epoch": assignment.epoch}
        self._relay = self._start(self._spec, whose, assignment.trouble)
        self._relay.watch(self._note)
        self._relay.watch_items(self._note_item)
        self._relay.watch_switches(lambda switch: self._note_once(switch=switch))
        self._relay.watch_moves(lambda moved: self._note_once(moved=moved))
        if self._claim is not None:
            self._relay.ask_before_orders(partial(self._claim, self))
        self._relay.on_end(self._close)
        self._note(self._relay.status, starting=True)

    def _begin_anew(self) -> None:
        """A new epoch: a running relay is replaced by one that begins where the assignment says."""
        self._changes.clear()
        self._item_ends_ms.clear()
        self._is_stopping = False
        self._outcome = None
        self._final = self._reported = RelayStatus(State.WAITING, trouble=self._assignment.trouble)
        self._spec = self._assignment.spec
        if self._relay is not None:
            self._is_renewing = True
            self._relay.request_stop()

    def _note(self, status: RelayStatus, *, starting: bool = False) -> None:
        if self._is_renewing:
            return
        before, self._noted = self._noted, status
        now = self._loop.time()
        if starting or verdict_of(status) != verdict_of(before):
            self._keep(Change(status, now, starting))
        # The first of several is told as the task itself.
        known = {one.id: verdict_of(one) for one in before.destinations[1:]}
        for one in status.destinations[1:]:
            if known.get(one.id) != verdict_of(one):
                self._keep(Change(status, now, destination=one))
        for change in content_changes(before, status, now):
            self._keep(change)
        self._stir()

    def _note_item(self, item: ItemChange) -> None:
        """The first item is reported at once: its lead is sent in one go, and must not be repeated after a crash.

        All others are reported with the rest, within half a second: lists of short items must not load the store.
        """
        now = self._loop.time()
        untold = self._items.admit(item, now)
        if untold is not None and not self._is_renewing:
            self._keep(Change(self._status, now, item=item, untold=untold))
        if item.step is ItemStep.STARTED and not self._has_begun:
            self._has_begun = True
            self._stir()

    def _note_once(self, switch: Switch | None = None, moved: Moved | None = None) -> None:
        if not self._is_renewing:
            self._keep(Change(self._status, self._loop.time(), switch=switch, moved=moved))
            self._stir()

    def _keep(self, change: Change) -> None:
        self._changes.append(change)
        del self._changes[:-_MAX_CHANGES]

    def _close(self) -> None:
        """The relay has ended."""
        assert self._relay is not None
        final = self._relay.status
        self._measure(final)
        self._relay = None
        if self._is_renewing:
            self._is_renewing = False
            if self._is_stopping:
                self._conclude(Outcome.HANDED_BACK, self._final)
            else:
                self._set_timers()
            return
        if self._is_stopping:
            outcome = Outcome.HANDED_BACK
        elif final.state is State.ENDED and self._spec is not None and not self._spec.is_live:
            outcome = Outcome.PLAYED_OUT
        else:
            outcome = Outcome.FAILED if final.state is State.FAILED else Outcome.HANDED_BACK
        self._conclude(outcome, final)

    def _conclude(self, outcome: Outcome, final: RelayStatus) -> None:
        self._cancel_timers()
        self._outcome, self._final = outcome, final
        self._stir()

    def _measure(self, status: RelayStatus) -> Usage | None:
        """Add up the media moved since the last call; returns the sum when it is time to report it."""
        now = self._loop.time()
        if status.state is State.STREAMING:
            self._streamed_ms += round((now - self._sampled_at) * 1000)
        # A new relay counts from 0 again.
        grown = status.bytes_out - self._sampled_bytes
        self._bytes_out += grown if grown >= 0 else status.bytes_out
        self._sampled_at, self._sampled_bytes = now, status.bytes_out
        if status.playhead is not None and status.item_end_ms is not None:
            self._item_ends_ms[status.playhead.item] = status.item_end_ms
        if (self.is_over or now - self._usage_at >= USAGE_S) and (self._streamed_ms or self._bytes_out):
            return Usage(self._streamed_ms, self._bytes_out)
        return None
