"""When a destination is tried again, simulated: a clock of numbers, and destinations that are scripts."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from streamferry.media.errors import (
    DestinationAbsent,
    DestinationClosed,
    DestinationError,
    PublishBusy,
    PublishEvicted,
    PublishRefusedLogin,
    PublishRejected,
)
from streamferry.reasons import Code, Reason
from streamferry.relay.destination_backoff import DestinationBackoff

WHY = Reason.of(Code.DESTINATION_CLOSED)
SEEDS = range(30)

#: What comes of an attempt at a time: how long it lasts, whether the stream was accepted, and how it ends. None: well.
Answer = tuple[float, bool, DestinationError] | None


def tries(answer: Callable[[float], Answer], seed: int, until_s: float = 1e9) -> tuple[list[float], DestinationBackoff]:
    """When a destination is tried that was lost at 0, up to the try that goes well."""
    backoff = DestinationBackoff(random.Random(seed).uniform)
    backoff.note_session(3600)
    backoff.note_failure(DestinationClosed(WHY), 3600)
    now, tried = backoff.next_delay(), list[float]()
    while now < until_s:
        tried.append(now)
        if (what := answer(now)) is None:
            break
        took_s, is_accepted, error = what
        if is_accepted:
            backoff.note_session(took_s)
        backoff.note_failure(error, took_s)
        now += took_s + backoff.next_delay()
    return tried, backoff


def away(until_s: float, took_s: float = 0.001) -> Callable[[float], Answer]:
    """Nobody is there up to then."""
    return lambda now: None if now >= until_s else (took_s, False, DestinationAbsent(WHY))


def always(took_s: float, is_accepted: bool, error: type[DestinationError]) -> Callable[[float], Answer]:
    """Always the same end."""
    return lambda _: (took_s, is_accepted, error(WHY))


@pytest.mark.parametrize(("outage_s", "late_s"), [(0.1, 2), (5, 2), (20, 2), (60, 5), (600, 5), (86_400, 5)])
def test_a_destination_that_was_away_is_found_soon_after_its_return(outage_s, late_s):
    """After 20 s of outage it took up to 20 s more."""
    for seed in SEEDS if outage_s < 1000 else SEEDS[:1]:
        tried, _ = tries(away(outage_s), seed)
        assert tried[-1] - outage_s <= late_s


@pytest.mark.parametrize("back_s", [0.5, 5, 12])
def test_one_that_goes_again_soon_after_it_came_was_asked_as_one_that_never_came(back_s):
    """A long outage, a session shorter than a good one, and 20 s of outage: it was found up to 4 s late."""
    for seed in SEEDS:
        backoff = DestinationBackoff(random.Random(seed).uniform)
        for _ in range(60):
            backoff.note_failure(DestinationAbsent(WHY), 0.001)
        backoff.note_session(back_s)
        backoff.note_failure(DestinationClosed(WHY), back_s)
        now = backoff.next_delay()
        while now < 20:
            backoff.note_failure(DestinationAbsent(WHY), 0.001)
            assert backoff.next_delay() >= 0.9
            now += backoff.next_delay()
        assert now <= 22


def test_a_destination_that_drops_all_packets_is_found_soon_after_its_return():
    """Each attempt waits 5 s, in which the kernel asks after 0, 1 and 3 s; the next begins at once."""
    for seed in SEEDS:
        tried, _ = tries(away(1e9, took_s=5.0), seed, until_s=600)
        asked = sorted(at + second for at in tried for second in (0, 1, 3))
        assert max(later - earlier for earlier, later in pairwise(asked)) <= 3


def test_nobody_is_tried_more_often_than_once_a_second():
    for seed in SEEDS[:5]:
        tried, _ = tries(away(3600), seed)
        assert min(later - earlier for earlier, later in pairwise(tried)) >= 1
        assert sum(at >= 120 for at in tried) <= 3480 / 2


def test_many_relays_of_one_destination_do_not_come_at_the_same_moment():
    """Of 1000 that were lost in one moment, few come within the same 50 ms, ten seconds later."""
    moments = Counter(int(at / 0.05) for seed in range(1000) for at in tries(away(30), seed)[0] if 10 < at < 20)
    assert max(moments.values()) < 100


@pytest.mark.parametrize(("took_s", "is_accepted"), [(0.1, False), (0.3, True), (8, True), (19, True)])
def test_a_destination_that_always_closes_right_after_publish_is_told_and_asked_less_often(took_s, is_accepted):
    """It was asked nine times in 72 s, with the same word nine times: closed."""
    tried, backoff = tries(always(took_s, is_accepted, DestinationClosed), 1, until_s=3600)
    assert len(tried) <= 60
    assert tried[-1] - tried[-2] >= 60
    assert "key is refused" in str(backoff.told(DestinationClosed(WHY)))
    # What is said otherwise is not hidden.
    assert backoff.told(PublishRejected(WHY)).why == WHY


def test_a_word_for_the_pattern_needs_a_pattern():
    tried, backoff = tries(always(0.1, True, DestinationClosed), 1, until_s=2.5)
    assert len(tried) >= 2
    assert backoff.told(DestinationClosed(WHY)).why == WHY


@pytest.mark.parametrize("lived_s", [2, 10, 29, 45])
def test_two_relays_that_evict_each_other_stop_it(lived_s):
    """They did it for ever, both with live media in between."""
    tried, backoff = tries(always(lived_s, True, PublishEvicted), 1, until_s=3600)
    assert len(tried) <= 36
    assert min(later - earlier for earlier, later in pairwise(tried[3:])) >= 120
    assert "somebody else publishes" in str(backoff.told(PublishEvicted(WHY)))


def test_an_eviction_now_and_then_is_none_of_that():
    tried, _ = tries(always(3600, True, PublishEvicted), 1, until_s=1e5)
    assert max(later - earlier for earlier, later in pairwise(tried)) <= 3602


@pytest.mark.parametrize(("busy_s", "late_s"), [(5, 3.1), (40, 3.1), (400, 31)])
def test_a_destination_that_holds_the_last_session_is_asked_evenly(busy_s, late_s):
    """Busy for 40 s cost 52.9 s."""
    for seed in SEEDS:
        tried, backoff = tries(lambda now: None if now >= busy_s else (0.05, False, PublishBusy(WHY)), seed)
        assert tried[-1] - busy_s <= late_s
        assert min(later - earlier for earlier, later in pairwise(tried)) >= 1
        assert "holds our last session" in str(backoff.told(PublishBusy(WHY)))


def test_right_credentials_that_were_refused_once_cost_seconds_and_wrong_ones_lock_no_account():
    """Once transient cost a minute; for wrong ones, five to seven tries in short order are many."""
    once = iter([(0.1, False, PublishRefusedLogin(WHY))])
    tried, _ = tries(lambda _: next(once, None), 1)
    assert tried[-1] <= 5
    tried, _ = tries(always(0.1, False, PublishRefusedLogin), 1, until_s=600)
    assert len([at for at in tried if at < 60]) == 2
    assert len(tried) <= 12


def test_any_other_refusal_is_asked_less_and_less():
    tried, _ = tries(always(0.05, False, PublishRejected), 1, until_s=3600)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[0] >= 1
    assert 15 <= min(pauses[-20:]) <= max(pauses) <= 31


def test_kinds_that_take_turns_are_asked_less_and_less_all_the_same():
    """A server that crashes at each publish is away, then closes, then is away."""
    is_away, closes, is_busy = DestinationAbsent(WHY), DestinationClosed(WHY), PublishBusy(WHY)
    answers = [(0.01, False, is_away), (0.2, True, closes), (0.1, False, is_busy)]
    turns = iter(range(10**6))
    publishes = []

    def answer(now):
        what = answers[next(turns) % 3]
        if what[1]:
            publishes.append(now)
        return what

    tries(answer, 1, until_s=3600)
    assert len(publishes) <= 60


def test_a_good_session_makes_up_for_all():
    _, backoff = tries(always(1, True, DestinationClosed), 1, until_s=600)
    backoff.note_session(30)
    backoff.note_failure(DestinationClosed(WHY), 30)
    assert backoff.next_delay() <= 0.5
    assert backoff.attempts == 0
    assert backoff.told(DestinationClosed(WHY)).why == WHY


@pytest.mark.parametrize(
    ("lengths_s", "is_limit"),
    [
        ([43_200, 43_203, 43_199], True),
        ([3_600, 3_601, 7_000], False),
        ([43_200, 43_203], False),
        ([30, 30, 30], False),
        ([100, 200, 300, 300.5, 301], True),
    ],
)
@pytest.mark.parametrize("kind", [DestinationClosed, PublishRejected])
def test_a_limit_of_a_platform_is_told_as_one(lengths_s, is_limit, kind):
    """It closed after the same time each time; the next session begins at once."""
    backoff = DestinationBackoff()
    for length_s in lengths_s:
        backoff.note_session(length_s)
        backoff.note_failure(kind(WHY), length_s)
    assert ("limit of its platform" in str(backoff.told(kind(WHY)))) is is_limit
    assert backoff.next_delay() <= 0.5
    # A refusal after that is another matter.
    backoff.note_failure(PublishRejected(WHY), 0.1)
    assert backoff.told(PublishRejected(WHY)).why == WHY


def test_years_of_failures_do_not_overflow():
    backoff = DestinationBackoff()
    for _ in range(20_000):
        for kind in (DestinationClosed, PublishRejected, PublishEvicted):
            backoff.note_failure(kind(WHY), 0.1)
    assert backoff.next_delay() <= 240
