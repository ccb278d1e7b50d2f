"""One task that a worker holds: when its relay starts, changes and stops, and what is reported of it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest

from streamferry.media.errors import Fault
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.reasons import Reason
from streamferry.relay import (
    DestinationStatus,
    Item,
    ItemChange,
    ItemStep,
    Moved,
    Playhead,
    RelaySpec,
    RelayStatus,
    State,
    Switch,
)
from streamferry.relay.spec import Destination
from streamferry.worker import Assignment, Outcome
from streamferry.worker.specs import decide_spec
from streamferry.worker.task_runner import KEYFRAME_S, OVERLAP_S, TaskRunner

A, B, C = (Item(MediaUrl.parse(f"http://files.example/{name}.mp4")) for name in "abc")
TO = MediaUrl.parse("rtmp://push.example/live/key")
SPEC = RelaySpec.vod([A, B], TO)
STREAMING = RelayStatus(State.STREAMING, bytes_out=1000, playhead=Playhead(0, 1, 40), item_end_ms=3000)


class ScriptedRelay:
    """A relay that does what a test says."""

    def __init__(self, spec: RelaySpec) -> None:
        self.spec = spec
        self.updates: list[RelaySpec] = []
        self.is_asked_to_stop = False
        #: Each with whether it was to be at once.
        self.hand_overs: list[bool] = []
        self.is_aborted = False
        self.is_ending = False
        self.status = RelayStatus(State.PREPARING)
        self._watchers: list[Callable[[RelayStatus], None]] = []
        self._on_end: list[Callable[[], None]] = []

    def watch(self, callback: Callable[[RelayStatus], None]) -> None:
        self._watchers.append(callback)

    def watch_items(self, callback: Callable[[ItemChange], None]) -> None:
        self.tell_item = callback

    def watch_switches(self, callback: Callable[[Switch], None]) -> None:
        self.tell_switch = callback

    def watch_moves(self, callback: Callable[[Moved], None]) -> None:
        self.tell_moved = callback

    def ask_before_orders(self, claim: Callable[[int], Coroutine[None, None, bool]]) -> None:
        self.claim = claim

    def on_end(self, callback: Callable[[], None]) -> None:
        self._on_end.append(callback)

    def update(self, spec: RelaySpec) -> None:
        self.updates.append(spec)

    def request_stop(self) -> None:
        self.is_asked_to_stop = self.is_ending = True

    def hand_over(self, *, at_once: bool = False) -> None:
        self.hand_overs.append(at_once)
        self.is_ending = at_once

    def abort(self) -> None:
        self.is_aborted = True

    def become(self, status: RelayStatus) -> None:
        self.status = status
        for watcher in self._watchers:
            watcher(status)
        if status.final:
            for callback in self._on_end:
                callback()


class Stage:
    """A performance and the relays it has started."""

    def __init__(self, **values: object) -> None:
        self.relays: list[ScriptedRelay] = []
        self.assignment = Assignment(
            **{
                "task_id": "t",
                "epoch": 1,
                "version": 1,
                "is_wanted": True,
                "spec": SPEC,
                "start_in_s": 0,
                "end_in_s": 60,
                **values,
            }
        )
        self.stirs = 0
        self.performance = TaskRunner(self.assignment, self._start, self._stir)

    def _stir(self) -> None:
        self.stirs += 1

    def _start(self, spec: RelaySpec, of: Mapping[str, object], trouble: object = None) -> ScriptedRelay:
        self.relays.append(ScriptedRelay(spec))
        return self.relays[-1]

    async def begin(self) -> ScriptedRelay:
        """Let the window open."""
        await asyncio.sleep(0.005)
        (relay,) = self.relays
        return relay

    def follow(self, **values: object) -> None:
        self.assignment = replace(self.assignment, version=self.assignment.version + 1, **values)
        self.performance.follow(self.assignment)


async def test_the_relay_starts_when_the_window_opens() -> None:
    """Not before, and by itself."""
    stage = Stage(start_in_s=0.02)
    await asyncio.sleep(0.005)
    assert stage.relays == []
    assert stage.performance.report() is None
    await asyncio.sleep(0.02)
    assert len(stage.relays) == 1


async def test_the_relay_is_stopped_when_the_window_closes() -> None:
    """And the task is handed back once it has ended, with its last status."""
    stage = Stage(end_in_s=0.02)
    relay = await stage.begin()
    await asyncio.sleep(0.02)
    assert relay.is_asked_to_stop
    assert not stage.performance.is_over
    stopped = replace(STREAMING, state=State.STOPPED)
    relay.become(stopped)
    report = stage.performance.report()
    assert report is not None
    assert (report.outcome, report.status) == (Outcome.HANDED_BACK, stopped)


@pytest.mark.parametrize(
    ("final", "outcome"),
    [
        (RelayStatus(State.ENDED), Outcome.PLAYED_OUT),
        (RelayStatus(State.FAILED, fault=Fault.USER_SOURCE), Outcome.FAILED),
    ],
)
async def test_a_relay_that_ends_by_itself_decides_the_outcome(final: RelayStatus, outcome: Outcome) -> None:
    """A list played to its end, or a failure that no retry mends."""
    stage = Stage()
    (await stage.begin()).become(final)
    report = stage.performance.report()
    assert report is not None
    assert report.outcome is outcome


async def test_changes_are_reported_once_and_in_order() -> None:
    """What was confirmed is not told again; what came meanwhile is."""
    stage = Stage()
    relay = await stage.begin()
    relay.become(RelayStatus(State.CONNECTING))
    relay.become(STREAMING)
    first = stage.performance.report()
    assert first is not None
    assert [change.status.state for change in first.changes] == ["preparing", "connecting", "streaming"]
    assert first.item_ends_ms == {1: 3000}
    retrying = RelayStatus(State.RETRYING, why=Reason.text("reset"))
    relay.become(retrying)
    stage.performance.confirm(first)
    second = stage.performance.report()
    assert second is not None
    assert [change.status for change in second.changes] == [retrying]
    stage.performance.confirm(second)
    assert stage.performance.report() is None


async def test_changes_that_came_while_a_report_was_on_its_way_were_lost_when_the_oldest_were_forgotten() -> None:
    """A store that is slow and a relay that flaps: what is kept and was not in the report is told by the next."""
    stage = Stage()
    relay = await stage.begin()
    for number in range(199):
        relay.become(RelayStatus(State.RETRYING, why=Reason.text(f"{number}")))
    first = stage.performance.report()
    assert first is not None
    for number in range(199, 249):
        relay.become(RelayStatus(State.RETRYING, why=Reason.text(f"{number}")))
    stage.performance.confirm(first)
    second = stage.performance.report()
    assert second is not None
    assert [change.status.reason for change in second.changes] == [str(number) for number in range(199, 249)]


async def test_each_of_several_destinations_is_reported_by_its_changes() -> None:
    """The first as the task itself; each of the others once for each change, and at once."""

    def status(first: State, second: State, sent: int = 0) -> RelayStatus:
        each = (DestinationStatus("1", first), DestinationStatus("4", second, bytes_out=sent))
        return RelayStatus(first, destinations=each)

    stage = Stage()
    relay = await stage.begin()
    for one in (
        status(State.CONNECTING, State.CONNECTING),
        status(State.STREAMING, State.CONNECTING),
        status(State.STREAMING, State.RETRYING),
        status(State.STREAMING, State.RETRYING, sent=5),
        status(State.STREAMING, State.STREAMING),
    ):
        relay.become(one)
    report = stage.performance.report()
    assert report is not None
    changes = [(one.status.state, one.destination) for one in report.changes]
    told = [(state, one and (one.id, one.state)) for state, one in changes]
    assert told == [
        (State.PREPARING, None),
        (State.CONNECTING, None),
        (State.CONNECTING, ("4", State.CONNECTING)),
        (State.STREAMING, None),
        (State.STREAMING, ("4", State.RETRYING)),
        (State.STREAMING, ("4", State.STREAMING)),
    ]
    stage.performance.confirm(report)
    relay.status = status(State.STREAMING, State.STREAMING, sent=9)
    assert stage.performance.report() is None
    relay.status = status(State.STREAMING, State.STALLED)
    assert stage.performance.report() is not None


async def test_a_change_that_is_not_about_the_media_leaves_the_relay_alone() -> None:
    """A new title or EndTime: the relay hears nothing of it."""
    stage = Stage()
    relay = await stage.begin()
    stage.follow(end_in_s=30)
    assert relay.updates == []
    assert not relay.is_asked_to_stop
    assert stage.performance.known == (1, 2)


async def test_a_new_destination_keeps_the_place_in_the_list() -> None:
    """The relay gets the spec with the playhead it began with, so it leaves the list alone."""
    stage = Stage(spec=replace(SPEC, playhead=Playhead(2, 1, 500)))
    relay = await stage.begin()
    other = MediaUrl.parse("rtmp://push.example/live/other")
    stage.follow(spec=replace(SPEC, destination=other))
    assert relay.updates == [replace(SPEC, destination=other, playhead=Playhead(2, 1, 500))]


async def test_a_task_that_is_not_wanted_is_stopped_and_handed_back() -> None:
    """Stopped by its user while it runs."""
    stage = Stage()
    relay = await stage.begin()
    stage.follow(is_wanted=False)
    assert relay.is_asked_to_stop
    relay.become(RelayStatus(State.STOPPED))
    assert stage.performance.is_over


async def test_a_window_moved_into_the_future_hands_the_task_back() -> None:
    """The store makes it due again at its time."""
    stage = Stage()
    relay = await stage.begin()
    stage.follow(start_in_s=100, end_in_s=200)
    assert relay.is_asked_to_stop


async def test_a_new_epoch_begins_anew_after_the_old_relay_has_left() -> None:
    """Relaunch: never two relays at once; what the old one still says is not reported; changes are the new one's."""
    stage = Stage()
    first = await stage.begin()
    first.become(STREAMING)
    stage.follow(epoch=2)
    stage.follow(spec=RelaySpec.vod([C], TO))
    assert first.is_asked_to_stop
    assert len(stage.relays) == 1
    first.become(RelayStatus(State.STOPPED, playhead=Playhead(0, 1, 50)))
    await asyncio.sleep(0.005)
    assert [relay.spec.items for relay in stage.relays] == [(A, B), (C,)]
    report = stage.performance.report()
    assert report is not None
    assert (report.epoch, report.outcome) == (2, None)
    assert [change.status.state for change in report.changes] == ["preparing"]


async def test_items_are_reported_with_the_status() -> None:
    """A step of the list is told in its order among the changes."""
    stage = Stage()
    relay = await stage.begin()
    relay.become(STREAMING)
    relay.tell_item(ItemChange(ItemStep.STARTED, Playhead(0, 1)))
    report = stage.performance.report()
    assert report is not None
    assert [change.item and change.item.step for change in report.changes] == [None, None, "item_started"]
    assert [change.starting for change in report.changes] == [True, False, False]
    assert report.changes[2].status == STREAMING


async def test_only_the_first_item_that_plays_is_reported_at_once() -> None:
    """Its lead is sent in one go, and would come again after a crash; lists of short items hurry nobody."""
    stage = Stage()
    relay = await stage.begin()
    stirs = stage.stirs
    relay.tell_item(ItemChange(ItemStep.FAILED, Playhead(), Fault.USER_SOURCE))
    assert stage.stirs == stirs
    relay.tell_item(ItemChange(ItemStep.STARTED, Playhead(0, 1)))
    assert stage.stirs == stirs + 1
    relay.tell_item(ItemChange(ItemStep.FINISHED, Playhead(0, 1, 9)))
    relay.tell_item(ItemChange(ItemStep.STARTED, Playhead(1, 0)))
    assert stage.stirs == stirs + 1
    stage.follow(epoch=2)
    relay.become(RelayStatus(State.STOPPED))
    await asyncio.sleep(0.005)
    stirs = stage.stirs
    stage.relays[-1].tell_item(ItemChange(ItemStep.STARTED, Playhead()))
    assert stage.stirs == stirs + 1


@pytest.mark.parametrize("is_over", [True, False])
@pytest.mark.parametrize("change", [{"spec": RelaySpec.vod([C], TO)}, {"is_wanted": False}])
async def test_what_a_list_came_to_is_told_under_the_version_it_had(change: dict[str, object], is_over: bool) -> None:
    """One that was played out when the task was changed was not the changed one; also if its relay still closes."""
    stage = Stage()
    relay = await stage.begin()
    relay.is_ending = True
    if is_over:
        relay.become(RelayStatus(State.ENDED))
    stage.follow(**change)
    assert relay.updates == []
    if not is_over:
        relay.become(RelayStatus(State.ENDED))
    report = stage.performance.report()
    assert report is not None
    assert (report.version, report.outcome) == (1, Outcome.PLAYED_OUT)


async def test_a_task_that_cannot_be_run_fails_with_the_reason() -> None:
    """Without a relay having been started."""
    stage = Stage(spec=None, problem="outside of the folders")
    report = stage.performance.report()
    assert report is not None
    assert (report.outcome, report.status.reason) == (Outcome.FAILED, "outside of the folders")
    assert stage.relays == []


async def test_counters_alone_are_reported_now_and_then() -> None:
    """Each report is a write, and of a live task that goes on as before nothing else is new."""
    stage = Stage()
    relay = await stage.begin()
    relay.become(RelayStatus(State.STREAMING, media_time_ms=40, bytes_out=1000))
    told = []
    for tick in range(1, 42):
        if (report := stage.performance.report()) is not None:
            stage.performance.confirm(report)
            told.append((tick, report.status.bytes_out))
        await asyncio.sleep(0.5)
        relay.status = replace(relay.status, media_time_ms=500 * tick, bytes_out=1000 + tick, kbps_out=7)
    # The state, the first measured rate, and from then on every five seconds, which may be over just after a tick.
    assert told[:2] == [(1, 1000), (2, 1001)]
    ticks = [tick for tick, _ in told[1:]]
    assert [after - before in (10, 11) for before, after in pairwise(ticks)] == [True] * 3


async def test_a_position_is_reported_when_it_moves_otherwise_than_was_told() -> None:
    """It is where the list resumes after a break. One that plays on is told of with its counters, each five seconds."""
    stage = Stage()
    relay = await stage.begin()
    relay.become(replace(STREAMING, media_time_ms=40, kbps_out=7))
    whole, places = [], []
    for tick in range(1, 42):
        at_ms = 500 * tick
        relay.status = replace(relay.status, media_time_ms=at_ms, playhead=Playhead(0, 1, at_ms), bytes_out=1000 + tick)
        if (report := stage.performance.report()) is not None:
            stage.performance.confirm(report)
            (places if report.is_place else whole).append(tick)
            assert report.plays_on is (tick > 1)
        await asyncio.sleep(0.5)
    assert whole[0] == 1
    assert [after - before in (10, 11) for before, after in pairwise(whole)] == [True] * 3
    assert places == [2]


async def test_what_was_streamed_is_told_at_the_end() -> None:
    """Bytes and time in one sum, once."""
    stage = Stage()
    relay = await stage.begin()
    relay.become(STREAMING)
    stage.performance.report()
    await asyncio.sleep(0.02)
    relay.status = replace(STREAMING, bytes_out=5000)
    stage.performance.report()
    relay.become(RelayStatus(State.ENDED, bytes_out=6000))
    report = stage.performance.report()
    assert report is not None
    assert report.usage is not None
    assert report.usage.bytes_out == 6000
    assert report.usage.streamed_ms >= 20
    stage.performance.confirm(report)
    assert stage.performance.report() is None or stage.performance.report().usage is None


@pytest.mark.parametrize(
    ("wanted", "playhead", "expected"),
    [
        (RelaySpec.vod([A, B], TO), Playhead(5, 1, 70), Playhead(1, 0, 9)),
        (RelaySpec.vod([A, B], TO, loops=9), Playhead(5, 0, 70), Playhead(5, 1, 0)),
        (RelaySpec.vod([A, B], TO, loops=9), Playhead(5, 1, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([A, C], TO), Playhead(5, 1, 70), Playhead(5, 1, 0)),
        (RelaySpec.vod([A, replace(B, start_s=3)], TO), Playhead(5, 1, 70), Playhead(5, 1, 0)),
        (RelaySpec.vod([A], TO), Playhead(5, 1, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([B], TO), Playhead(5, 1, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([C, B, A], TO), Playhead(5, 1, 70), Playhead(5, 2, 0)),
        (RelaySpec.vod([C], TO), Playhead(5, 1, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([A, A, B], TO), Playhead(5, 1, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([A, C], TO), Playhead(5, 0, 70), Playhead(5, 1, 0)),
        (RelaySpec.vod([A, B, C], TO), Playhead(5, 1, 70), Playhead(5, 2, 0)),
        (RelaySpec.vod([A], TO), Playhead(5, 0, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([B, A], TO), Playhead(5, 0, 70), Playhead(6, 0, 0)),
        (RelaySpec.vod([A, B], TO, pre_download=False), Playhead(5, 0, 70), Playhead(5, 1, 0)),
        (RelaySpec.vod([A, B], TO, loops=9), Playhead(1, 0, 9), Playhead(1, 0, 9)),
        (RelaySpec.vod([A, B], TO, loops=9), None, Playhead(1, 0, 9)),
        (RelaySpec.vod([A, C], TO), Playhead(1, 0, 9), Playhead(1, 0, 9)),
        (RelaySpec.vod([C, A], TO), None, Playhead(1, 1, 9)),
        (RelaySpec.vod([B], TO), None, Playhead(1, 0, 0)),
    ],
)
def test_where_a_changed_list_goes_on(wanted: RelaySpec, playhead: Playhead | None, expected: Playhead) -> None:
    """The same list is left alone; another one goes on behind the item that plays, or with what is in its place.

    Where nothing has played yet no item is left out. No edit begins the list anew.
    """
    running = RelaySpec.vod([A, B], TO, playhead=Playhead(1, 0, 9))
    assert decide_spec(running, wanted, playhead) == replace(wanted, playhead=expected)


OVERLAPS = replace(SPEC, destination_options=PeerOptions(overlap=True))


async def test_where_two_may_publish_it_goes_on_until_the_next_worker_does() -> None:
    """When the task is gone by then, it closes as for who goes on, and ends no broadcast; nor is it cut off."""
    stage = Stage(spec=OVERLAPS)
    relay = await stage.begin()
    stage.follow(moves=True)
    await asyncio.sleep(OVERLAP_S - 1)
    assert relay.hand_overs == []
    assert stage.performance.moves
    stage.performance.lose()
    assert (relay.hand_overs, relay.is_asked_to_stop, relay.is_aborted) == ([True], False, False)


async def test_it_does_not_wait_for_the_next_worker_for_ever() -> None:
    """However often it reads meanwhile that it moves: then it stops at a keyframe, and soon anywhere."""
    stage = Stage(spec=OVERLAPS)
    relay = await stage.begin()
    for _ in range(9):
        stage.follow(moves=True)
        await asyncio.sleep(OVERLAP_S / 10)
    assert relay.hand_overs == []
    await asyncio.sleep(OVERLAP_S / 10 + 0.1)
    assert relay.hand_overs == [False]
    await asyncio.sleep(KEYFRAME_S + 0.1)
    assert relay.hand_overs == [False, True]


async def test_a_drain_that_is_taken_back_leaves_it_on_the_air() -> None:
    """And from then on the loss of the task is one again."""
    stage = Stage(spec=OVERLAPS)
    relay = await stage.begin()
    stage.follow(moves=True)
    stage.follow(moves=False)
    assert not stage.performance.moves
    await asyncio.sleep(OVERLAP_S + KEYFRAME_S + 1)
    assert relay.hand_overs == []
    stage.performance.lose()
    assert relay.is_aborted


async def test_a_task_that_moves_and_is_stopped_ends_its_broadcast() -> None:
    """Nobody goes on then; so does one that is deleted."""
    for how in ("stopped", "deleted"):
        stage = Stage(spec=OVERLAPS)
        relay = await stage.begin()
        stage.follow(moves=True)
        if how == "stopped":
            stage.follow(moves=True, is_wanted=False)
        else:
            stage.performance.end_deleted()
        assert relay.is_asked_to_stop
        assert relay.hand_overs == []


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_one_of_several_destinations_goes_while_the_task_is_handed_over(gone: int) -> None:
    """Its broadcast ends, since nobody goes on there. The others notice nothing, until all of them are gone."""
    urls = [MediaUrl.parse(f"rtmp://push{number}.example/live/key") for number in range(4)]

    def spec_to(*numbers: int) -> RelaySpec:
        first, *rest = numbers
        others = tuple(Destination(str(number), urls[number]) for number in rest)
        source = MediaUrl.parse("rtmp://cam.example/live/one")
        return RelaySpec.live(source, urls[first], destination_id=str(first), others=others)

    stage = Stage(spec=spec_to(0, 1, 2))
    relay = await stage.begin()
    stage.performance.hand_over()
    left = [number for number in (0, 1, 2) if number != gone]
    for _ in range(2):
        stage.follow(spec=spec_to(*left))
    assert relay.updates == [spec_to(*left)]
    assert not relay.is_asked_to_stop
    stage.follow(spec=spec_to(3))
    assert relay.is_asked_to_stop


async def test_the_next_worker_is_on_the_air_when_the_wait_for_it_is_just_over() -> None:
    """Its broadcast is not ended under it, nor is it cut off: there may be two until this one has closed."""
    stage = Stage(spec=OVERLAPS)
    relay = await stage.begin()
    stage.follow(moves=True)
    await asyncio.sleep(OVERLAP_S + 0.1)
    assert relay.hand_overs == [False]
    stage.performance.lose()
    assert (relay.hand_overs, relay.is_asked_to_stop, relay.is_aborted) == ([False, True], False, False)


async def test_a_next_worker_that_is_not_to_take_over_ends_no_broadcast() -> None:
    """The one before goes on with it, or has ended it. Once it has the task, a deleted task ends its broadcast."""
    stage = Stage(spec=OVERLAPS, is_next=True)
    relay = await stage.begin()
    stage.performance.end_deleted()
    assert (relay.hand_overs, relay.is_asked_to_stop, relay.is_aborted) == ([], False, True)
    stage = Stage(spec=OVERLAPS, is_next=True)
    relay = await stage.begin()
    stage.follow(is_next=False)
    stage.performance.end_deleted()
    assert (relay.is_asked_to_stop, relay.is_aborted) == (True, False)
