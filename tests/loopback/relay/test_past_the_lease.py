"""What a relay does when its lease is over: nothing. And one that does not stop is not left to itself."""

import asyncio

import pytest

from scripted.destination import Destination, never_read, take
from scripted.waiting import until
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec, host, lease_clock

pytestmark = pytest.mark.usefixtures("quick", "no_secrets")


async def test_past_the_fence_nothing_is_sent_and_nobody_is_told_good_bye(relays, source, destination):
    """The connection is reset without FCUnpublish or deleteStream, which would end the stream of who took over."""
    running = [relays.start(source, destination) for _ in range(3)]
    await until("streams", lambda: len(destination.publishes) == 3 and all(p.tags for p in destination.publishes))
    relays.host.fence(lease_clock())
    sent = [one.status.bytes_out for one in running]
    await asyncio.gather(*(one.relay.wait() for one in running))
    assert [one.status.bytes_out for one in running] == sent
    assert {one.status.state for one in running} == {"stopped"}
    await destination.all_closed()
    for publish in destination.publishes:
        assert publish.ended is None
        assert b"deleteStream" not in publish.last_bytes
        assert b"FCUnpublish" not in publish.last_bytes
    assert destination.accepted == 3


async def test_a_publish_that_is_being_set_up_is_not_begun_past_the_fence(relays, source):
    """The server answers only after the lease is over: it is not asked for the stream."""
    said, is_over = asyncio.Event(), asyncio.Event()
    heard = bytearray()

    async def answer_late(caller):
        loop = asyncio.get_running_loop()
        heard.extend(await loop.sock_recv(caller.sock, 1 << 16))
        said.set()
        await is_over.wait()
        caller.session.receive(bytes(heard))
        await loop.sock_sendall(caller.sock, caller.session.data_to_send())
        del heard[:]
        while data := await loop.sock_recv(caller.sock, 1 << 16):
            heard.extend(data)

    async with Destination(answer_late) as destination:
        running = relays.start(source, destination)
        await asyncio.wait_for(said.wait(), 30)
        relays.host.fence(lease_clock())
        is_over.set()
        await running.relay.wait()
        await destination.all_closed()
        assert not heard


async def test_a_new_lease_begins_with_nothing_of_the_old_one(relays, source, destination):
    """What was aborted stays so; what is started then runs."""
    old = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].tags)
    relays.host.fence(lease_clock())
    await old.relay.wait()
    relays.host.fence(lease_clock() + 60)
    new = relays.start(source, destination)
    await until("a stream", lambda: len(destination.publishes) == 2 and destination.publishes[1].tags)
    assert old.status.state == "stopped"
    assert (await new.relay.stop()).state == "stopped"


@pytest.mark.parametrize("moment", ["connecting", "streaming", "stopping"])
async def test_an_aborted_relay_ends_at_once(relays, source, moment):
    """In every moment of its life, also while it waits for a destination to take its good-bye."""
    async with Destination(never_read if moment == "stopping" else take, receive_buffer_bytes=4096) as destination:
        if moment == "connecting":
            await destination.leave()
        running = relays.start(source, destination)
        if moment == "connecting":
            await until("a pause", lambda: running.status.retries)
            destination.come()
        else:
            await until("a publish", lambda: destination.publishes and running.status.bytes_out)
        if moment == "stopping":
            running.relay.request_stop()
            await asyncio.sleep(0)
        running.relay.abort()
        async with asyncio.timeout(30):
            assert (await running.relay.wait()).state == "stopped"


async def test_a_relay_that_does_not_stop_in_time_is_aborted(relays, source, destination, monkeypatch, caplog):
    """Whatever holds its good-bye up; it is told, and nothing of it runs on."""
    monkeypatch.setattr(host, "STOP_S", 0.1)

    async def never(session, **_):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("streamferry.push.rtmp.RtmpSession.aclose", never)
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].tags)
    async with asyncio.timeout(30):
        assert (await running.relay.stop()).state == "stopped"
    assert "a relay did not stop within 0.1 s and is aborted" in caplog.text
    await destination.all_closed()
    assert destination.publishes[0].ended is None


async def test_a_change_of_kind_whose_old_run_does_not_stop_goes_on(relays, source, destination, monkeypatch):
    """The old run is aborted, and the new one takes its place: here it finds that there is no such file."""
    monkeypatch.setattr(host, "STOP_S", 0.1)

    async def never(session, **_):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("streamferry.push.rtmp.RtmpSession.aclose", never)
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].tags)
    missing = Item(MediaUrl.parse("file:///nowhere/at/all.mp4"))
    running.relay.update(RelaySpec.vod([missing], destination.url(), loops=1))
    async with asyncio.timeout(30):
        assert (await running.relay.wait()).state == "failed"
