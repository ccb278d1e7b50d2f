"""Many that begin or end in one moment do so a few at a time, and the beat comes in between."""

import asyncio

from streamferry.relay.turns import AT_ONCE, Turns


async def test_a_timer_that_is_due_comes_before_the_turns_of_all_who_wait():
    """All get their turn, in order, and never more than a few of them between two turns of the event loop."""
    loop, turns = asyncio.get_running_loop(), Turns()
    order, in_a_row = [], [0]

    def beat():
        in_a_row.append(0)
        if len(order) < 100:
            loop.call_later(0, beat)

    def step(number):
        order.append(number)
        in_a_row[-1] += 1

    for number in range(100):
        turns.take(lambda number=number: step(number))
    beat()
    await turns.wait()
    assert order == list(range(100))
    assert max(in_a_row) <= 2 * AT_ONCE


async def test_one_who_no_longer_waits_holds_up_nobody():
    """A task that is cancelled while it waits, and a step that fails."""
    loop, turns = asyncio.get_running_loop(), Turns()
    failed = []
    loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
    gone = asyncio.ensure_future(turns.wait())
    await asyncio.sleep(0)
    gone.cancel()
    turns.take(lambda: 1 / 0)
    await turns.wait()
    assert [type(error) for error in failed] == [ZeroDivisionError]
    assert gone.cancelled()
