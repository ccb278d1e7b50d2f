"""Relays of one live source share its pull: real sockets, and what arrives as witness."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from scripted.camera import number_of
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.prepare.store import PreparedStore
from streamferry.relay import RelaySpec
from streamferry.relay.host import RelayHost

pytestmark = pytest.mark.usefixtures("quick", "no_secrets")


@pytest.fixture
async def host(tmp_path) -> AsyncIterator[RelayHost]:
    async with RelayHost(store=PreparedStore(tmp_path), shares_pulls=True) as host:
        yield host


@pytest.fixture
async def destinations() -> AsyncIterator[list[Destination]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Destination()) for _ in range(3)]


def pictures(destination: Destination) -> list[int]:
    """The numbers of the pictures that its last publish has brought."""
    return [number_of(tag) for tag in destination.publishes[-1].frames(VIDEO)] if destination.publishes else []


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_three_relays_have_one_viewer_at_the_source(host, destinations, protocol) -> None:
    """The first goes on without a gap as others come and go; each gets every picture once, from a keyframe on."""
    async with Source(protocol) as source:
        first, *others = [RelaySpec.live(source.url(), one.url()) for one in destinations]
        relays = [host.start(first)]
        await until("pictures", lambda: len(pictures(destinations[0])) > 20)
        relays += [host.start(spec) for spec in others]
        for one in destinations[1:]:
            await until("pictures of a later one", lambda one=one: len(pictures(one)) > 20)
        assert len(source.viewers) == 1
        await relays[0].stop()
        brought = len(pictures(destinations[1]))
        await until("more pictures", lambda: len(pictures(destinations[1])) > brought + 20)
        assert len(source.viewers) == 1
        for one in destinations:
            seen = pictures(one)
            assert seen == list(range(seen[0], seen[0] + len(seen)))
            # The camera's keyframes lie as the first of the first relay does.
            assert (seen[0] - pictures(destinations[0])[0]) % source.camera.gop == 0
            assert len(one.publishes) == 1
        for relay in relays[1:]:
            await relay.stop()
        await until("the end of the pull", lambda: not source.viewers)


async def test_a_source_that_is_lost_is_opened_once_again(host, destinations) -> None:
    """For all of its relays, which keep their publishes."""
    async with Source() as source:
        relays = [host.start(RelaySpec.live(source.url(), one.url())) for one in destinations]
        for one in destinations:
            await until("pictures", lambda one=one: len(pictures(one)) > 5)
        brought = [len(pictures(one)) for one in destinations]
        source.viewers[0].close()
        for one, before in zip(destinations, brought, strict=True):
            await until("pictures again", lambda one=one, before=before: len(pictures(one)) > before + 20)
        assert len(source.viewers) == 1
        assert source.beside_others == 0
        assert [len(one.publishes) for one in destinations] == [1, 1, 1]
        for relay in relays:
            await relay.stop()


async def test_other_options_are_another_pull(tmp_path, destinations) -> None:
    """And so is everything where pulls are not shared."""
    async with Source() as source, RelayHost(store=PreparedStore(tmp_path)) as host:
        for one in destinations:
            host.start(RelaySpec.live(source.url(), one.url()))
        await until("a viewer for each", lambda: len(source.viewers) == 3)


async def test_a_relay_that_gives_up_a_pull_does_not_get_it_again(host, destinations) -> None:
    """Although another one still waits for it: the connection may be dead, and the source well."""
    async with Source() as source:
        relay = host.start(RelaySpec.live(source.url(), destinations[0].url()))
        await until("pictures", lambda: len(pictures(destinations[0])) > 5)
        (key,) = host._pulls._pulls
        waiting = await host._pulls.open(key, lambda: pytest.fail("it was not shared"), alone=True)
        (dead,) = source.viewers
        waiting.origin.silence_s = 0.5

        async def send_nothing(tags) -> None: ...

        dead.send = send_nothing
        brought = len(pictures(destinations[0]))
        await until("pictures again", lambda: len(pictures(destinations[0])) > brought + 20)
        assert dead in source.viewers
        waiting.close()
        await until("the end of the dead one", lambda: dead not in source.viewers)
        await relay.stop()
