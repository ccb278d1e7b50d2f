"""A server that leaves asks its publishers to go on elsewhere (Enhanced RTMP v2, "Reconnect Request")."""

import asyncio
from dataclasses import replace

import pytest

from scripted.destination import KEY, Caller, Destination, take
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.net import rtmp
from streamferry.relay import destination_keeper

pytestmark = pytest.mark.usefixtures("quick")


def request(place: str | None) -> dict:
    """What a server tells that asks to go on there."""
    told = {"level": "status", "code": "NetConnection.Connect.ReconnectRequest", "description": ""}
    return told if place is None else {**told, "tcUrl": place}


def asking(place: str | None, pictures: int = 5):
    """Take some pictures, ask to go on there, and go on taking: it is the client that leaves."""

    async def manner(caller: Caller) -> None:
        await caller.receive_pictures(pictures)
        caller.session._send_command(0, "onStatus", 0, None, request(place))
        await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())
        await take(caller)

    return manner


def asking_early(place: str, *, is_accepted: bool):
    """Ask in the bytes that accept the stream, before or after that, and nothing more."""

    async def manner(caller: Caller) -> None:
        accept, ask = caller.session.accept, caller.session._send_command
        steps = [accept, lambda: ask(0, "onStatus", 0, None, request(place))]
        connected = False

        def answer() -> None:
            nonlocal connected
            for step in (steps if is_accepted else reversed(steps)) if connected else (accept,):
                step()
            connected = True

        caller.session.accept = answer
        await take(caller)

    return manner


async def test_a_destination_that_leaves_is_followed(relays, source, destination):
    """With the same key, at once, and it counts as no failure. It went on until the server closed, 15 s later."""
    async with Destination() as elsewhere:
        destination.manner = asking(f"rtmp://127.0.0.1:{elsewhere.port}/other")
        running = relays.start(source, destination)
        await until("the stream elsewhere", lambda: elsewhere.publishes and elsewhere.publishes[0].has_both_tracks)
        await until("streaming", lambda: running.status.state == "streaming")
        assert elsewhere.publishes[0].key.startswith(KEY)
        assert running.status.retries == 0
        assert not running.has_told("retrying", "user_destination", "")
        assert len(destination.publishes) == 1
        # The next one is at home again.
        await elsewhere.leave()
        await until("home", lambda: len(destination.publishes) == 2)
        elsewhere.come()
        await running.relay.stop()


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_one_that_asks_as_it_accepts_is_followed(relays, source, destination, is_accepted):
    """As servers do that are full or about to leave. They said no more, and it was never seen."""
    async with Destination() as elsewhere:
        destination.manner = asking_early(f"rtmp://127.0.0.1:{elsewhere.port}/other", is_accepted=is_accepted)
        running = relays.start(source, destination)
        await until("the stream elsewhere", lambda: elsewhere.publishes and elsewhere.publishes[0].has_both_tracks)
        assert running.status.retries == 0
        assert len(destination.publishes) == 1
        await running.relay.stop()


@pytest.mark.parametrize("place", [None, "/live"])
async def test_where_it_asks_to_go_is_seen_from_where_it_is(relays, source, destination, monkeypatch, place):
    """By the specification a relative address, and none, refer to the connection's own, not to the task's."""
    monkeypatch.setattr(destination_keeper, "MOVES_S", 0.0)
    async with Destination(asking(place)) as elsewhere:
        destination.manner = asking(f"rtmp://127.0.0.1:{elsewhere.port}/other")
        running = relays.start(source, destination)
        await until("a session elsewhere", lambda: elsewhere.publishes)
        elsewhere.manner = take
        await until("another", lambda: len(elsewhere.publishes) == 2 and elsewhere.publishes[1].frames(VIDEO))
        assert len(destination.publishes) == 1
        await running.relay.stop()


@pytest.mark.parametrize("place", [None, "", "https://127.0.0.1/x", "rtmp://[", "x" * 5000, "/live"])
async def test_what_is_no_other_place_is_where_the_address_points(relays, source, destination, place):
    destination.manner = asking(place)
    running = relays.start(source, destination)
    await until("a session", lambda: destination.publishes)
    destination.manner = take
    await until("another", lambda: len(destination.publishes) == 2 and destination.publishes[1].frames(VIDEO))
    assert running.status.retries == 0
    await running.relay.stop()


async def test_a_destination_that_asks_again_and_again_is_not_obeyed(relays, source, destination):
    """Once a minute is a server that leaves; more often it fails, and is told so."""
    destination.manner = asking(None, pictures=1)
    running = relays.start(source, destination)
    await until("a failure", lambda: running.has_told("retrying", "user_destination", "another session"))
    assert running.status.retries >= 1
    assert len(rtmp._moves) <= 1
    await running.relay.stop()


async def test_where_the_policy_does_not_lead_nobody_is_followed(relays, source, destination, monkeypatch):
    """The address of a cloud's metadata, named by a server."""
    destination.manner = asking("rtmp://169.254.169.254/latest")
    guarded = replace(relays.host._network, allow=lambda address: address == "127.0.0.1")
    monkeypatch.setattr(relays.host, "_network", guarded)
    running = relays.start(source, destination)
    await until("a refusal", lambda: running.has_told("retrying", "user_destination", "egress"))
    destination.manner = take
    await until("home", lambda: len(destination.publishes) == 2 and destination.publishes[1].frames(VIDEO))
    await running.relay.stop()
