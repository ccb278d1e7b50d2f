"""Two sockets of libsrt, one calling the other."""

import asyncio
from ctypes.util import find_library

import pytest

from kit.waiting import free_udp_port
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.fence import lease_clock
from streamferry.net.srt import MESSAGE_BYTES, open_sender


@pytest.fixture
async def ends():
    """Who calls, with its deadlines, and who was called."""
    if not any(map(find_library, ("srt-gnutls", "srt-openssl", "srt"))):
        pytest.skip("libsrt is not installed; run scripts/tools.sh as root")
    port = free_udp_port()
    deadlines = Deadlines()
    listening = asyncio.ensure_future(
        open_sender(MediaUrl.parse(f"srt://127.0.0.1:{port}?mode=listener"), deadlines=Deadlines())
    )
    caller = await open_sender(MediaUrl.parse(f"srt://127.0.0.1:{port}"), deadlines=deadlines)
    called = await listening
    yield caller, deadlines, called
    caller.close()
    called.close()


async def test_nothing_leaves_past_the_fence(ends):
    """What was handed over before is on its way; nothing is after it."""
    caller, deadlines, _ = ends
    assert caller.send(bytes(MESSAGE_BYTES))
    deadlines.fence.at = lease_clock()
    with pytest.raises(OSError, match="canceled"):
        caller.send(bytes(MESSAGE_BYTES))
