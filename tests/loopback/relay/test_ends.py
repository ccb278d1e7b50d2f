"""The end of a relay at any moment of its life: it unpublishes, in a bounded time, and leaves nothing behind."""

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest

from scripted import destination as manners
from scripted.camera import Camera
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.prepare.store import PreparedStore
from streamferry.relay import RelaySpec
from streamferry.relay.host import RelayHost
from streamferry.relay.network import Network

pytestmark = pytest.mark.usefixtures("quick", "no_secrets")

#: What does not come within this has come to a stand; a busy machine is slow, and how soon things end is judged apart.
HANGS_S = 30.0


@asynccontextmanager
async def nothing_left(*ends):
    """Inside, relays may do what they like; after it, no file, socket or asyncio task of theirs remains."""
    tasks, files = asyncio.all_tasks(), open_files()
    yield
    for end in ends:
        await end.all_closed()
    assert {task for task in asyncio.all_tasks() if task not in tasks and not task.done()} == set()
    with suppress(AssertionError):
        await until("all files to be closed", lambda: not open_files() - files)
    assert not open_files() - files


def open_files():
    """What descriptors of this process lead to, and how often; what a test before left may be closed at any time."""
    links = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            links[os.readlink(f"/proc/self/fd/{name}")] += 1
    return links


async def turns(count):
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_stop_unpublishes(relays, source, destination):
    """The destination hears FCUnpublish and deleteStream behind the last frame; the state is stopped, without fault."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    async with asyncio.timeout(30):
        status = await running.relay.stop()
    assert (status.state, status.fault, status.reason, status.final) == ("stopped", None, None, True)
    await destination.all_closed()
    publish = destination.publishes[0]
    assert publish.ended == "unpublished"
    assert publish.last_bytes.index(b"FCUnpublish") < publish.last_bytes.index(b"deleteStream")
    await until("the source to be left", lambda: not source.viewers)


async def test_stop_ends_in_time_whatever_the_destination_does(relays, caplog, monkeypatch):
    """A wedged peer cannot hold up the end: its good-bye has a deadline, and nothing is aborted.

    Two kinds of it side by side, because the deadline is real time.
    """
    monkeypatch.setattr("streamferry.relay.host.STOP_S", HANGS_S)

    async def stop_wedged(manner):
        async with (
            Source(camera=Camera(frame_bytes=100_000)) as source,
            Destination(manner, receive_buffer_bytes=4096) as destination,
        ):
            running = relays.start(source, destination)
            await until("the wedge", lambda: destination.publishes and running.status.bytes_out > 300_000)
            async with asyncio.timeout(HANGS_S):
                status = await running.relay.stop()
            assert status.state == "stopped"

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_wedged(manners.stop_reading))
        group.create_task(stop_wedged(manners.never_read))
    assert "did not stop within" not in caplog.text


async def test_duration_ends_the_run(relays, source, destination):
    """After its time a relay that streamed has ended, and has unpublished."""
    status = await relays.start(source, destination, duration_s=0.6).relay.wait()
    assert (status.state, status.final) == ("ended", True)
    await destination.all_closed()
    assert destination.publishes[0].ended == "unpublished"


async def test_stop_while_both_ends_are_away(relays, source, destination, monkeypatch):
    """In a pause between attempts the end comes at once; the reason of the last trouble stays to be read."""
    await source.leave()
    running = relays.start(source, destination)
    await until("attempts", lambda: running.status.retries >= 3)
    for name in ("FIRST_S", "LONGEST_S", "EAGER_LONGEST_S"):
        monkeypatch.setattr(f"streamferry.relay.backoff.{name}", 1000.0)
    count = running.status.retries
    await until("a long pause", lambda: running.status.retries > count)
    async with asyncio.timeout(HANGS_S):
        status = await running.relay.stop()
    assert (status.state, status.fault) == ("stopped", "user_source")
    source.come()


class Moments:
    """Moments of a relay's life, from before its first step to well into its stream, between the ends it is given."""

    def __init__(self, source, destination):
        self.source = source
        self.destination = destination

    def __iter__(self):
        """Pairs: what to look for, and how many turns of the event loop to wait behind it."""
        for count in range(10):
            yield (lambda: True), count
        for look in (self._connects, self._views, self._calls, self._publishes, self._streams):
            for count in (0, 1, 3):
                self._connected, self._called = self.source.accepted, self.destination.accepted
                self._published = len(self.destination.publishes)
                yield look, count

    def _connects(self):
        return self.source.accepted > self._connected

    def _views(self):
        return bool(self.source.viewers)

    def _calls(self):
        return self.destination.accepted > self._called

    def _publishes(self):
        return len(self.destination.publishes) > self._published

    def _streams(self):
        return self._publishes() and bool(self.destination.publishes[-1].frames(VIDEO))


async def reach(moment):
    """Let the event loop turn until the moment has come."""
    look, count = moment
    async with asyncio.timeout(HANGS_S):
        while not look():  # noqa: ASYNC110 (each turn is looked at, not only the one with news)
            await asyncio.sleep(0)
    await turns(count)


@pytest.mark.parametrize(
    ("protocol", "end"),
    [("rtmp", "stop"), ("http", "cancel"), ("rtmp", "cancel twice"), ("http", "leave at once")],
)
async def test_an_end_at_any_moment_leaves_nothing(tmp_path, protocol, end):
    """Stopped or cancelled after so many turns of the event loop: no socket, no file, no asyncio task is left."""

    async def relay_for_ever(host, spec):
        async with host:
            host.start(spec)
            await asyncio.get_running_loop().create_future()

    async with Source(protocol) as source, Destination() as destination:
        spec = RelaySpec.live(source.url(), destination.url())
        for moment in Moments(source, destination):
            async with nothing_left(source, destination), asyncio.timeout(HANGS_S):
                host = RelayHost(store=PreparedStore(tmp_path))
                if end in ("stop", "leave at once"):
                    async with host:
                        relay = host.start(spec)
                        await reach(moment)
                        if end == "stop":
                            assert (await relay.stop()).state == "stopped"
                else:
                    living = asyncio.ensure_future(relay_for_ever(host, spec))
                    await reach(moment)
                    living.cancel()
                    if end == "cancel twice":
                        await turns(2)
                        living.cancel()
                    await asyncio.wait([living])
                    assert living.cancelled()
        assert any(publish.frames(VIDEO) for publish in destination.publishes)


@pytest.mark.parametrize(
    "manner",
    [manners.take, manners.reset_in_handshake, manners.reject_publish, manners.close_in_stream, manners.end_the_stream],
)
async def test_an_end_in_the_midst_of_trouble_leaves_nothing(tmp_path, manner):
    """The same while a destination misbehaves, some tens of milliseconds into it."""
    async with Source(speed=4) as source, Destination(manner) as destination:
        spec = RelaySpec.live(source.url(), destination.url())
        for count in (1, 2):
            async with nothing_left(source, destination), asyncio.timeout(HANGS_S):
                accepted = destination.accepted
                async with RelayHost(store=PreparedStore(tmp_path)) as host:
                    relay = host.start(spec)
                    await until(
                        "trouble",
                        lambda accepted=accepted, count=count: (
                            destination.accepted - accepted >= count
                            or (manner is manners.take and destination.accepted > accepted)
                        ),
                    )
                    await turns(count)
                    await relay.stop()


async def test_changes_at_any_moment_leave_nothing(tmp_path):
    """Source and destination changed, changed back, and stopped, after so many turns each: nothing is left."""
    async with Source() as one, Source() as two, Destination() as here, Destination() as there:
        first, second = RelaySpec.live(one.url(), here.url()), RelaySpec.live(two.url(), there.url())
        for moment in Moments(one, here):
            async with (
                nothing_left(one, two, here, there),
                asyncio.timeout(HANGS_S),
                RelayHost(store=PreparedStore(tmp_path)) as host,
            ):
                relay = host.start(first)
                await reach(moment)
                relay.update(second)
                await turns(moment[1])
                relay.update(first)
                relay.request_stop()
                await turns(moment[1])
                relay.update(second)
                assert (await relay.wait()).state == "stopped"


async def test_a_changed_destination_gets_a_session_of_its_own(relays, source):
    """The old one is unpublished, the new one starts at a keyframe; the source does not notice."""
    async with Destination() as here, Destination() as there:
        running = relays.start(source, here)
        await until("a stream", lambda: here.publishes and here.publishes[0].has_both_tracks)
        running.relay.update(RelaySpec.live(source.url(), there.url()))
        await until("the stream there", lambda: there.publishes and there.publishes[0].has_both_tracks)
        assert here.publishes[0].ended == "unpublished"
        assert there.publishes[0].stamps(VIDEO)[0] == 0
        assert source.accepted == 1
        await running.relay.stop()


async def test_a_bug_in_a_run_is_told_and_survived(relays, source, destination, monkeypatch, caplog):
    """An error that is none of ours to expect: service's fault, logged with its traceback, and a new run is built."""
    from streamferry.relay.flow import LiveFlow

    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    for name in ("FIRST_S", "LONGEST_S", "EAGER_LONGEST_S"):
        monkeypatch.setattr(f"streamferry.relay.backoff.{name}", 1000.0)
    with monkeypatch.context() as broken:
        broken.setattr(LiveFlow, "visit", lambda self, now: 1 // 0)
        await until("the fault", lambda: running.status.fault == "service")
    assert (running.status.state, running.status.final) == ("retrying", False)
    assert any(record.exc_info for record in caplog.records)
    async with asyncio.timeout(HANGS_S):  # The pause is minutes: a stop does not wait for it.
        assert (await running.relay.stop()).state == "stopped"
    monkeypatch.setattr("streamferry.relay.backoff.FIRST_S", 0.1)
    again = relays.start(source, destination)
    await until("a stream", lambda: len(destination.publishes) == 2 and destination.publishes[1].has_both_tracks)
    with monkeypatch.context() as broken:
        broken.setattr(LiveFlow, "visit", lambda self, now: 1 // 0)
        await until("the fault", lambda: again.status.fault == "service")
    await until("a new run", lambda: len(destination.publishes) >= 3 and destination.publishes[-1].has_both_tracks)
    await until("streaming", lambda: again.status.state == "streaming")


@pytest.mark.parametrize("end", ["source", "destination"])
async def test_what_the_egress_policy_forbids_fails_at_once(tmp_path, source, destination, end):
    """No retry mends it: the run fails with the setting's name. It went on retrying to the window's end."""
    addresses = iter([False] if end == "source" else [True, False])
    network = Network(allow=lambda _: next(addresses))
    async with RelayHost(store=PreparedStore(tmp_path), network=network) as host:
        async with asyncio.timeout(30):
            status = await host.start(RelaySpec.live(source.url(), destination.url())).wait()
    assert (status.state, status.fault, status.retries) == ("failed", f"user_{end}", 1)
    assert "egress policy" in status.reason
    assert "setting egress" in status.reason
    assert status.trouble.reason == status.reason
