"""Host names for which nobody answers: who asks for them waits in vain, and nobody else does."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from streamferry.media.errors import PeerLacking, PeerUnreachable
from streamferry.net import resolver as module
from streamferry.net.dial import Deadlines, resolve
from streamferry.net.resolver import look_up

QUICK = Deadlines(resolve=0.2)
#: Far more than event loops have threads for lookups.
RELAYS = 40


class Resolver:
    """The C library's, which blocks for names under ``dead.example`` as where a name server does not answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self._look_up = socket.getaddrinfo

    def __call__(self, host: str, port: int, **options: int) -> object:
        if host.endswith("dead.example") and not options.get("flags"):
            self.asked.append(host)
            self.answers.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._look_up(host, port, **options)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    one = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", one)
    monkeypatch.setattr(module, "_answered_at", time.monotonic())
    yield one
    one.answers.set()
    for thread in threading.enumerate():
        if thread.name == "lookup":
            thread.join(5)


async def give_up(host: str) -> None:
    with pytest.raises(PeerUnreachable, match=f"resolving {host} timed out"):
        await resolve(host, 80, deadlines=QUICK)


async def test_dead_names_kept_all_others_waiting(resolver: Resolver) -> None:
    """Relays that try dead names again and again; one with a name that is well connects at once."""
    for _ in range(2):
        await asyncio.gather(*(give_up(f"{number}.dead.example") for number in range(RELAYS)))
    # The dead ones are looked up for 30 s yet.
    assert await resolve("localhost", 80, deadlines=Deadlines(resolve=10.0))
    assert not resolver.answers.is_set()


async def test_a_dead_name_takes_one_thread(resolver: Resolver) -> None:
    """However many ask for it: they wait for the same answer, and get it."""
    await asyncio.gather(*(give_up("dead.example") for _ in range(RELAYS)))
    waiting = [asyncio.ensure_future(look_up("dead.example", 80)) for _ in range(3)]
    await asyncio.sleep(0)
    resolver.answers.set()
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(answer, socket.gaierror)
    assert resolver.asked == ["dead.example"]


async def test_a_lookup_that_takes_long_is_not_waited_for(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server may be back, and the next lookup be quick."""
    monkeypatch.setattr(module, "SHARED_S", 0.0)
    for _ in range(2):
        await give_up("dead.example")
    assert resolver.asked == ["dead.example"] * 2


async def test_addresses_need_no_lookup(resolver: Resolver) -> None:
    """Neither a thread nor a turn of the event loop."""
    before = threading.active_count()
    assert [found[4][0] for found in await look_up("127.0.0.1", 80)] == ["127.0.0.1"]
    assert [found[4][0] for found in await look_up("::1", 80)] == ["::1"]
    assert threading.active_count() == before


async def test_names_that_nobody_answers_for_while_others_are_answered(resolver: Resolver) -> None:
    """It is that name's own fault, and so its user's."""
    resolver.answers.set()
    with pytest.raises(PeerUnreachable, match="Temporary failure in name resolution") as caught:
        await resolve("one.dead.example", 80, deadlines=Deadlines())
    assert not caught.value.is_own


@pytest.mark.parametrize("how", ["says so", "is silent"])
async def test_a_machine_without_name_servers_blames_nobody(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """No name at all was answered for lately: it is the service's fault, in words; not any more when one was."""
    monkeypatch.setattr(module, "_answered_at", float("-inf"))
    if how == "says so":
        resolver.answers.set()
    with pytest.raises(PeerLacking, match="no name server of this machine answers"):
        await resolve("one.dead.example", 80, deadlines=QUICK)
    await resolve("localhost", 80, deadlines=Deadlines(resolve=10.0))
    with pytest.raises(PeerUnreachable) as caught:
        await resolve("two.dead.example", 80, deadlines=QUICK)
    assert not caught.value.is_own
