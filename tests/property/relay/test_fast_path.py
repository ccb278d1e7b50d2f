"""The fast path does what the general path does: the same bytes, and the same state after each visit.

Any tags, cut anywhere, from a source of FLV, one of RTMP and one whose inlet gives tags, to a destination that takes
as little as it likes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from scripted.camera import OTHER_AVC_HEADER, Camera, frames, picture
from scripted.careless_reader import CarelessReader
from scripted.publishing import URL
from streamferry.media.errors import SourceEnded
from streamferry.media.stamps import WRAP_MS, signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.net.rtmp import RtmpLink
from streamferry.push import Outlet, RtmpSession
from streamferry.reasons import Code
from streamferry.relay import fast_path
from streamferry.relay.drift import Drift
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.source.flv import FlvReader
from streamferry.source.flv_sound import is_encoded
from streamferry.source.live import MAX_PULL_BYTES, SCRATCH_BYTES, ConnectionInlet
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.wire.flv import serialize_flv_header, serialize_metadata, serialize_tag
from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE
from streamferry.wire.rtmp.framed import Framed
from streamferry.wire.rtmp.session import ClientSession, ConnectRequested, PlayRequested, Purpose, ServerSession

MAX_VISITS = 120
#: Where the bytes of a visit are in the scratch buffer, and the rest of the ones before.
USED = slice(MAX_PULL_BYTES - 160_000, MAX_PULL_BYTES + 200_000)
AV1_KEY = b"\x91av01"
TWO_TRACKS = b"\xa6\x01hvc1\x00\x00\x00\x05first\x01\x00\x00\x06second"

TAGS = "tags"

#: What may come between the pictures and sounds of a camera: a tag, and how far its clock moves before it.
ODD_BODIES = st.one_of(
    st.tuples(st.just(SCRIPT), st.just(serialize_metadata({"width": 640.0}))),
    st.tuples(st.just(SCRIPT), st.binary(max_size=20)),
    st.tuples(st.sampled_from([AUDIO, VIDEO]), st.binary(max_size=6)),
    st.tuples(
        st.just(VIDEO),
        st.sampled_from(
            [
                b"\x17\x00\x00\x00\x00avc one",
                OTHER_AVC_HEADER,
                AV1_KEY + b"frame",
                TWO_TRACKS,
                b"\x57\x00",
                b"\x90av01seq",
            ]
        ),
    ),
    st.tuples(
        st.just(AUDIO), st.sampled_from([b"\xaf\x00\x12\x10", b"\xaf\x00\x11\x90", b"\x91mp4aframe", b"\x2fmp3"])
    ),
    st.tuples(
        st.just(VIDEO), st.sampled_from([picture(1, 70_000), picture(2, 65_536, is_key=True), picture(3, 65_537)])
    ),
)
MOVES_MS = st.sampled_from([0, 0, 0, 1, -1, 40, 999, 1_000, 1_001, 9_999, 20_000, -30, -400, -5_000, 1 << 24, 1 << 31])


@dataclass(frozen=True)
class Odd:
    """After so many frames of the camera: its clock moves, perhaps that of one track alone, and such a tag comes."""

    frames: int
    move_ms: int
    tag: tuple[int, bytes] | None
    alone: int | None = None


ODDS = st.lists(
    st.builds(Odd, st.integers(0, 30), MOVES_MS, st.none() | ODD_BODIES, st.sampled_from([None, None, AUDIO, VIDEO])),
    max_size=6,
)


def broadcast(begin_ms: int, odds: Sequence[Odd], is_blind: bool) -> list[Tag]:
    """Tags of a camera with oddities in them."""
    camera = Camera(begin_ms, gop=10, frame_bytes=300)
    camera.is_blind = is_blind
    tags = camera.headers()
    moved_ms = {AUDIO: 0, VIDEO: 0}

    def stamped(shot: list[Tag]) -> list[Tag]:
        return [(kind, to_wire_ms(ms + moved_ms[kind]), body) for kind, ms, body in shot]

    for odd in odds:
        for _ in range(odd.frames):
            tags += stamped(camera.shoot())
        if odd.alone is not None:
            moved_ms[odd.alone] += odd.move_ms
        else:
            camera.stamp_ms = (camera.stamp_ms + odd.move_ms) % WRAP_MS
        if odd.tag is not None:
            tags.append((odd.tag[0], to_wire_ms(camera.stamp_ms), odd.tag[1]))
    return tags + stamped(camera.film(1))


def as_flv(tags: Sequence[Tag]) -> bytes:
    """The tags as the rest of an FLV stream."""
    return b"".join(serialize_tag(*tag) for tag in tags)


@dataclass(frozen=True)
class Chunking:
    """How a server cuts its messages into chunks: of what size, and which header types it uses where they fit."""

    size: int = 4096
    types: tuple[int, ...] = (0,)
    #: Sound and picture share a chunk stream, as with librtmp.
    is_shared: bool = False
    #: Sound goes between the chunks of a picture.
    interleaves: bool = False


CHUNKINGS = st.builds(
    Chunking,
    st.sampled_from([4096, 4096, 128, 60_000, 65_536, 100]),
    st.sampled_from([(0,), (0,), (1,), (0, 1), (3, 2, 1, 0)]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)


def as_rtmp(tags: Sequence[Tag], chunking: Chunking) -> bytes:
    """The tags as messages of a server, in chunks of a size that it has announced."""
    pieces: list[bytes | memoryview] = []
    append_message(pieces, 2, 1, 0, 0, chunking.size.to_bytes(4, "big"), 128)
    types = cycle(chunking.types)
    # What the last message on a chunk stream was: type, size, stamp, delta.
    last: dict[int, tuple[int, int, int, int]] = {}
    held: list[bytes] = []
    for tag_type, stamp_ms, body in tags:
        chunk_stream_id = 6 if chunking.is_shared else {VIDEO: 6, AUDIO: 4, SCRIPT: 5}[tag_type]
        size, header_type, delta_ms = len(body), 0, stamp_ms
        if chunk_stream_id in last:
            before_type, before_size, before_ms, before_delta_ms = last[chunk_stream_id]
            header_type = next(types)
            if not 0 <= stamp_ms - before_ms < 1 << 31:
                header_type = 0
            elif header_type:
                delta_ms = stamp_ms - before_ms
                if (before_type, before_size) != (tag_type, size):
                    header_type = 1
                elif header_type == 3 and delta_ms != before_delta_ms:
                    header_type = 2
        last[chunk_stream_id] = tag_type, size, stamp_ms, delta_ms
        extended = delta_ms.to_bytes(4, "big") if delta_ms >= 0xFFFFFF else b""
        head = min(delta_ms, 0xFFFFFF).to_bytes(3, "big") + size.to_bytes(3, "big")
        head += bytes((tag_type,)) + (1).to_bytes(4, "little")
        head = bytes((header_type << 6 | chunk_stream_id,)) + head[: (11, 7, 3, 0)[header_type]] + extended
        chunks = [head + body[: chunking.size]]
        for at in range(chunking.size, size, chunking.size):
            chunks.append(bytes((0xC0 | chunk_stream_id,)) + extended + body[at : at + chunking.size])
        if tag_type == VIDEO:
            pieces += held
            held = []
            if chunking.interleaves and not chunking.is_shared:
                held = chunks[1:]
                chunks = chunks[:1]
        pieces += chunks
        if held and tag_type != VIDEO:
            pieces.append(held.pop(0))
    return b"".join([*pieces, *held])


class Wire:
    """A source's connection that gives, at each visit, as many bytes as a test says."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = b""
        self.next_bytes = 0

    def receive_into(self, view: memoryview) -> int | None:
        size = min(self.next_bytes, len(view))
        piece, self.data = self.data[:size], self.data[size:]
        view[: len(piece)] = piece
        return len(piece) or None

    recv_into = receive_into

    def send(self, pieces: Sequence[bytes]) -> int:
        self.sent += b"".join(pieces)
        return len(b"".join(pieces))

    def close(self) -> None:
        """Nothing is open."""


class TagInlet:
    """A live inlet that gives tags: at each visit one for each 250 bytes that a test says, and an end."""

    silence_s = 5.0
    is_mute = False
    lost_packets = 0
    unread = _unread = b""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.data = list(tags)
        self.next_bytes = 0

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """The last come with the error, and bodies lie in the scratch buffer."""
        count = self.next_bytes // 250
        given, self.data = self.data[:count], self.data[count:]
        at = MAX_PULL_BYTES - 80_000
        for kind, stamp_ms, body in given:
            scratch[at : at + len(body)] = body
            out.append((kind, stamp_ms, scratch[at : at + len(body)]))
            at += len(body)
        if not self.data:
            raise SourceEnded(Code.SOURCE_CLOSED)
        return sum(len(body) for _, _, body in given)

    def close(self) -> None:
        """Nothing is open."""


class Kernel:
    """A destination's connection that takes, at each visit, as many bytes as a test says; ``holds`` as TLS does."""

    def __init__(self, holds: bool) -> None:
        self.taken = b""
        self.room_bytes = 1 << 30
        self.is_holding = self.is_broken = False
        self._holds = holds
        self._held = b""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        if self.is_broken:
            raise ConnectionResetError
        if self._held and len(self._held) > self.room_bytes:
            return 0
        self._take(self._held)
        self._held, self.is_holding = b"", False
        data = b"".join(pieces)
        taken = self._take(data)
        if self._holds and taken < len(data):
            self._held, self.is_holding = data[taken : taken + 500], True
            taken += len(self._held)
        return taken

    def _take(self, data: bytes) -> int:
        data = data[: self.room_bytes]
        self.taken += data
        self.room_bytes -= len(data)
        return len(data)

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """The peer says nothing."""

    def recv_into(self, view: memoryview) -> int | None:
        raise ConnectionResetError

    def limit_unsent(self, limit_bytes: int) -> None:
        """It takes what the test says."""

    def unacked_bytes(self) -> int:
        return 0


def publish_session(kernel: Kernel) -> RtmpSession:
    """A session that a server has accepted."""
    client, server = ClientSession(URL, Purpose.PUBLISH, random=b"near"), ServerSession(random=b"far")
    while said := client.data_to_send():
        for _ in server.receive(said):
            server.accept()
        client.receive(server.data_to_send())
    return RtmpSession(RtmpLink(kernel, client))  # type: ignore[arg-type]


def play_session() -> ClientSession:
    """A player's session that a server has accepted; what comes next is media."""
    client, server = ClientSession(URL, Purpose.PLAY, random=b"near"), ServerSession(random=b"far")
    while said := client.data_to_send():
        for happened in server.receive(said):
            if isinstance(happened, ConnectRequested | PlayRequested):
                server.accept()
        client.receive(server.data_to_send())
    return client


class CountingTimeline(Timeline):
    """Counts what takes the general path."""

    __slots__ = ("laid",)

    def lay(self, tags: Any, out: Any) -> None:
        tags = list(tags)
        self.laid = getattr(self, "laid", 0) + len(tags)
        super().lay(tags, out)


@dataclass(frozen=True)
class Further:
    """Another destination: bytes that it takes at each visit, and how long its session has lasted."""

    rooms: Sequence[int] = (1 << 30,)
    session_ms: int = 0
    holds: bool = False
    message_stream_id: int = 1
    #: Whether it has no session.
    is_away: bool = False


@dataclass(frozen=True)
class Story:
    """What happens to a relay."""

    tags: Sequence[Tag]
    #: The source's chunks; None: it sends FLV; TAGS: its inlet gives tags.
    chunking: Chunking | str | None = None
    #: Bytes that come, and bytes that the destination takes, at each visit, over and over.
    cuts: Sequence[int] = (5_000,)
    rooms: Sequence[int] = (1 << 20,)
    holds: bool = False
    #: Where on the output clock the run begins, and how long its publish session has lasted by then.
    begin_ms: int = 0
    session_ms: int = 0
    silence: bool = False
    #: At which visits somebody looks at what is sent.
    watched: frozenset[int] = frozenset()
    further: Sequence[Further] = ()
    #: At which visit its destination's connection breaks; the session is not removed before the others have all.
    breaks_at: int | None = None


def state_of(thing: Any) -> Any:
    """A copy of all that an object holds, and of what is in it."""
    if isinstance(thing, dict):
        return {key: state_of(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple | deque):
        return [state_of(value) for value in thing]
    if isinstance(thing, memoryview):
        return bytes(thing)
    names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())} - {"laid", "before"}
    return {name: state_of(getattr(thing, name, None)) for name in names} or thing


async def relay(story: Story, *, is_fast: bool) -> tuple[list[Any], int, bytes]:
    """(state after each visit, tags that took the general path, all that the destination took)."""
    timeline, outlet, kernel = CountingTimeline(story.begin_ms), Outlet(), Kernel(story.holds)
    flow, losses = LiveFlow(timeline, outlet, lambda now: False), []
    session = publish_session(kernel)
    if story.session_ms:
        session._session._clock.zero_ms = story.begin_ms - story.session_ms
    wire: Any
    if story.chunking == TAGS:
        inlet: Any = TagInlet(story.tags)
        wire = reader = inlet
    elif isinstance(story.chunking, Chunking):
        wire = Wire(as_rtmp(story.tags, story.chunking))
        reader = RtmpReader(RtmpLink(wire, play_session()))  # type: ignore[arg-type]
    else:
        wire = Wire(as_flv(story.tags))
        reader = FlvReader(serialize_flv_header(True, True))
    if story.chunking != TAGS:
        inlet = ConnectionInlet(wire, wire.receive_into, reader, clock=lambda: 0.0)
    drift, scratch = Drift(), memoryview(bytearray(SCRATCH_BYTES))
    feed = LiveFeed(
        inlet, timeline, scratch, 0.0, drift=drift, silence=story.silence, outlet=outlet if is_fast else None
    )
    branches = [flow.branch() for _ in story.further]
    flow.lead_to([flow.lead, *branches])
    kernels = [Kernel(further.holds) for further in story.further]
    lost_further = []
    for further, branch, far in zip(story.further, branches, kernels, strict=True):
        other = publish_session(far)
        other._session.message_stream_id = further.message_stream_id
        if further.session_ms:
            other._session._clock.zero_ms = story.begin_ms - further.session_ms
        if not further.is_away:
            lost_further.append(branch.attach_session(other, 0.0))
    rooms_further = [cycle(further.rooms) for further in story.further]
    losses += [flow.attach_session(session, 0.0), flow.attach_feed(feed, 0.0)]
    cuts, rooms, states = cycle(story.cuts), cycle(story.rooms), []
    seen: list[Any] = []
    for visit in range(1, MAX_VISITS):
        wire.next_bytes, kernel.room_bytes = next(cuts), next(rooms)
        for far, room in zip(kernels, rooms_further, strict=True):
            far.room_bytes = next(room)
        outlet.tap = seen.extend if visit in story.watched else None
        kernel.is_broken = kernel.is_broken or visit == story.breaks_at
        flow.visit(visit * 0.08)
        seen[:] = [(tag[0], tag[1], bytes(tag[2]), tag[3]) for tag in seen]
        scratch[USED] = bytes(len(scratch[USED]))  # The buffer is another stream's in between.
        unread = reader.session.unread if isinstance(reader, RtmpReader) else reader.unread
        states.append(
            {
                "bytes": (len(kernel.taken), hash(kernel.taken)),
                "timeline": state_of(timeline),
                "queue": state_of(outlet.queue),
                "outlet": (outlet.media_time_ms, outlet.dropped_tags, outlet.bytes_out, outlet.is_backed_up),
                "session": (session._pending, session.is_blocked, session.sent_bytes),
                "feed": (feed.bytes_in, feed.media_at, feed.picture_at, feed.has_laid, feed.sound_drift_ms),
                "drift": state_of(drift),
                "unread": unread,
                "seen": list(seen),
                "lost": [lost.done() and repr(lost.result()) for lost in losses + lost_further],
                "further": [
                    (far.taken, state_of(branch.outlet.queue), branch.outlet.media_time_ms, branch.outlet.bytes_out)
                    for far, branch in zip(kernels, branches, strict=True)
                ],
            }
        )
        is_lost = any(lost.done() for lost in losses) and not story.breaks_at
        if is_lost or not (wire.data or outlet.is_backed_up or inlet._unread):
            break
    flow.detach_feed()
    return states, getattr(timeline, "laid", 0), bytes(kernel.taken)


def compare(story: Story) -> tuple[int, int]:
    """Both ways, after each visit; gives how many tags took the general path in each."""
    fast, fast_laid, _ = asyncio.run(relay(story, is_fast=True))
    general, general_laid, _ = asyncio.run(relay(story, is_fast=False))
    for number, (one, other) in enumerate(zip(fast, general, strict=True)):
        for name in other:
            assert one[name] == other[name], f"{name} after visit {number}"
    return fast_laid, general_laid


MARKS_MS = st.sampled_from([0, (1 << 24) - 300, (1 << 31) - 300, WRAP_MS - 300, 3 * WRAP_MS + 77])


FURTHER = st.builds(
    Further,
    st.builds(
        lambda narrow, wide: [*narrow, *[1 << 30] * wide],
        st.lists(st.integers(0, 2_000), max_size=5),
        st.integers(1, 9),
    ),
    MARKS_MS,
    st.booleans(),
    st.sampled_from([1, 1, 1, 300]),
    st.sampled_from([False, False, False, True]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_both_paths_do_the_same(data: st.DataObject) -> None:
    """Any stream, any cuts, any blocked destination: the same bytes, and the same state after each visit."""
    begin_ms = data.draw(MARKS_MS)
    tags = broadcast(begin_ms % WRAP_MS, data.draw(ODDS), data.draw(st.booleans()) and data.draw(st.booleans()))
    story = Story(
        tags,
        chunking=data.draw(st.none() | st.just(TAGS) | CHUNKINGS),
        cuts=[*data.draw(st.lists(st.integers(0, 2_000), max_size=15)), 2_000],
        rooms=[*data.draw(st.lists(st.integers(0, 2_000), max_size=5)), *[1 << 30] * data.draw(st.integers(1, 9))],
        holds=data.draw(st.booleans()),
        begin_ms=data.draw(MARKS_MS),
        session_ms=data.draw(MARKS_MS),
        silence=data.draw(st.booleans()) and data.draw(st.booleans()),
        watched=data.draw(st.frozensets(st.integers(1, 60), max_size=3)),
        further=data.draw(st.lists(FURTHER, max_size=2)),
    )
    fast_laid, general_laid = compare(story)
    event(f"{round(10 * (1 - fast_laid / max(general_laid, 1))) * 10} % by the fast path")


@pytest.mark.parametrize(
    "chunking",
    [
        None,
        TAGS,
        Chunking(),
        Chunking(types=(1,)),
        Chunking(size=128),
        Chunking(size=65_536),
        Chunking(size=100, types=(1,), is_shared=True),
    ],
    ids=["FLV", "tags", "RTMP", "deltas", "chunks of 128 bytes", "chunks of 64 KiB", "one chunk stream"],
)
@pytest.mark.parametrize("session_ms", [0, 1 << 24, WRAP_MS + 5], ids=["new", "4.7 h", "50 days"])
@pytest.mark.parametrize("source_ms", [0, 1 << 24], ids=["new source", "source of 4.7 h"])
def test_a_steady_stream_takes_it(chunking: Chunking | str | None, session_ms: int, source_ms: int) -> None:
    """Where nothing happens the general path has its beginning."""
    camera = Camera(source_ms, gop=10)
    fast_laid, general_laid = compare(
        Story(camera.headers() + camera.film(8), chunking, cuts=[1_500], session_ms=session_ms)
    )
    assert general_laid == 3 + 3 * 200
    assert fast_laid < general_laid / 10


@pytest.mark.parametrize(
    "chunking",
    [None, TAGS, Chunking(), Chunking(65_536, (1,)), Chunking(60_000), Chunking(1 << 20)],
    ids=["FLV", "tags", "RTMP", "chunks as ours", "shorter chunks", "longer chunks"],
)
def test_pictures_of_several_chunks_take_it(chunking: Chunking | str | None) -> None:
    """As keyframes of a good stream are, and here most pictures; whatever destinations take of them."""
    camera = Camera(1 << 24, gop=10)
    film = camera.headers()
    for camera.frame_bytes in (65_535, 65_536, 65_537, 131_071, 131_072, 131_073):
        for _ in range(3):
            film += camera.shoot()
    further = [Further(), Further(session_ms=1 << 24)]
    story = Story(film, chunking, cuts=[500 if chunking == TAGS else 160_000], further=further)
    fast_laid, general_laid = compare(story)
    assert fast_laid < general_laid / 4
    rooms = [1 << 30, 1 << 30, 70_000, 1 << 30, 70_013, 1 << 30, 1 << 30]
    narrow = [replace(one, rooms=rooms[1:]) for one in further]
    compare(replace(story, rooms=rooms, further=narrow, session_ms=1 << 24))


@pytest.mark.parametrize("chunking", [None, Chunking()], ids=["FLV", "RTMP"])
def test_what_waits_for_a_further_destination_is_judged_with_all_of_a_visit(chunking: Chunking | None) -> None:
    """Its queue drops what is too old; stamps jump in the midst of a visit, and only what comes before is simple."""
    tags = broadcast(0, [Odd(9, 0, None), Odd(7, 9_999, None)], is_blind=False)
    compare(Story(tags, chunking, cuts=[2_000], rooms=[1 << 30], further=[Further([0, 1 << 30])]))


@pytest.mark.parametrize("chunking", [None, TAGS, Chunking()], ids=["FLV", "tags", "RTMP"])
def test_a_destination_that_breaks_disturbs_no_other(chunking: Chunking | str | None) -> None:
    """Its session may stay for seconds: while the one that its server has asked for is opened beside it."""
    camera = Camera(gop=10)
    film = camera.headers() + camera.film(4)
    story = Story(film, chunking, cuts=[1_500], further=[Further(), Further(session_ms=5_000)], breaks_at=9)
    fast, general = [asyncio.run(relay(story, is_fast=is_fast))[0][-1] for is_fast in (True, False)]
    assert fast["further"] == general["further"]


@pytest.mark.parametrize("chunking", [None, Chunking()], ids=["FLV", "RTMP"])
def test_further_destinations_take_what_it_has_framed(
    monkeypatch: pytest.MonkeyPatch, chunking: Chunking | None
) -> None:
    """Where all count from the same moment nothing is framed or parsed again; another moment is framed once for all."""
    work: list[str] = []
    for name in ("frame", "tags"):
        method = getattr(Framed, name)
        monkeypatch.setattr(
            Framed, name, lambda framed, *more, name=name, method=method: work.append(name) or method(framed, *more)
        )
    camera = Camera(gop=10)
    film = camera.headers() + camera.film(8)
    states, _, _ = asyncio.run(relay(Story(film, chunking, cuts=[1_500], further=[Further()] * 9), is_fast=True))
    assert work == []
    older = [Further(session_ms=5_000)] * 9
    states, _, _ = asyncio.run(relay(Story(film, chunking, cuts=[1_500], further=older), is_fast=True))
    assert 0 < work.count("frame") == work.count("tags") <= len(states)


@pytest.mark.parametrize("chunking", [None, TAGS, Chunking(), Chunking(128, (3, 2, 1, 0), interleaves=True)], ids=str)
@pytest.mark.parametrize("mark", [1 << 24, 1 << 31, WRAP_MS])
@pytest.mark.parametrize(("of_source", "of_session"), [(True, False), (False, True), (True, True)])
def test_what_arrives_is_the_camera(
    chunking: Chunking | str | None, mark: int, of_source: bool, of_session: bool
) -> None:
    """Each frame once, over the limits of the stamps of either side or of both: in order, its tracks in step."""
    camera = Camera(mark - 1_500 if of_source else 0, gop=10)
    headers, film = camera.headers(), camera.film(4)
    story = Story(headers + film, chunking, cuts=[1_500], session_ms=mark - 1_400 if of_session else 0)
    taken = asyncio.run(relay(story, is_fast=True))[2]
    reader, messages = ChunkReader(), list[Message]()
    reader.chunk_size = CHUNK_SIZE
    assert reader.scan(memoryview(taken), 0, len(taken), messages) == len(taken)
    CarelessReader(CHUNK_SIZE).feed(taken)
    arrived = [(type_id, stamp_ms, bytes(body)) for type_id, stamp_ms, _, body in messages]
    shifts: set[int] = set()
    for tag_type in (VIDEO, AUDIO):
        wanted, got = frames(film, tag_type), frames(arrived, tag_type)
        assert [tag[2] for tag in got] == [tag[2] for tag in wanted]
        shifts |= {signed_delta_ms(one[1], other[1]) for one, other in zip(got, wanted, strict=True)}
    assert len(shifts) == 1


@pytest.mark.parametrize("chunking", [None, TAGS, Chunking()], ids=["FLV", "tags", "RTMP"])
@pytest.mark.parametrize(("alone", "move_ms"), [(AUDIO, -40_000), (AUDIO, 20_000), (VIDEO, -700), (VIDEO, -40_000)])
def test_a_track_whose_clock_restarted_is_moved_like_any_other(
    chunking: Chunking | str | None, alone: int, move_ms: int
) -> None:
    """The general path has it from then on: there a track may have a clock of its own."""
    tags = broadcast(60_000, [Odd(25, move_ms, None, alone), Odd(25, 0, None)], is_blind=False)
    story = Story(
        tags,
        chunking=chunking,
        cuts=[2_000],
        rooms=[1 << 30],
        holds=False,
        begin_ms=0,
        session_ms=0,
        silence=False,
        watched=frozenset(),
    )
    fast_laid, general_laid = compare(story)
    assert 0 < fast_laid < general_laid


def test_tables_say_what_the_judges_say() -> None:
    """Of any first two bytes, where there is payload after them."""
    for look in range(1 << 16):
        body = look.to_bytes(2, "big") + bytes(4)
        assert fast_path.PICTURES[look] == (kind_of_video(body) <= 2)
        # Sound that is to be encoded goes to the inlet.
        assert fast_path.SOUNDS[look] == (kind_of_audio(body) <= 2 and not is_encoded(body))


@pytest.mark.parametrize("chunking", [None, Chunking()], ids=["FLV", "RTMP"])
@pytest.mark.parametrize("is_fast", [True, False], ids=["fast path", "general path"])
def test_a_flood_of_tiny_frames_takes_many_visits(chunking: Chunking | None, is_fast: bool) -> None:
    """70,000 valid frames of six bytes, all there at once: each visit moves some thousands, and none is lost."""
    camera = Camera(gop=10)
    tags = camera.headers() + camera.film(1)
    flood = [
        (VIDEO, camera.stamp_ms + number // 2, b"\x27\x01\0\0\0\1")
        if number % 2
        else (AUDIO, camera.stamp_ms + number // 2, b"\xaf\x01\0\0\0\1")
        for number in range(70_000)
    ]
    ordinary = as_rtmp(tags, chunking) if chunking else as_flv(tags)
    story = Story([*tags, *flood], chunking, cuts=[len(ordinary), *[MAX_PULL_BYTES] * 200])
    states, _, taken = asyncio.run(relay(story, is_fast=is_fast))
    sizes = [state["bytes"][0] for state in states]
    assert max(after - before for before, after in pairwise(sizes)) < 12_000 * 18
    reader, messages = ChunkReader(), list[Message]()
    reader.chunk_size = CHUNK_SIZE
    reader.scan(memoryview(taken), 0, len(taken), messages)
    assert sum(len(message[3]) == 6 for message in messages) >= len(flood) - 1


def test_a_server_of_tiny_chunks_is_given_less_room() -> None:
    """Each chunk is a piece of the write: after a visit of thousands of them less is received at the next."""
    camera = Camera(gop=10, frame_bytes=20_000)
    story = Story(camera.headers() + camera.film(5), Chunking(100), cuts=[30_000, 30_000, *[MAX_PULL_BYTES] * 100])
    states, _, _ = asyncio.run(relay(story, is_fast=True))
    received = [after["feed"][0] - before["feed"][0] for before, after in pairwise(states)]
    assert max(received) > MAX_PULL_BYTES / 2
    assert received[received.index(max(received)) + 1] <= MAX_PULL_BYTES / 2
