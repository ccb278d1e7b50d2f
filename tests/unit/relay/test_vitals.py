"""Vitals: the state table, row by row, with what moved set instead of waited for."""

import asyncio
from dataclasses import dataclass, field

import pytest

from streamferry.media.errors import DestinationStalled, Fault, PublishRejected, SourceEnded
from streamferry.reasons import Reason
from streamferry.relay.status import State, Trouble
from streamferry.relay.vitals import CALM_S, FRESH_S, End, Phase, Vitals


@dataclass
class Outlet:
    """What vitals read of an outlet."""

    media_time_ms: int = 0
    has_acked: bool = False
    last_progress_at: float = 0.0
    is_backed_up: bool = False
    bytes_out: int = 0
    dropped_tags: int = 0
    lost_ms: int = 0
    session: None = None


@dataclass
class Flow:
    """What vitals read of a flow."""

    outlet: Outlet = field(default_factory=Outlet)
    repairs: int = 0
    bytes_in: int = 0
    lost_packets: int = 0
    sound_drift_ms: int | None = None
    media_at: float = float("-inf")


@dataclass
class ListFeed:
    """What vitals read of a file feed."""

    is_waiting: bool
    finished: asyncio.Event = field(default_factory=asyncio.Event)


NOW = 1000.0
LOST = {"source": SourceEnded("the source closed the stream"), "destination": PublishRejected("refused")}


@pytest.fixture
def vitals():
    """Both ends up for long, media and acknowledgements fresh: streaming."""
    vitals = Vitals(Flow(Outlet(media_time_ms=40, has_acked=True, last_progress_at=NOW)))
    vitals.source = End(Phase.UP, NOW - 100)
    vitals.destination = End(Phase.UP, NOW - 100)
    vitals.observe(NOW)
    return vitals


def outlet_of(vitals):
    return vitals._flow.outlet


def test_streaming(vitals):
    """Both up, media moved and the peer acknowledged, both within 3 s."""
    assert vitals.judge(NOW) == (State.STREAMING, None, None)
    assert vitals.judge(NOW + FRESH_S - 0.01)[0] == State.STREAMING
    assert vitals.has_streamed


def test_a_destination_that_was_added_just_now_is_connecting(vitals):
    """The source has long been there, and nothing is wrong with it."""
    vitals.destination = End(Phase.IDLE, NOW)
    assert vitals.judge(NOW) == (State.CONNECTING, None, None)
    assert vitals.judge(NOW + FRESH_S)[0] == State.STALLED


@pytest.mark.parametrize("end", ["source", "destination"])
def test_retrying(vitals, end):
    """A lost end is told with its fault and its words, also while it connects again, until it is up."""
    lost = getattr(vitals, end)
    lost.error = LOST[end]
    lost.enter(Phase.RETRYING)
    expected = (State.RETRYING, LOST[end].fault, LOST[end].why)
    assert vitals.judge(NOW) == expected
    lost.enter(Phase.CONNECTING)
    assert vitals.judge(NOW) == expected
    lost.enter(Phase.UP)
    assert vitals.judge(NOW)[0] == State.STREAMING


def test_of_two_lost_ends_the_destination_is_told(vitals):
    """One at a time, always the same."""
    for end in ("source", "destination"):
        getattr(vitals, end).error = LOST[end]
        getattr(vitals, end).enter(Phase.RETRYING)
    assert vitals.judge(NOW)[1] == "user_destination"


def test_a_source_without_media_is_stalled(vitals):
    """Nothing moves and nothing waits: the source has nothing to give."""
    assert vitals.judge(NOW + FRESH_S)[:2] == (State.STALLED, "user_source")


def test_a_source_whose_media_cannot_begin_is_not_said_to_send_none(vitals):
    """Sound waits for its picture, or frames for a keyframe: something comes, and nothing can be sent on."""
    vitals._flow.media_at = NOW + FRESH_S
    assert vitals.judge(NOW + FRESH_S)[:2] == (State.STALLED, "user_source")
    assert str(vitals.judge(NOW + FRESH_S)[2]).startswith("the source sends media, but")
    assert "sends no media" in str(vitals.judge(NOW + 2 * FRESH_S)[2])


@pytest.mark.parametrize("is_backed_up", [True, False])
def test_a_destination_that_takes_nothing_is_stalled(vitals, is_backed_up):
    """Media goes into the kernel's buffer, or waits before it, and none of it is acknowledged."""
    outlet = outlet_of(vitals)
    outlet.is_backed_up = is_backed_up
    later = NOW + FRESH_S
    if not is_backed_up:
        outlet.media_time_ms = 4000
    vitals.observe(later)
    assert vitals.judge(later)[:2] == (State.STALLED, "user_destination")


def test_a_new_session_has_three_seconds_to_prove_itself(vitals):
    """Connected and nothing acknowledged yet is connecting, then stalled."""
    outlet_of(vitals).has_acked = False
    vitals.destination.since = NOW
    vitals.observe(NOW)
    assert vitals.judge(NOW + 0.1) == (State.CONNECTING, None, None)
    outlet_of(vitals).is_backed_up = True
    assert vitals.judge(NOW + FRESH_S)[:2] == (State.STALLED, "user_destination")


@pytest.mark.parametrize(
    ("end", "phase"), [("source", Phase.IDLE), ("source", Phase.CONNECTING), ("destination", Phase.CONNECTING)]
)
def test_an_end_that_was_never_up_is_connecting(vitals, end, phase):
    """Whatever the other does."""
    setattr(vitals, end, End(phase, NOW - 100))
    assert vitals.judge(NOW) == (State.CONNECTING, None, None)


def test_a_source_that_gives_nothing_to_begin_with_was_connecting_for_ever(vitals):
    """The destination is not asked before there is a frame: after three seconds it is told who keeps it waiting."""
    vitals.destination = End(Phase.IDLE)
    vitals.source.since = NOW
    assert vitals.judge(NOW + 0.1)[0] == State.CONNECTING
    assert vitals.judge(NOW + FRESH_S)[:2] == (State.STALLED, "user_source")


@pytest.mark.parametrize("is_waiting", [True, False])
def test_a_list_that_waits_for_its_file_is_preparing(vitals, is_waiting):
    """Only while nothing plays; what has just played still streams."""
    vitals.list_feed = ListFeed(is_waiting)
    assert vitals.judge(NOW)[0] == State.STREAMING
    state = vitals.judge(NOW + FRESH_S)[0]
    assert state == (State.PREPARING if is_waiting else State.STALLED)


def test_rates_are_taken_over_a_second():
    """Bits of a second or more, in thousands; zero once the run is over."""
    vitals = Vitals(Flow())
    start = vitals._rated_at
    vitals._flow.bytes_in, vitals._flow.outlet.bytes_out = 250_000, 125_000
    vitals.observe(start + 0.5)
    assert vitals.status((State.CONNECTING, None, None)).kbps_in == 0
    vitals.observe(start + 2)
    status = vitals.status((State.STREAMING, None, None))
    assert (status.kbps_in, status.kbps_out) == (1000, 500)
    assert vitals.status((State.STOPPED, None, None)).kbps_out == 0


def test_a_status_carries_its_verdict(vitals):
    """State, fault and reason are those of the verdict; counters those of now."""
    vitals.retries[Fault.USER_SOURCE] = 3
    outlet_of(vitals).dropped_tags = 7
    error = DestinationStalled("stuck")
    status = vitals.status((State.FAILED, error.fault, str(error)))
    assert (status.state, status.fault, status.reason, status.final) == ("failed", "user_destination", "stuck", True)
    assert (status.retries, status.dropped_tags, status.media_time_ms) == (3, 7, 40)


def test_a_list_that_was_given_and_not_taken(vitals):
    """Its source has nothing more to send: it is the destination that does not move."""
    vitals.list_feed = ListFeed(is_waiting=False)
    vitals.list_feed.finished.set()
    state, fault, reason = vitals.judge(NOW + FRESH_S)
    assert (state, fault) == (State.STALLED, Fault.USER_DESTINATION)
    assert str(reason) == "the destination is connected but takes no bytes"


def lose(vitals, end, now):
    """One end loses its session, or is refused one."""
    vitals.note_failure(getattr(vitals, end), LOST[end])
    getattr(vitals, end).enter(Phase.RETRYING)
    return vitals.observe(now)


def stream(vitals, until):
    """Media and acknowledgements each half second, up to a moment."""
    vitals.source, vitals.destination = End(Phase.UP, until - 100), End(Phase.UP, until - 100)
    at = vitals._media_at
    while at < until:
        at = min(until, at + 0.5)
        outlet = outlet_of(vitals)
        outlet.has_acked, outlet.media_time_ms, outlet.last_progress_at = True, outlet.media_time_ms + 500, at
        verdict = vitals.observe(at)
    return verdict


@pytest.mark.parametrize("end", ["source", "destination"])
def test_a_run_that_tries_again_looks_the_same_at_every_moment(end):
    """A peer that takes each session and drops it: never connecting or stalled between two tries, always with the
    reason and the number of tries. It counted as starting for most of the time."""
    vitals = Vitals(Flow())
    vitals.source = vitals.destination = End(Phase.UP, NOW)
    for number in range(1, 65):
        now = NOW + 6.0 * number
        assert lose(vitals, end, now) == (State.RETRYING, LOST[end].fault, LOST[end].why)
        for phase, later in ((Phase.CONNECTING, 0.5), (Phase.UP, 1.0), (Phase.UP, 5.0)):
            getattr(vitals, end).enter(phase)
            getattr(vitals, end).since = now
            verdict = vitals.observe(now + later)
            assert verdict == (State.RETRYING, LOST[end].fault, LOST[end].why), (number, phase)
            assert vitals.status(verdict).trouble == Trouble(LOST[end].fault, LOST[end].why, number)


def test_trouble_is_over_when_it_has_streamed_ten_seconds(vitals):
    """Not before: a session that holds for some seconds is what most trouble looks like."""
    lose(vitals, "destination", NOW)
    assert stream(vitals, NOW + CALM_S)[0] is State.STREAMING
    assert vitals.trouble is not None
    assert lose(vitals, "destination", NOW + CALM_S + 0.1)[0] is State.RETRYING
    assert vitals.trouble.tries == 2
    stream(vitals, NOW + 2 * CALM_S + 1)
    assert vitals.trouble is None
    lose(vitals, "source", NOW + 40)
    assert vitals.trouble == Trouble(LOST["source"].fault, LOST["source"].why, 1)


def test_a_run_begins_in_the_trouble_of_the_one_before_it():
    """A restart of the worker is no recovery: the tries go on from where they stood, and the reason stays."""
    vitals = Vitals(Flow(), Trouble(Fault.USER_DESTINATION, Reason.text("refused"), 45))
    verdict = vitals.observe(NOW)
    assert verdict == (State.RETRYING, Fault.USER_DESTINATION, Reason.text("refused"))
    lose(vitals, "destination", NOW)
    assert vitals.trouble.tries == 46


def test_what_stalls_after_it_has_recovered_is_told_as_that(vitals):
    """The reason is the last one, not that of the failure before."""
    lose(vitals, "destination", NOW)
    stream(vitals, NOW + 5)
    state, fault, reason = vitals.observe(NOW + 9)
    assert (state, fault) == (State.STALLED, Fault.USER_SOURCE)
    assert vitals.trouble == Trouble(fault, reason, 1)
