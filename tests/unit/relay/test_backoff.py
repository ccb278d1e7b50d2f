"""Backoff: how long a run waits before another attempt."""

from itertools import pairwise

import pytest

from streamferry.relay.backoff import EAGER_LONGEST_S, FIRST_S, GOOD_AFTER_S, LONGEST_S, Backoff


def test_pauses_grow_and_end_at_the_longest():
    """Each step doubles from 0.5 s to 30 s, at least half of it is waited."""
    backoff = Backoff()
    for attempt in range(30):
        step = min(LONGEST_S, FIRST_S * 2**attempt)
        assert step / 2 <= backoff.next_delay() <= step


def test_pauses_are_not_all_alike():
    """Jitter keeps many relays from coming back at the same moment."""
    assert len({Backoff().next_delay() for _ in range(50)}) > 40


def test_eager_attempts_stay_short_and_then_grow_from_the_start():
    """No eager attempt waits long, and the first pause after them is no jump to the longest."""
    backoff = Backoff(eager_attempts=40)
    eager = [backoff.next_delay() for _ in range(40)]
    assert max(eager) <= EAGER_LONGEST_S
    assert sum(eager) > 25
    later = [backoff.next_delay() for _ in range(10)]
    assert later[0] <= FIRST_S
    assert all(b <= 4 * a for a, b in pairwise(later))
    assert later[-1] >= LONGEST_S / 2


@pytest.mark.parametrize(("lasted_s", "attempts"), [(GOOD_AFTER_S, 0), (GOOD_AFTER_S - 1, 5)])
def test_only_a_good_session_makes_up_for_failures(lasted_s, attempts):
    """A peer that accepts and drops each session must not be hammered."""
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay()
    backoff.note_session(lasted_s)
    assert backoff.attempts == attempts


def test_days_of_failures_do_not_overflow():
    """The doubling is bounded however long a peer is away."""
    backoff = Backoff()
    backoff.attempts = 100_000
    assert backoff.next_delay() <= LONGEST_S
