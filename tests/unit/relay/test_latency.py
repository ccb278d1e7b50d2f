"""Latency classes: how often a live relay is visited."""

import pytest

from streamferry.relay import Latency
from streamferry.relay.beat import RING_S, Beat


class Clocked:
    """A member that counts its visits."""

    def __init__(self):
        self.visits = 0

    def visit(self, now):
        self.visits += 1

    def crash(self, error):
        raise error


@pytest.mark.parametrize(("latency", "milliseconds"), [("low", 80), ("normal", 160), ("dense", 320)])
def test_a_class_is_an_interval(latency, milliseconds):
    """As documented, of the same turn of the ring; and what a destination may hold follows."""
    latency = Latency(latency)
    assert round(RING_S * 1000 / latency.visits) == milliseconds
    assert latency.unsent_bytes == milliseconds * (512 << 10) // 80


async def test_slots_are_filled_one_after_the_other():
    """So that a process of few relays wakes seldom, and one of many spreads them."""
    beat = Beat()
    for count in (40, 200):
        for _ in range(count):
            beat.add(Clocked(), Latency.NORMAL.visits)
        used = [len(slot) for slot in beat._slots if slot]
        assert len(used) == (2 if count == 40 else 2 * 4)
        assert max(used) <= 64
    for _ in range(1000):
        beat.add(Clocked(), Latency.NORMAL.visits)
    sizes = [len(slot) for slot in beat._slots]
    assert min(sizes) == max(sizes) == 155
    beat.close()
