"""A destination that fails in the same way again and again: what is told of it, and that it is told once."""

import asyncio

import pytest

from scripted.camera import FRAME_MS, number_of
from scripted.destination import Caller, Destination, take
from scripted.listener import reset
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.relay import backoff, destination_backoff
from streamferry.wire.rtmp.session import ConnectRequested, PublishRequested

pytestmark = pytest.mark.usefixtures("quick")
REFUSED_LOGIN = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed"


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(destination_backoff, "LONGEST_AFTER_CLOSES_S", 0.2)


async def close_at_publish(caller: Caller) -> None:
    """Hear the publish, answer nothing and close."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(caller.sock, 65536):
        for event in caller.session.receive(data):
            if isinstance(event, PublishRequested):
                return
            if isinstance(event, ConnectRequested):
                caller.session.accept()
        await loop.sock_sendall(caller.sock, caller.session.data_to_send())


async def close_in_stream(caller: Caller) -> None:
    """Take one picture, and close."""
    await caller.receive_pictures(1)


async def evict(caller: Caller) -> None:
    """Take five pictures, then let another publisher have the key."""
    await caller.receive_pictures(5)
    caller.session.send_status("status", "NetStream.Unpublish.Success", "")
    await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())


@pytest.mark.parametrize("manner", [close_at_publish, close_in_stream])
async def test_a_destination_that_closes_right_after_publish_is_told_as_that(relays, source, destination, manner):
    """It looked like the network, with the same word for days. Where nothing was taken, streaming is never told."""
    destination.manner = manner
    running = relays.start(source, destination)
    await until("the pattern", lambda: running.has_told("retrying", "user_destination", "the key is refused"))
    assert running.status.retries >= destination_backoff.CLOSES
    if manner is close_at_publish:
        assert all(status.state != "streaming" for status in running.told)
    destination.manner = take
    await until("the stream", lambda: running.status.state == "streaming")


async def test_a_destination_whose_key_another_publisher_takes_is_told_as_that(
    relays, source, destination, monkeypatch
):
    monkeypatch.setattr(destination_backoff, "EVICTED_S", (0.1, 0.2))
    destination.manner = evict
    running = relays.start(source, destination)
    await until("the pattern", lambda: running.has_told("retrying", "user_destination", "somebody else publishes"))
    assert len(destination.publishes) >= destination_backoff.EVICTIONS


async def test_a_destination_that_holds_our_last_session_is_told_as_that(relays, source, monkeypatch):
    """Its server lets nobody in while it believes that the session lives."""
    monkeypatch.setattr(destination_backoff, "BUSY_S", (0.1, 0.2))
    is_held = False

    async def hold(caller: Caller) -> None:
        nonlocal is_held
        if not is_held:
            is_held = True
            await caller.receive_pictures(5)
            reset(caller.sock)
            return
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(caller.sock, 65536):
            for event in caller.session.receive(data):
                match event:
                    case ConnectRequested():
                        caller.session.accept()
                    case PublishRequested():
                        caller.session.reject("NetStream.Publish.BadName", "Already publishing")
            await loop.sock_sendall(caller.sock, caller.session.data_to_send())

    async with Destination(hold) as destination:
        running = relays.start(source, destination)
        await until("the words", lambda: running.has_told("retrying", "user_destination", "holds our last session"))
        destination.manner = take
        await until("the stream", lambda: running.status.state == "streaming")


async def test_what_a_live_relay_loses_while_its_destination_is_away_is_counted(relays, source, destination):
    """As much as the pictures that are missing there; and while it is there, how its line does."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    await until("the line", lambda: running.status.rtt_ms is not None)
    assert running.status.lost_ms == 0
    await destination.leave()
    shot = source.camera.pictures
    await until("pictures that nobody gets", lambda: source.camera.pictures > shot + 40)
    destination.come()
    await until("a stream again", lambda: len(destination.publishes) == 2 and destination.publishes[1].has_both_tracks)
    first, second = (publish.frames(VIDEO) for publish in destination.publishes)
    missing = number_of(second[0]) - number_of(first[-1]) - 1
    # Some frames were on their way, and are not known to be lost.
    assert FRAME_MS * (missing - 30) <= running.status.lost_ms <= FRAME_MS * (missing + 2)
    assert running.status.lost_ms >= FRAME_MS * 20
    await until("the line", lambda: running.status.rtt_ms is not None)
