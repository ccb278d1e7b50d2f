"""What a host counts over all relays, those that ended among them."""

import pytest

from scripted.waiting import until
from streamferry.media.errors import Fault

pytestmark = pytest.mark.usefixtures("quick")


async def test_totals_keep_what_ended_relays_did(relays, source, destination):
    """Bytes of both ends, retries by whose fault they were; nothing is lost when a relay ends."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    await destination.leave()
    await until("a retry", lambda: running.status.state == "retrying")
    before = relays.host.totals
    assert before.bytes_in > 0
    assert before.bytes_out > 0
    assert before.retries[Fault.USER_DESTINATION] >= 1
    assert before.retries[Fault.USER_SOURCE] == 0
    await running.relay.stop()
    after = relays.host.totals
    assert after.bytes_out == running.status.bytes_out >= before.bytes_out
    assert after.retries.total() == running.status.retries
