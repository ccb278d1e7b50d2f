"""All destinations of one run: a keeper, a branch of the flow and vitals for each.

The first leads: the state of the run is its state. When it is taken away the next one leads from then on, in the
session that it has. Which they are is said by ``RelaySpec.destinations``, each with an id; one that keeps its id and
its place to publish to keeps its session.
"""

import asyncio
from collections.abc import Iterator

from streamferry.relay.branch import Branch, Way
from streamferry.relay.destination_keeper import DestinationKeeper
from streamferry.relay.flow import Flow, LiveFlow
from streamferry.relay.keeper import RunContext, SourceKeeper
from streamferry.relay.spec import Destination, Latency
from streamferry.relay.status import DestinationStatus, State, Totals
from streamferry.relay.vitals import Phase, Verdict, Vitals

_CONNECTING: Verdict = (State.CONNECTING, None, None)


class RunDestination:
    """One destination of a run."""

    __slots__ = ("keeper", "verdict", "vitals", "way")

    def __init__(
        self, context: RunContext, source: SourceKeeper, wanted: Destination, way: Way, vitals: Vitals
    ) -> None:
        self.way = way
        self.vitals = vitals
        self.keeper = DestinationKeeper(context, source, wanted, way, vitals)
        self.verdict = _CONNECTING

    @property
    def wanted(self) -> Destination:
        """What it is to be."""
        return self.keeper.wanted

    @property
    def status(self) -> DestinationStatus:
        """Its state as of the last inspection, its counters as of now."""
        status = self.vitals.status(self.verdict)
        return DestinationStatus(
            self.wanted.id,
            status.state,
            status.bytes_out,
            status.kbps_out,
            status.dropped_tags,
            status.lost_ms,
            status.rtt_ms,
            status.retries,
            status.fault,
            status.why,
            status.trouble,
        )


class RunDestinations:
    """See the module. ``context.vitals`` are always those of the first."""

    def __init__(self, context: RunContext, flow: Flow, source: SourceKeeper) -> None:
        self._context = context
        self._flow = flow
        self._source = source
        self._group: asyncio.TaskGroup | None = None
        # What those did that were taken away, of which some may still be closing.
        self._past = Totals()
        self._leaving: list[RunDestination] = []
        first, *others = context.spec.destinations
        self._all = [RunDestination(context, source, first, flow.lead, context.vitals)]
        self._all += [self._make(wanted) for wanted in others]
        self._lay_out()

    def __iter__(self) -> Iterator[RunDestination]:
        return iter(self._all)

    @property
    def first(self) -> RunDestination:
        """The one that leads."""
        return self._all[0]

    @property
    def has_streamed(self) -> bool:
        """Whether any of them has."""
        return any(one.vitals.has_streamed for one in self._all)

    @property
    def statuses(self) -> tuple[DestinationStatus, ...]:
        """See ``RelayStatus.destinations``."""
        return tuple(one.status for one in self._all) if len(self._all) > 1 else ()

    @property
    def totals(self) -> Totals:
        """What all of them did, those that were taken away included."""
        totals = Totals.sum((self._past, *(one.vitals.totals() for one in self._all)))
        return Totals(self._flow.bytes_in, totals.bytes_out, totals.dropped_tags, self._flow.repairs, totals.retries)

    @property
    def has_past(self) -> bool:
        """Whether one was taken away."""
        return self._past != Totals()

    @property
    def is_running(self) -> bool:
        """Whether the run has begun and does not end yet."""
        return self._group is not None

    def observe(self, now: float) -> tuple[Verdict, ...]:
        """Look at each, and judge; gives the verdicts, that of the first first."""
        for one in self._all:
            one.verdict = one.vitals.observe(now)
        return tuple(one.verdict for one in self._all)

    @property
    def is_calm(self) -> bool:
        """Whether all stream, and none is in trouble."""
        return all(
            one.verdict[0] is State.STREAMING and one.vitals.trouble is None and one.vitals.has_rate
            for one in self._all
        )

    def start(self, group: asyncio.TaskGroup) -> None:
        """The run begins."""
        self._group = group
        for one in self._all:
            one.keeper.task.start(group, one.keeper.keep)

    def update(self) -> None:
        """The context has another spec."""
        known = {one.wanted.id: one for one in self._all}
        wanted = self._context.spec.destinations
        if len(wanted) == len(self._all) == 1 and isinstance(self._flow.lead, Flow):
            # A list has one, whichever that is.
            known = {wanted[0].id: self._all[0]}
        self._all = []
        for destination in wanted:
            one = known.pop(destination.id, None)
            if one is None:
                one = self._make(destination)
                if self._group is not None:
                    one.keeper.task.start(self._group, one.keeper.keep)
            else:
                before, one.keeper.wanted = one.wanted, destination
                is_elsewhere = (before.url, before.options) != (destination.url, destination.options)
                if one.keeper.task.is_running and is_elsewhere:
                    one.keeper.task.restart(one.keeper.keep)
            self._all.append(one)
        for one in known.values():
            self._take_away(one)
        self._context.vitals = self.first.vitals
        self._lay_out()

    def _make(self, wanted: Destination) -> RunDestination:
        assert isinstance(self._flow, LiveFlow)  # ``RelaySpec`` says so.
        branch = self._flow.branch()
        vitals = Vitals(self._flow, outlet=branch.outlet, source=self._context.vitals.source)
        # The source may have been there for long.
        vitals.destination.enter(Phase.IDLE)
        return RunDestination(self._context, self._source, wanted, branch, vitals)

    def _take_away(self, one: RunDestination) -> None:
        if self._group is None:
            return
        one.keeper.task.close()
        one.keeper.task.cancel()
        self._leaving = [other for other in self._leaving if other.keeper.task.is_closing]
        self._leaving.append(one)
        self._past = Totals.sum((self._past, one.vitals.totals()))

    def _lay_out(self) -> None:
        """Have the flow send to all, in order, each as its spec says."""
        if not isinstance(self._flow, LiveFlow):
            return
        spec = self._context.spec
        # A backup may have a backup of its own: all of them are in step. It comes after that of which it is one.
        firsts: dict[str, str] = {}
        pairs: dict[str, list[Branch]] = {}
        branches: list[Branch] = []
        for one in self._all:
            branch = one.way
            assert isinstance(branch, Branch)
            latency: Latency = one.wanted.latency or spec.latency
            branch.set_unsent(latency.unsent_bytes)
            branches.append(branch)
            first = firsts[one.wanted.id] = firsts.get(one.wanted.backup_of or "", one.wanted.id)
            pairs.setdefault(first, []).append(branch)
        for pair in pairs.values():
            for branch in pair:
                branch.in_step = [other for other in pair if other is not branch]
        self._flow.lead_to(branches)

    def close(self) -> None:
        """The run ends: a change comes too late from here on."""
        self._group = None
        for one in self._all:
            one.keeper.task.close()

    def cancel(self) -> None:
        """Close all sessions properly."""
        for one in self._all:
            one.keeper.task.cancel()

    def abort(self) -> None:
        """Close all at once, without waiting for anything."""
        for one in (*self._all, *self._leaving):
            one.keeper.task.abort()

    def drop(self) -> None:
        """Drop all sessions at once."""
        for one in self._all:
            if (session := one.way.detach_session()) is not None:
                session.abort()
