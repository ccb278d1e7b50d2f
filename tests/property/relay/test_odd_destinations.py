"""Destinations that say what nobody asked for while media is sent to them get all of it all the same.

Other chunk sizes, aborts, windows of a byte, floods of pings, media, riddles, in any order, each cut anywhere, while
they read as little as they like; over real TCP with small buffers, on a clock of numbers.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.waiting import PATIENCE_S
from scripted.camera import Camera, frames, laid
from scripted.memory_file import MemoryFile
from scripted.publishing import FarEnd, publishing
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import DestinationError
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.push import Outlet, RtmpSession, rtmp
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.flow import Flow
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_ACK_SIZE, SET_PEER_BANDWIDTH = range(1, 7)
PING, PONG = 6, 7
SECONDS = 4


def words(*numbers: int) -> bytes:
    """Numbers of 32 bits."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


# Type and body of a message, and how often it is said in a row.
SAYINGS = st.one_of(
    st.tuples(st.just(SET_CHUNK_SIZE), st.sampled_from((1, 2, 128, 4096, 0x7FFFFFFF)).map(words), st.just(1)),
    st.tuples(st.just(ABORT), st.integers(0, 70).map(words), st.integers(1, 3)),
    st.tuples(st.just(ACKNOWLEDGEMENT), st.integers(0, 0xFFFFFFFF).map(words), st.integers(1, 50)),
    st.tuples(st.just(WINDOW_ACK_SIZE), st.sampled_from((0, 1, 2, 1000, 0xFFFFFFFF)).map(words), st.just(1)),
    st.tuples(
        st.just(SET_PEER_BANDWIDTH), st.sampled_from((0, 1, 0xFFFFFFFF)).map(lambda n: words(n) + b"\2"), st.just(1)
    ),
    st.tuples(
        st.just(USER_CONTROL),
        st.integers(0, 0xFFFFFFFF).map(lambda n: PING.to_bytes(2, "big") + words(n)),
        st.sampled_from((1, 1, 7, 100)),
    ),
    st.tuples(
        st.just(USER_CONTROL), st.binary(min_size=2, max_size=12).filter(lambda said: said[:2] != b"\0\x06"), st.just(1)
    ),
    st.tuples(st.sampled_from((AUDIO, VIDEO, 15, 16, 19, 22, 200)), st.binary(max_size=300), st.integers(1, 3)),
)
# Bytes that the destination reads in a visit.
READS = st.sampled_from((0, 1, 3_000, 1 << 20))
VISITS = st.lists(st.tuples(st.lists(SAYINGS, max_size=3), READS, st.integers(1, 400)), max_size=14)


class Speaker:
    """What a destination says, in chunks of the size that it has announced; sent in pieces cut anywhere."""

    def __init__(self, far: FarEnd) -> None:
        self._far = far
        self._chunk_size = far.session._chunk_size_in_force
        self._unsaid = b""
        self._saying_bytes = 0
        #: Arguments of the pings so far.
        self.pings: list[bytes] = []

    def prepare(self, type_id: int, body: bytes, count: int) -> None:
        """Another message follows, so many times."""
        pieces: list[bytes | memoryview] = []
        append_message(pieces, 2 if type_id < 7 else 5, type_id, 0, 0, body, self._chunk_size)
        self._unsaid += b"".join(pieces) * count
        if type_id == SET_CHUNK_SIZE:
            self._chunk_size = int.from_bytes(body, "big")
        if type_id == USER_CONTROL and body[:2] == PING.to_bytes(2, "big"):
            self.pings += [body[2:6]] * count

    def say(self, max_bytes: int) -> bool:
        """Send so much of it, or what the kernel takes; gives whether there is more."""
        self._saying_bytes = self._saying_bytes or max_bytes
        try:
            taken = self._far.sock.send(self._unsaid[: self._saying_bytes]) if self._unsaid else 0
        except BlockingIOError:
            taken = 0
        except ssl.SSLWantWriteError:
            return True  # OpenSSL wants the same again.
        self._saying_bytes = 0
        self._unsaid = self._unsaid[taken:]
        return bool(self._unsaid)


class Ear:
    """Reads what came to a destination, by a chunk reader of its own."""

    def __init__(self, far: FarEnd) -> None:
        self._far = far
        self._reader = ChunkReader()
        self._reader.chunk_size = CHUNK_SIZE
        self._start = 0
        self.tags: list[Tag] = []
        #: Arguments of the answers to pings.
        self.answers: list[bytes] = []

    def hear(self) -> bool:
        """Read on; gives whether what came ends with a whole message."""
        messages: list[Message] = []
        data = bytes(self._far.raw[self._start :])
        read_bytes = self._reader.scan(memoryview(data), 0, len(data), messages)
        self._start += read_bytes
        for type_id, stamp_ms, _, body in messages:
            if type_id in (AUDIO, VIDEO):
                self.tags.append((type_id, stamp_ms, bytes(body)))
            elif type_id == USER_CONTROL:
                assert bytes(body[:2]) == PONG.to_bytes(2, "big")
                self.answers.append(bytes(body[2:]))
        return read_bytes == len(data)


class Film:
    """A file, as a list on air sends it."""

    def __init__(self, session: RtmpSession) -> None:
        self.file = MemoryFile(SECONDS, gop=10, frame_bytes=9_000)
        self.wanted = self.file.tags
        self.outlet = Outlet()
        self.flow: Flow = ListFlow(self.outlet, lambda now: True)
        self._feed = FileFeed(self.outlet, START, lambda *step: None)
        self.flow.attach_feed(self._feed)
        self._feed.put(0, 0, PreparedReader(self.file))
        self._feed.finish()
        self.lost = self.flow.attach_session(session, 0.0)

    def visit(self, now: float) -> None:
        """A beat."""
        self.flow.visit(now)

    @property
    def is_over(self) -> bool:
        """Whether all has been given to the session."""
        return self._feed.finished.is_set()

    def close(self) -> None:
        """The end."""
        self.flow.detach_feed()


class Live:
    """A camera, as the outlet of a live relay sends it."""

    def __init__(self, session: RtmpSession) -> None:
        camera = Camera(gop=10, frame_bytes=3_000)
        self.outlet = Outlet()
        self.outlet.attach(session, laid(camera.headers()), 0.0)
        self.wanted = camera.film(SECONDS)
        self._left = laid(self.wanted)
        self.lost: asyncio.Future[DestinationError] = asyncio.get_running_loop().create_future()

    def visit(self, now: float) -> None:
        """A beat."""
        tags, self._left = self._left[:24], self._left[24:]
        try:
            self.outlet.offer(tags)
            self.outlet.check_liveness(now)
        except DestinationError as error:
            if not self.lost.done():
                self.lost.set_result(error)

    @property
    def is_over(self) -> bool:
        """Whether all has been given to the session."""
        return not self._left

    def close(self) -> None:
        """The end."""


Sender = Callable[[RtmpSession], "Film | Live"]


async def send(sender: Sender, visits: list[tuple[list[tuple[int, bytes, int]], int, int]], *, is_tls: bool) -> None:
    """Send all of it to a destination that speaks at these visits, and compare."""
    session, far = publishing(32 << 10, is_tls=is_tls)
    sending, speaker = sender(session), Speaker(far)
    todo, now, is_speaking, acked_bytes = iter(visits), 0.0, False, -1
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not sending.is_over or sending.outlet.is_backed_up or is_speaking or not has_arrived(session):
                sayings, read_bytes, say_bytes = next(todo, ([], 1 << 20, 1 << 20))
                for saying in sayings:
                    speaker.prepare(*saying)
                is_speaking = speaker.say(say_bytes)
                # What TCP takes its time for takes none of the clock: else that were a destination that stalls.
                if session.acked_bytes > acked_bytes or has_arrived(session) or read_bytes < 1 << 20:
                    acked_bytes = session.acked_bytes
                    now += 0.32
                sending.visit(now)
                assert not sending.lost.done(), sending.lost.result()
                if read_bytes:
                    far.receive(read_bytes)
                await asyncio.sleep(0)
            # What was said last is heard and answered.
            ear = Ear(far)
            while far.receive() or not ear.hear() or len(ear.answers) < len(speaker.pings):
                session.flush()
                await asyncio.sleep(0)
    finally:
        sending.close()
        session.abort()
        far.sock.close()
    assert ear.answers == speaker.pings
    missing = 0
    for tag_type in (VIDEO, AUDIO):
        arrived, wanted = frames(ear.tags, tag_type), [bytes(tag[2]) for tag in sending.wanted if tag[0] == tag_type]
        assert all(later[1] > earlier[1] for earlier, later in pairwise(arrived))
        places = [wanted.index(body) for _, _, body in arrived]
        assert places == sorted(set(places))
        missing += len(wanted) - len(places)
        for earlier, later in pairwise(places):
            assert later == earlier + 1 or tag_type == AUDIO or tag_kind(VIDEO, wanted[later]) == KEYFRAME
    # Of a live stream what a destination did not read in time gives way, up to a keyframe, and is counted.
    assert missing == sending.outlet.dropped_tags
    assert not (missing and isinstance(sending, Film))


def has_arrived(session: RtmpSession) -> bool:
    """Whether the destination's kernel has all that was sent."""
    return session.acked_bytes == session.sent_bytes


@pytest.mark.parametrize("sender", [Film, Live])
def test_whatever_a_destination_says_it_gets_all_that_it_reads(sender: Sender) -> None:
    """Each frame once, in order, in whole chunks; each ping is answered, in the gaps between messages."""

    @settings(deadline=None, max_examples=25)
    @given(visits=VISITS, is_tls=st.booleans())
    def check(visits: list[tuple[list[tuple[int, bytes, int]], int, int]], is_tls: bool) -> None:
        asyncio.run(send(sender, visits, is_tls=is_tls))

    check()


@pytest.mark.parametrize("sender", [Film, Live])
async def test_a_flood_of_pings_is_not_answered_for_ever(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs all other streams of the process their time: it ends its session, in words, before it is a megabyte."""
    monkeypatch.setattr(rtmp, "_SAID_BYTES_A_SECOND", 0)  # However long the test takes.
    session, far = publishing()
    sending, speaker, now = sender(session), Speaker(far), 0.0
    speaker.prepare(USER_CONTROL, PING.to_bytes(2, "big") + words(1), 1 << 16)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not sending.lost.done():
                speaker.say(64 << 10)
                now += 0.32
                sending.visit(now)
                far.receive()
                await asyncio.sleep(0)
        assert "far more than a server has to say" in str(sending.lost.result())
    finally:
        sending.close()
        session.abort()
        far.sock.close()


@pytest.mark.parametrize("sender", [Film, Live])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (socket.SHUT_WR, "the destination closed the connection"),
        (socket.SHUT_RD, "the destination is connected but has taken no bytes for 10 s"),
    ],
    ids=["it says no more", "it reads no more"],
)
async def test_a_half_that_is_closed_is_noticed(sender: Sender, how: int, words: str) -> None:
    """In the midst of a stretch, which waits in the kernel: in words that say what it was."""
    session, far = publishing(32 << 10)
    sending, now = sender(session), 0.0
    try:
        sending.visit(now)
        far.receive(10_000)
        far.sock.shutdown(how)
        async with asyncio.timeout(PATIENCE_S):
            while not sending.lost.done():
                now += 0.32
                sending.visit(now)
                await asyncio.sleep(0)
        assert words in str(sending.lost.result())
    finally:
        sending.close()
        session.abort()
        far.sock.close()
