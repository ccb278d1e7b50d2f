"""Beat: who is visited how often, and what one member cannot do to the others."""

import math
import time

import pytest

from kit.waiting import PATIENCE_S
from scripted.waiting import until
from streamferry.net.fence import Fence, lease_clock
from streamferry.relay.beat import FILE_VISITS, LIVE_VISITS, RING_S, Beat


class Member:
    """Notes its visits; ``act`` is called in each."""

    def __init__(self, act=None):
        self.visited_at = []
        self.crashes = []
        self.act = act

    def visit(self, now):
        self.visited_at.append(now)
        if self.act is not None:
            self.act()

    def crash(self, error):
        self.crashes.append(error)


@pytest.fixture
async def beat():
    beat = Beat()
    yield beat
    beat.close()


@pytest.mark.parametrize("visits", [LIVE_VISITS, FILE_VISITS])
async def test_a_member_is_visited_that_often_a_turn(beat, visits):
    """Evenly, not early, and with the monotonic clock in its hand."""
    member = Member()
    beat.add(member, visits)
    await until("visits", lambda: len(member.visited_at) >= 2 * visits + 1)
    spent = member.visited_at[2 * visits] - member.visited_at[0]
    assert spent >= 2 * RING_S * 0.9
    assert abs(member.visited_at[-1] - time.monotonic()) < PATIENCE_S


async def test_members_are_spread_over_the_turn(beat):
    """A thousand files do not all come due at the same moment: a slot that is full is followed by the next."""
    members = [Member() for _ in range(16 * 64)]
    for member in members:
        beat.add(member, FILE_VISITS)
    await until("all", lambda: all(len(member.visited_at) >= 2 for member in members))
    # After a pause of the machine they do: all are late then.
    await until("them spread", lambda: len({member.visited_at[-1] for member in members}) == 16)


async def test_a_member_that_was_removed_is_not_visited_again(beat):
    """Nor does removing a stranger, or twice, upset anything."""
    gone, stays = Member(), Member()
    beat.add(gone, LIVE_VISITS)
    beat.add(stays, LIVE_VISITS)
    beat.remove(gone)
    beat.remove(gone)
    beat.remove(Member())
    await until("visits", lambda: len(stays.visited_at) >= 6)
    assert not gone.visited_at


async def test_a_member_may_remove_itself_during_its_visit(beat):
    """Its neighbours of the slot are all visited, none twice."""
    leaver = Member()
    leaver.act = lambda: beat.remove(leaver)
    others = [Member() for _ in range(40)]
    beat.add(leaver, LIVE_VISITS)
    for other in others:
        beat.add(other, LIVE_VISITS)
    await until("two turns", lambda: all(len(other.visited_at) >= 8 for other in others))
    assert len(leaver.visited_at) == 1
    for other in others:
        assert len(set(other.visited_at)) == len(other.visited_at)
        assert len(other.visited_at) <= min(len(each.visited_at) for each in others) + 1


async def test_a_member_that_crashes_gets_its_error_and_stops_nobody(beat):
    """The beat goes on for all, the crashing one included, until it is removed."""
    trouble = RuntimeError("bug")

    def fail():
        raise trouble

    bad, good = Member(fail), [Member() for _ in range(8)]
    beat.add(bad, LIVE_VISITS)
    for member in good:
        beat.add(member, LIVE_VISITS)
    await until("visits", lambda: all(len(member.visited_at) >= 5 for member in good))
    assert set(map(id, bad.crashes)) == {id(trouble)}


async def test_lateness_is_told_once(beat):
    """A visit that takes long makes the turn late; the figure is taken and begins anew."""
    slow = Member()
    beat.add(slow, LIVE_VISITS)
    await until("a turn", lambda: len(slow.visited_at) > LIVE_VISITS)
    beat.take_worst_lateness()
    slow.act = lambda: time.sleep(0.15) if len(slow.visited_at) % 20 == 10 else None
    await until("the slow visit", lambda: len(slow.visited_at) > 10 + LIVE_VISITS)
    assert beat.take_worst_lateness() > 0.02
    assert beat.take_worst_lateness() == 0


async def test_an_empty_beat_sleeps_and_wakes_again(beat):
    """Nobody left, no timer; somebody comes, visits."""
    first, second = Member(), Member()
    beat.add(first, LIVE_VISITS)
    await until("a visit", lambda: first.visited_at)
    beat.remove(first)
    await until("sleep", lambda: beat._timer is None)
    beat.add(second, LIVE_VISITS)
    await until("a visit", lambda: second.visited_at)


async def test_past_the_fence_nobody_is_visited():
    """Whatever is late; what runs is told to end, and a new lease begins with those that are there then."""
    fence, members, fenced = Fence(), [Member() for _ in range(20)], []

    def end_all():
        fenced.append(lease_clock())
        for member in members:
            beat.remove(member)

    beat = Beat(fence, end_all)
    for member in members:
        beat.add(member, LIVE_VISITS)
    await until("visits", lambda: all(len(member.visited_at) >= 2 for member in members))
    fence.at = lease_clock()
    counts = [len(member.visited_at) for member in members]
    await until("the end", lambda: fenced)
    assert [len(member.visited_at) for member in members] == counts
    fence.at = math.inf
    later = Member()
    beat.add(later, LIVE_VISITS)
    await until("a visit", lambda: later.visited_at)
    assert len(fenced) == 1
    beat.close()


async def test_a_process_that_stood_still_visits_nobody_past_its_fence():
    """Its loop wakes with every slot due at once, and the lease over."""
    fence, member, fenced = Fence(), Member(), []
    beat = Beat(fence, lambda: (fenced.append(True), beat.remove(member)))
    beat.add(member, LIVE_VISITS)
    await until("a visit", lambda: member.visited_at)
    fence.at = lease_clock() + 0.1
    time.sleep(0.2)  # noqa: ASYNC251 - that is the process that stands still
    woke_at = time.monotonic()
    await until("the end", lambda: fenced)
    assert member.visited_at[-1] < woke_at
    beat.close()


async def test_a_closed_beat_visits_nobody(beat):
    """For good."""
    member, witness, other = Member(), Member(), Beat()
    beat.add(member, LIVE_VISITS)
    other.add(witness, LIVE_VISITS)
    beat.close()
    await until("another beat's turn", lambda: len(witness.visited_at) > LIVE_VISITS)
    other.close()
    assert not member.visited_at
