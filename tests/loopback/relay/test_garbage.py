"""What failed attempts leave behind in a process whose garbage is frozen now and then: nothing that grows."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from kit.programs import ffmpeg
from scripted.listener import Listener
from scripted.waiting import until
from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.prepare.store import PreparedStore
from streamferry.push import open_session
from streamferry.relay import collector
from streamferry.relay.collector import Collector
from streamferry.relay.host import RelayHost
from streamferry.source import open_live

#: Objects that an attempt may leave: less than one of a cycle.
LEFT = 1.0

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module", autouse=True)
def real_collections() -> Iterator[None]:
    """Here hosts collect as in production. Afterwards what there is is frozen again, as tests/conftest.py left it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "gc", gc)
        yield
    gc.collect()
    gc.freeze()


class Hesitating(Listener):
    """Closes each connection when it is told to; until then the attempt is alive, and is frozen as such."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.waiting = 0

    async def script(self, sock):
        self.waiting += 1
        await self.go.wait()


class Cycle:
    """Refers to itself."""

    def __init__(self):
        self.itself = self


async def fail(opening):
    try:
        await opening
    except MediaError:
        return
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("end", "address", "attempts"),
    [
        ("source", "rtmp://127.0.0.1:{}/live/key", 100),
        ("source", "http://127.0.0.1:{}/cam.flv", 100),
        ("source", "http://127.0.0.1:{}/cam.m3u8", 50),
        ("source", "rtsp://127.0.0.1:{}/cam", 20),
        ("destination", "rtmp://127.0.0.1:{}/live/key", 100),
        ("destination", "http://127.0.0.1:{}/live.m3u8", 50),
    ],
)
async def test_failed_attempts_that_meet_the_freeze_are_freed(end, address, attempts, monkeypatch):
    """Frozen in the midst of each, as by a tick while a black hole is waited for: freed by their counts, without a full
    collection, which would look at every relay.
    """
    monkeypatch.setenv("STREAMFERRY_FFMPEG", ffmpeg())
    async with Hesitating() as peer:
        url = MediaUrl.parse(address.format(peer.port))
        frozen, first = [], attempts // 4
        gc.disable()
        try:
            for attempt in range(attempts):
                peer.go.clear()
                before = peer.waiting
                options = {"deadlines": Deadlines(), "tls": None, "allow": None}
                opening = open_live(url, **options) if end == "source" else open_session(url, **options)
                trying = asyncio.ensure_future(fail(opening))
                del opening
                await until("the attempt", lambda before=before: peer.waiting > before)
                gc.collect(1)
                gc.freeze()
                peer.go.set()
                await trying
                del trying
                await peer.all_closed()
                gc.collect(1)
                gc.freeze()
                if attempt in (first, attempts - 1):
                    frozen.append(gc.get_freeze_count())  # which looks at every object there is
        finally:
            gc.unfreeze()
            gc.enable()
    assert (frozen[1] - frozen[0]) / (attempts - first) < LEFT


def test_attempts_count_as_parts_of_relays(monkeypatch):
    """What is overlooked does not grow for ever either: enough of them are followed by a full collection."""
    collections = []
    monkeypatch.setattr(gc, "collect", lambda generation=2: collections.append(generation) or 0)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(Collector, "_schedule", lambda self: None)
    collector = Collector()
    for _ in range(999):
        collector.note_attempt()
    collector._run()
    assert collections == [1]
    for _ in range(2):
        collector.note_attempt()
    collector._run()
    assert collections == [1, 2]


@pytest.mark.parametrize("is_frozen", [False, True])
async def test_a_host_collects_garbage_itself_and_hands_that_back(tmp_path, is_frozen):
    """Automatic collection is off while it runs. What was there at its start is left out of later collections, and what
    was frozen before, as the imports of our programs are, is looked at neither then nor at the process's end."""
    gc.unfreeze()
    old = Cycle()
    seen = weakref.ref(old)
    del old
    if is_frozen:
        gc.freeze()
    assert gc.isenabled()
    async with RelayHost(store=PreparedStore(tmp_path)):
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert (seen() is not None) == is_frozen
    assert gc.isenabled()
    assert (gc.get_freeze_count() > 0) == is_frozen


async def test_an_error_that_is_kept_keeps_no_frames(relays, source, destination):
    """The last failure of an end is told for as long as the run lasts; its frames, and their buffers, are not kept."""
    await destination.leave()
    running = relays.start(source, destination)
    await until("a failure", lambda: running.status.retries >= 2)
    error = running.relay._run._context.vitals.destination.error
    assert str(error)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
    destination.come()
