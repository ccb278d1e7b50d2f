"""An input that goes off the air and comes back counts once."""

from streamferry.push import Outlet
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.timeline import Timeline

SCRATCH = memoryview(bytearray(100))


class Losing:
    """A source that loses a packet with each 10 bytes; it tells of all its time."""

    silence_s = 9.0
    is_mute = False
    lost_packets = 0

    def pull(self, scratch, out) -> int:
        """Receive 10 bytes, and lose a packet."""
        self.lost_packets += 1
        return 10

    def close(self) -> None:
        """There is nothing to close."""


async def test_what_an_input_received_is_counted_once() -> None:
    """Though it was on air three times; what was lost while it was not is not of the run."""
    flow, inlet = LiveFlow(Timeline(), Outlet(), lambda now: True), Losing()
    for now in range(3):
        inlet.pull(SCRATCH, [])
        feed = LiveFeed(inlet, flow.timeline, SCRATCH, float(now), lost_before=inlet.lost_packets)
        flow.attach_feed(feed, float(now))
        flow.visit(now + 0.5)
        flow.release_feed()
    assert (flow.bytes_in, flow.lost_packets) == (60, 6)
