"""One pull for several readers, without a network: what each gets, what is kept, who holds up whom."""

import asyncio

import pytest

from scripted.camera import AAC_HEADER, AVC_HEADER, METADATA_BODY, Camera, frames, number_of
from streamferry.media.errors import SourceEnded, SourceStalled, SourceUnreachable
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.reasons import Code
from streamferry.source import shared
from streamferry.source.live import LiveInlet
from streamferry.source.shared import MAX_KEPT_BYTES, Hub, HubInlet, Share, SharedPulls

SCRATCH = memoryview(bytearray(64))


class Scripted:
    """An inlet that gives what a test has put there, in bodies that are views of one buffer."""

    silence_s = 5.0
    is_mute = False
    lost_packets = 0

    def __init__(self) -> None:
        self.next: list[Tag] = []
        self.error: SourceEnded | None = None
        self.is_closed = False
        self.pulls = 0

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        self.pulls += 1
        tags, self.next = self.next, []
        out.extend((kind, stamp, memoryview(bytearray(body))) for kind, stamp, body in tags)
        if self.error is not None:
            raise self.error
        return len(tags)

    def close(self) -> None:
        self.is_closed = True


def read(inlet: LiveInlet | HubInlet) -> list[Tag]:
    tags: list[Tag] = []
    inlet.pull(SCRATCH, tags)
    return tags


def test_all_get_the_same_and_the_source_is_asked_once() -> None:
    """A visit of each costs one pull, as long as they read alike; the bodies outlive the buffer."""
    source, camera = Scripted(), Camera()
    hub = Hub(source)
    readers = [hub.take_over(), hub.join(), hub.join()]
    for _ in range(30):
        source.next = shot = camera.shoot()
        for reader in readers:
            assert [(kind, stamp, bytes(body)) for kind, stamp, body in read(reader)] == shot
    assert source.pulls == 30


def test_a_late_reader_begins_as_at_a_server() -> None:
    """Metadata, headers, and the group of pictures that is being sent, from its keyframe on; then as all others."""
    source, camera = Scripted(), Camera(gop=10)
    hub = Hub(source)
    first = hub.take_over()
    source.next = [*camera.headers(), *camera.film(1.0)]
    read(first)
    late = read(hub.join())
    assert [tag[2] for tag in late[:3]] == [METADATA_BODY, AVC_HEADER, AAC_HEADER]
    assert [number_of(tag) for tag in frames(late, VIDEO)] == [20, 21, 22, 23, 24]
    assert {tag[1] for tag in late[:3]} == {late[3][1]}
    assert sorted(tag[1] for tag in frames(late, AUDIO)) == [tag[1] for tag in frames(late, AUDIO)]


def test_who_had_the_source_alone_gives_the_headers() -> None:
    """The one that comes then begins with them at the next keyframe; a new header replaces the old one."""
    source, camera = Scripted(), Camera(gop=4)
    hub = Hub(source, camera.headers())
    first, second = hub.take_over(), hub.join()
    source.next = camera.film(0.2)
    assert len(read(first)) == 15
    assert [bytes(tag[2]) for tag in read(second)[:3]] == [METADATA_BODY, AVC_HEADER, AAC_HEADER]
    source.next = camera.change_header(b"\x17\x00\x00\x00\x00another") + camera.film(0.2)
    read(first)
    assert b"\x17\x00\x00\x00\x00another" in [tag[2] for tag in read(hub.join())]
    assert AVC_HEADER not in [tag[2] for tag in hub.headers]


def test_who_does_not_read_holds_nobody_up() -> None:
    """It loses its place at a limit in time, and is told so; the others miss nothing, and little is kept."""
    source, camera, now = Scripted(), Camera(), 0.0
    hub = Hub(source, clock=lambda: now)
    reader, asleep = hub.take_over(), hub.join()
    seen = 0
    for _ in range(20):
        now += 1.0
        source.next = camera.film(1.0)
        seen += len(frames(read(reader), VIDEO))
    assert seen == 500
    assert len(hub._tags) < 12 * 75
    with pytest.raises(SourceStalled, match="fell 10 s behind"):
        read(asleep)
    assert [number_of(tag) for tag in frames(read(hub.join()), VIDEO)]


def test_a_flood_of_tiny_sounds_is_bounded_by_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at one stamp: neither their bytes nor their length say how many there are."""
    monkeypatch.setattr(shared, "MAX_KEPT_BYTES", 1 << 20)
    source, camera = Scripted(), Camera()
    hub = Hub(source)
    reader = hub.take_over()
    source.next = camera.shoot()
    read(reader)
    for _ in range(20):
        source.next = [(AUDIO, camera.stamp_ms, b"\xaf\x01\0")] * 1000
        read(reader)
        assert len(hub._tags) < 10_000


def test_large_pictures_are_bounded_by_their_bytes() -> None:
    """A group of pictures that is larger is not kept: who comes then begins at the next keyframe."""
    source, camera = Scripted(), Camera(gop=1000, frame_bytes=1 << 20)
    hub = Hub(source)
    reader = hub.take_over()
    for _ in range(10):
        source.next = camera.film(0.2)
        read(reader)
        assert hub._bytes <= MAX_KEPT_BYTES
    assert read(hub.join()) == []


def test_a_clock_that_starts_over_is_no_delay() -> None:
    """Nobody loses a place by a step back in time."""
    source = Scripted()
    hub = Hub(source)
    readers = [hub.take_over(), hub.join()]
    for begin in (5_000_000, 0, 4_000_000_000, 100):
        source.next = Camera(begin).film(1.0)
        assert {len(frames(read(reader), VIDEO)) for reader in readers} == {25}


def test_the_end_is_told_to_all_after_what_came_before() -> None:
    """With the same reason; who has not read all of it reads it first."""
    source, camera = Scripted(), Camera()
    hub = Hub(source)
    readers = [hub.take_over(), hub.join()]
    source.next, source.error = camera.film(0.2), SourceEnded(Code.SOURCE_CLOSED)
    for reader in readers:
        tags: list[Tag] = []
        with pytest.raises(SourceEnded):
            reader.pull(SCRATCH, tags)
        assert len(frames(tags, VIDEO)) == 5
    assert source.pulls == 1


class Sole:
    """A feed that pulls by itself until it is told otherwise."""

    source_headers = Camera().headers()

    def __init__(self, share: Share) -> None:
        self.inlet: LiveInlet | HubInlet = share.inlet
        share.pulled_by(self)

    def read_from(self, inlet: LiveInlet | HubInlet) -> None:
        self.inlet = inlet


async def test_alone_it_is_the_inlet_itself_until_another_one_comes() -> None:
    """Then both read from it; the last one closes it, and the next one opens it anew."""
    pulls, opened = SharedPulls(), []

    async def opener() -> Scripted:
        opened.append(Scripted())
        return opened[-1]

    one = await pulls.open("a", opener, alone=True)
    sole = Sole(one)
    assert sole.inlet is opened[0]
    two = await pulls.open("a", opener, alone=True)
    other = await pulls.open("b", opener, alone=True)
    assert (len(opened), other.inlet, two.origin) == (2, opened[1], opened[0])
    opened[0].next = Camera().film(0.4)
    assert len(frames(read(sole.inlet), VIDEO)) == len(frames(read(two.inlet), VIDEO)) == 10
    one.close()
    one.close()
    assert not opened[0].is_closed
    two.close()
    assert opened[0].is_closed
    assert (await pulls.open("a", opener, alone=True)).inlet is opened[2]


async def test_those_that_wait_share_what_comes_of_it() -> None:
    """All that ask at once get one pull, or one refusal; after that, or if the first gave up, it is tried again."""
    pulls, gate, count = SharedPulls(), asyncio.Event(), 0

    async def refused() -> Scripted:
        nonlocal count
        count += 1
        await gate.wait()
        raise SourceUnreachable(Code.SOURCE_CLOSED)

    async def opener() -> Scripted:
        await gate.wait()
        return Scripted()

    asking = [asyncio.ensure_future(pulls.open("a", refused, alone=True)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in results] == [SourceUnreachable] * 5
    assert count == 1
    gate.clear()
    first, second = (asyncio.ensure_future(pulls.open("a", opener, alone=True)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    share = await second
    assert share.inlet is share.origin
    # All are stopped at once: nobody tries it again.
    gate.clear()
    asking = [asyncio.ensure_future(pulls.open("b", opener, alone=True)) for _ in range(3)]
    await asyncio.sleep(0)
    for one in asking:
        one.cancel()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in results] == [asyncio.CancelledError] * 3


async def test_what_has_ended_is_not_joined() -> None:
    """Although some have not noticed yet."""
    pulls = SharedPulls()

    async def opener() -> Scripted:
        return Scripted()

    shares = [await pulls.open("a", opener, alone=False) for _ in range(2)]
    origin = shares[0].origin
    assert isinstance(origin, Scripted)
    origin.error = SourceEnded(Code.SOURCE_CLOSED)
    with pytest.raises(SourceEnded):
        read(shares[0].inlet)
    again = await pulls.open("a", opener, alone=False)
    assert again.origin is not origin
    for share in shares:
        share.close()
    assert origin.is_closed
    assert (await pulls.open("a", opener, alone=False)).origin is again.origin


@pytest.mark.parametrize("jump_ms", [0, 3_600_000, -3_600_000], ids=["a burst", "a jump ahead", "a jump back"])
def test_who_reads_all_there_is_keeps_its_place(jump_ms: int) -> None:
    """Servers send a long group of pictures at once to whoever comes, encoders start their clocks over, and one relay
    is visited more often than the other."""
    source, camera = Scripted(), Camera(5_000_000, gop=250)
    hub = Hub(source)
    often, seldom = hub.take_over(), hub.join()
    source.next = [*camera.headers(), *camera.film(20.0)]
    seen: dict[HubInlet, list[int]] = {often: [], seldom: []}
    for step in range(6):
        for reader in (often, seldom) if step % 2 else (often,):
            seen[reader] += [number_of(tag) for tag in frames(read(reader), VIDEO)]
        camera.stamp_ms += jump_ms
        source.next = camera.film(1.0)
    assert seen[often] == list(range(500 + 5 * 25))
    assert seen[seldom] == seen[often]


def test_a_process_that_was_held_up_loses_no_place() -> None:
    """Nobody has read in that time, so nobody is slow."""
    source, camera, now = Scripted(), Camera(), 0.0
    hub = Hub(source, clock=lambda: now)
    readers = [hub.take_over(), hub.join()]
    for pause_s in (0.1, 60.0, 0.1):
        now += pause_s
        source.next = camera.film(1.0)
        assert {len(frames(read(reader), VIDEO)) for reader in readers} == {25}


def test_all_are_told_what_the_source_tells() -> None:
    """Whoever of them receives. What it lost before one came is not counted for that one."""
    source, camera = Scripted(), Camera()
    source.lost_packets = 7
    hub = Hub(source)
    first, other = hub.take_over(), hub.join()
    for lost in (2, 3):
        source.next = camera.film(0.2)
        source.lost_packets += lost
        source.is_mute = True
        source.silence_s = 20.0
        read(first)
        read(other)
    assert (first.lost_packets, other.lost_packets) == (12, 5)
    assert (other.is_mute, other.silence_s) == (True, 20.0)


async def test_a_pull_that_one_gave_up_is_given_to_nobody() -> None:
    """Else two relays that give up in turns would keep a dead connection open for ever. One that has lost its place
    comes back to it."""
    pulls = SharedPulls()

    async def opener() -> Scripted:
        return Scripted()

    one, two = [await pulls.open("a", opener, alone=False) for _ in range(2)]
    dead = one.origin
    one.give_up()
    one.close()
    again = await pulls.open("a", opener, alone=False)
    assert again.origin is not dead
    two.give_up()
    two.close()
    assert isinstance(dead, Scripted)
    assert dead.is_closed
    back = await pulls.open("a", opener, alone=False)
    assert back.origin is again.origin
    assert isinstance(back.inlet, HubInlet)
    back.inlet.lose()
    back.give_up()
    back.close()
    assert (await pulls.open("a", opener, alone=False)).origin is again.origin
