"""Relays between scripted ends: once, on the event loop the service uses; ``net`` and ``source`` are tested on both."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from scripted.destination import KEY, Destination
from scripted.source import TOKEN, Source
from streamferry.prepare.store import PreparedStore
from streamferry.relay import RelaySpec, RelayStatus, backoff, destination_backoff, flow
from streamferry.relay.host import Relay, RelayHost


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One loop for this folder."""
    return {"uvloop": uvloop.new_event_loop}


class Running:
    """A relay that runs, and every status it has told."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.told: list[RelayStatus] = []
        relay.watch(self.told.append)

    @property
    def status(self) -> RelayStatus:
        """As of the last inspection."""
        return self.relay.status

    def has_told(self, state: str, fault: str | None, words: str, since: int = 0) -> bool:
        """Whether a status of that state and fault was told whose reason holds the words."""
        return any(
            status.state == state and status.fault == fault and words in (status.reason or "")
            for status in self.told[since:]
        )


class Relays:
    """A host with its relays."""

    def __init__(self, host: RelayHost) -> None:
        self.host = host
        self.all: list[Running] = []

    def start(self, source: Source, destination: Destination, **limits: float) -> Running:
        """Relay from one scripted end to the other."""
        return self.start_spec(RelaySpec.live(source.url(), destination.url(), **limits))

    def start_spec(self, spec: RelaySpec) -> Running:
        """Start any relay."""
        running = Running(self.host.start(spec))
        self.all.append(running)
        return running


@pytest.fixture
async def relays(tmp_path, no_secrets) -> AsyncIterator[Relays]:
    """A host; its relays are stopped at the end of the test. No status of theirs may have told a secret."""
    async with RelayHost(store=PreparedStore(tmp_path)) as host:
        relays = Relays(host)
        yield relays
    for running in relays.all:
        for status in running.told:
            assert KEY not in repr(status)
            assert TOKEN not in repr(status)


@pytest.fixture
def quick(monkeypatch) -> None:
    """Short pauses before attempts and frequent inspections, for tests of what happens and not of when."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.1)
    monkeypatch.setattr(destination_backoff, "EAGER_S", (0.1, 0.2))
    monkeypatch.setattr(flow, "INSPECT_S", 0.1)


@pytest.fixture
def no_secrets(caplog) -> Iterator[None]:
    """After the test: neither the stream key nor the source's token is in any log record of any logger."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("setup") + caplog.get_records("call") + caplog.get_records("teardown"):
        shown = record.getMessage() + str(record.exc_text) + repr(record.args)
        assert KEY not in shown
        assert TOKEN not in shown


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    """An HTTP-FLV camera in real time."""
    async with Source() as source:
        yield source


@pytest.fixture
async def destination() -> AsyncIterator[Destination]:
    """A destination that takes everything, until its manner is changed."""
    async with Destination() as destination:
        yield destination
