"""A feed that is taken off the air and comes back counts once."""

from streamferry.push import Outlet
from streamferry.relay.flow import LiveFlow
from streamferry.timeline import Timeline


class Counting:
    """A feed that has received so much, and lost so many packets, over all its time."""

    fast_path = None
    media_at = 0.0
    sound_drift_ms = None

    def __init__(self) -> None:
        self.bytes_in = self.lost_packets = 0

    def pull(self, now, laid) -> None:
        """Receive 10 bytes, and lose a packet."""
        self.bytes_in += 10
        self.lost_packets += 1

    def check_liveness(self, now) -> None:
        """It is well."""

    def lead_to(self, outlet) -> None:
        """It has no fast path."""

    def close(self) -> None:
        """There is nothing to close."""


async def test_what_a_feed_received_is_counted_once() -> None:
    """Though it was on air three times."""
    flow, feed = LiveFlow(Timeline(), Outlet(), lambda now: True), Counting()
    for now in range(3):
        flow.attach_feed(feed, float(now))
        flow.visit(now + 0.5)
        flow.release_feed()
    assert (flow.bytes_in, flow.lost_packets) == (60, 6)
