"""Live MPEG-TS that is read without ffmpeg: over HTTP, in datagrams, to groups, with RTP around it, damaged or odd."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from functools import partial

import pytest

from kit import programs
from kit.clips import ClipFactory
from kit.waiting import PATIENCE_S
from loopback.source.pieces import Pieces
from streamferry.media.errors import SourceCorrupt, SourceEnded, SourceUnreachable, SourceUnsupported
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.push import Outlet
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.status import State
from streamferry.relay.vitals import Vitals
from streamferry.source import LiveInlet, SourceMemory
from streamferry.source import open_live as open_live_within
from streamferry.source.ffmpeg_inlet import FfmpegInlet
from streamferry.source.ts import TsInlet
from streamferry.timeline import Timeline
from streamferry.wire.mpegts import TsDemuxer

open_live = partial(open_live_within, deadlines=Deadlines())
SCRATCH = memoryview(bytearray(2 << 20))
PACKET = 188
#: As ffmpeg's muxer numbers them.
SOUND_PID = 0x101
#: As most senders fill a datagram.
DATAGRAM = 7 * PACKET
GROUP, GROUP6 = "239.255.71.7", "ff12::7107"


@pytest.fixture
def stream(clips: ClipFactory) -> bytes:
    return clips("h264_bframes", ".ts").read_bytes()


@pytest.fixture
def expected(stream: bytes) -> list[Tag]:
    """What it carries, but for what is held back until more comes."""
    tags: list[Tag] = []
    TsDemuxer().feed(stream, tags)
    return tags


def frames(tags: list[Tag], tag_type: int) -> list[tuple[int, bytes]]:
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == tag_type and kind_of(body) <= KEYFRAME]


async def pull(inlet: LiveInlet, is_enough: Callable[[list[Tag]], bool], tags: list[Tag] | None = None) -> list[Tag]:
    """Pull as the beat does, and look each time. Raises SourceError when the source ends before."""
    tags = [] if tags is None else tags
    async with asyncio.timeout(PATIENCE_S):
        while not is_enough(tags):
            new: list[Tag] = []
            try:
                inlet.pull(SCRATCH, new)
            finally:
                tags += [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in new]
            await asyncio.sleep(0.01)
    return tags


def serving(data: bytes, *, head: str = "Content-Type: video/mp2t", chunked: bool = False, ends: bool = False):
    """A script that answers with ``data``, and then with nothing, or with the end."""

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        transfer = "Transfer-Encoding: chunked\r\n" if chunked else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n{transfer}\r\n".encode())
        # Sizes that cut packets anywhere.
        for at in range(0, len(data), 7001):
            piece = data[at : at + 7001]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if not ends:
            await reader.read()

    return script


async def opened(peers, script, memory: SourceMemory | None = None) -> LiveInlet:
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(script)}/play?token=s3cret")
    return await open_live(url, memory=memory)


@pytest.mark.parametrize(
    ("head", "chunked"),
    [("Content-Type: video/mp2t", True), ("Content-Type: video/mp2t", False), ("Content-Type: a/b", True), ("X: y", 0)],
)
async def test_over_http(peers, stream, expected, head, chunked):
    """Known by its type or its first byte; every frame comes as it is, by no child, and the end is an end."""
    inlet = await opened(peers, serving(stream, head=head, chunked=bool(chunked), ends=True))
    assert isinstance(inlet, TsInlet)
    assert not inlet.is_mute
    tags: list[Tag] = []
    with pytest.raises(SourceEnded):
        await pull(inlet, lambda _: False, tags)
    inlet.close()
    for tag_type in (VIDEO, AUDIO):
        wanted = frames(expected, tag_type)
        # At the end the last frames come, too.
        assert frames(tags, tag_type)[: len(wanted)] == wanted
        assert len(frames(tags, tag_type)) > len(wanted) - 1


async def test_a_source_without_sound_is_known_to_be_mute(peers, clips):
    """The table of the program says so before the first picture."""
    inlet = await opened(peers, serving(clips("video_only", ".ts").read_bytes()))
    assert inlet.is_mute
    await pull(inlet, lambda tags: len(frames(tags, VIDEO)) > 10)
    inlet.close()


async def test_lost_packets_of_all_sessions_are_counted_in_the_status(peers, stream):
    """Two sessions of a source that lacks three packets each, and the status tells of six."""
    packets = [stream[at : at + PACKET] for at in range(0, len(stream), PACKET)]
    places = [place for place, one in enumerate(packets) if int.from_bytes(one[1:3]) & 0x1FFF == 0x100][50:80:10]
    kept = b"".join(one for place, one in enumerate(packets) if place not in places)
    flow = LiveFlow(Timeline(), Outlet(), lambda now: True)
    for session in (1, 2):
        inlet = await opened(peers, serving(kept, ends=True))
        ended = flow.attach_feed(LiveFeed(inlet, flow.timeline, SCRATCH, 0.0), 0.0)
        async with asyncio.timeout(PATIENCE_S):
            while not ended.done():
                flow.visit(0.0)
                await asyncio.sleep(0.01)
        flow.detach_feed()
        assert Vitals(flow).status((State.RETRYING, None, None)).lost_packets == 3 * session


async def test_packets_that_are_lost_cost_their_frames_and_no_more(peers, stream, expected):
    """1 % is missing: nine tenths of the pictures come, and no frame that is not one of the stream's."""
    chance = random.Random(7)
    packets = [stream[at : at + PACKET] for at in range(0, len(stream), PACKET)]
    kept = b"".join(one for place, one in enumerate(packets) if place < 20 or chance.random() > 0.01)
    inlet = await opened(peers, serving(kept, ends=True))
    tags: list[Tag] = []
    with pytest.raises(SourceEnded):
        await pull(inlet, lambda _: False, tags)
    inlet.close()
    assert isinstance(inlet, TsInlet)
    assert inlet.lost_packets > 0
    whole = {body for _, body in frames(expected, VIDEO)}
    came = [body for _, body in frames(tags, VIDEO)]
    assert len(came) > len(whole) // 2
    # The last one of the stream is not among those that were expected.
    assert sum(body not in whole for body in came) <= 1


async def test_sound_that_the_table_names_later_joins(peers, clips, stream):
    """It plays in the same session: nothing has to be opened again."""
    mute = clips("video_only", ".ts").read_bytes()
    inlet = await opened(peers, serving(mute + stream))
    await pull(inlet, lambda tags: len(frames(tags, AUDIO)) > 10)
    inlet.close()


@pytest.mark.parametrize("seed", range(6))
async def test_bytes_that_only_claim_to_be_ts(peers, seed):
    """They are told to be no media, in words, whether the answer ends or goes on for ever."""
    chance = random.Random(seed)
    data = [
        b"no film at all " * 10_000,
        b"\x47" * 600_000,
        bytes(chance.getrandbits(8) for _ in range(100_000)),
        b"<html>busy</html>",
        b"",
        (b"\x47\x1f\xff\x10" + bytes(184)) * 3000,
    ][seed]
    with pytest.raises((SourceCorrupt, SourceUnreachable)) as caught:
        await opened(peers, serving(data, ends=True))
    assert "s3cret" not in str(caught.value)


async def test_endless_bytes_without_a_program(peers):
    """It is given up after 4 MiB, not kept."""

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        while True:
            writer.write((b"\x47\x1f\xff\x10" + bytes(184)) * 500)
            await writer.drain()

    with pytest.raises(SourceCorrupt, match=r"no table of a program in [45]\d{6} "):
        await opened(peers, script)


async def test_encrypted_media_is_told_to_be_so(stream):
    """Instead of a source that is silent for no reason."""
    scrambled = bytearray(stream[: 200 * PACKET])
    for at in range(0, len(scrambled), PACKET):
        if (scrambled[at + 1] & 31) << 8 | scrambled[at + 2] in (0x100, 0x101):
            scrambled[at + 3] |= 0x80
    times_s = iter(range(100))
    inlet = TsInlet(Pieces(bytes(scrambled)), SourceMemory(), clock=lambda: float(next(times_s)))
    await inlet.look(MediaUrl.parse("udp://:5000"))
    for _ in range(2):
        inlet.pull(SCRATCH, [])
    with pytest.raises(SourceCorrupt, match="encrypted"):
        inlet.pull(SCRATCH, [])


@pytest.mark.e2e
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_what_has_to_be_encoded_goes_through_ffmpeg(peers, clips, tmp_path):
    """In the same session; the next one begins with ffmpeg."""
    memory = SourceMemory()
    path = tmp_path / "ac3.ts"
    copied = [programs.ffmpeg(), "-v", "error", "-nostdin", "-i", clips("h264_no_bframes"), "-c:v", "copy"]
    programs.run([*copied, "-c:a", "ac3", path])
    inlet = await opened(peers, serving(20 * path.read_bytes()), memory)
    assert isinstance(inlet, FfmpegInlet)
    tags = await pull(inlet, lambda tags: len(frames(tags, VIDEO)) > 10)
    # 10 is AAC.
    assert {body[0] >> 4 for _, body in frames(tags, AUDIO)} == {10}
    inlet.close()
    assert memory.needs_ffmpeg
    await end_all()


class Sender:
    """Sends to a port of this machine from one of its own."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "127.0.0.1") -> None:
        self.place = (host, port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))

    async def send(self, data: bytes, around: Callable[[int, bytes], bytes] = lambda _, payload: payload) -> None:
        for number, at in enumerate(range(0, len(data), DATAGRAM)):
            self.sock.sendto(around(number, data[at : at + DATAGRAM]), self.place)
            if number % 50 == 49:
                await asyncio.sleep(0.005)

    def close(self) -> None:
        self.sock.close()


def with_rtp(number: int, payload: bytes) -> bytes:
    """Every kind of header: plain, with sources, with an extension."""
    kind = number % 3
    head = struct.pack(">BBHII", 0x80 | (2 if kind == 1 else 0) | (0x10 if kind == 2 else 0), 33, number, 0, 7)
    return head + (bytes(8) if kind == 1 else b"\xbe\xde\0\1" + bytes(4) if kind == 2 else b"") + payload


async def listening(address: str) -> "tuple[asyncio.Task[LiveInlet], int]":
    """A source that opens, and its port. Its socket is bound when this returns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    opening = asyncio.ensure_future(open_live(MediaUrl.parse(address.format(port=port))))
    await asyncio.sleep(0)
    return opening, port


async def assert_all_comes(inlet, expected):
    """Every picture as it was sent, and nothing lost; then it is closed."""
    assert isinstance(inlet, TsInlet)
    wanted = frames(expected, VIDEO)
    tags = await pull(inlet, lambda tags: len(frames(tags, VIDEO)) >= len(wanted))
    assert frames(tags, VIDEO) == wanted
    assert inlet.lost_packets == 0
    inlet.close()


@pytest.mark.parametrize("around", [lambda _, payload: payload, with_rtp], ids=["plain", "rtp"])
async def test_in_datagrams(stream, expected, around):
    """Every frame comes."""
    opening, port = await listening("udp://127.0.0.1:{port}")
    sender = Sender(port)
    await sender.send(stream, around)
    await assert_all_comes(await opening, expected)
    sender.close()


async def test_datagrams_of_rtp_that_overtake_each_other(stream, expected):
    """Each eleventh comes twelve later, and one twice: all is put back in order, and nothing counts as lost."""
    opening, port = await listening("udp://127.0.0.1:{port}")
    sender = Sender(port)
    pieces = [stream[at : at + DATAGRAM] for at in range(0, len(stream), DATAGRAM)]
    pieces = [with_rtp(65530 + number & 0xFFFF, piece) for number, piece in enumerate(pieces)]
    order = sorted(range(len(pieces)), key=lambda number: number + (12.5 if number % 11 == 10 else 0))
    for count, number in enumerate([*order[:40], order[30], *order[40:]]):
        sender.sock.sendto(pieces[number], sender.place)
        if count % 50 == 49:
            await asyncio.sleep(0.005)
    await assert_all_comes(await opening, expected)
    sender.close()


async def test_of_a_group_only_the_chosen_senders(stream):
    """What others send to the same group and port is not received."""
    opening, port = await listening(f"udp://{GROUP}:{{port}}?localaddr=127.0.0.1&sources=127.0.0.2")
    other, chosen = Sender(port, GROUP, "127.0.0.3"), Sender(port, GROUP, "127.0.0.2")
    for sock in (other.sock, chosen.sock):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    await other.send(stream)
    await asyncio.sleep(0.1)
    assert not opening.done()
    await chosen.send(stream)
    inlet = await opening
    assert isinstance(inlet, TsInlet)
    await pull(inlet, lambda tags: len(frames(tags, VIDEO)) > 10)
    inlet.close()
    other.close()
    chosen.close()


async def test_a_port_that_is_taken():
    """A port that another program listens to is said to be so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnreachable, match="in use"):
            await open_live(MediaUrl.parse(f"udp://127.0.0.1:{taken.getsockname()[1]}"))


@pytest.mark.parametrize(
    "query",
    [
        *("127.0.0.1:5000?sources=10.0.0.1", "127.0.0.1:5000?localaddr=eth0", "127.0.0.1:5000?localaddr=10.0.0.256"),
        *(f"{GROUP}:5000?sources=nobody", f"{GROUP}:5000?sources=::1", f"{GROUP}:5000?localaddr=::1"),
        *(
            f"[{GROUP6}]:5000?sources=10.0.0.1",
            f"[{GROUP6}]:5000?localaddr=10.0.0.1",
            f"[{GROUP6}]:5000?localaddr=::1%25lo",
        ),
        *("[::1]:5000?sources=::1", ":5000?sources=10.0.0.1"),
    ],
)
async def test_queries_that_cannot_be_used(query):
    """They are refused, by name."""
    with pytest.raises(SourceUnsupported, match=query.partition("?")[2].partition("=")[0]):
        await open_live(MediaUrl.parse(f"udp://{query}"))


async def test_an_interface_that_this_machine_has_not():
    """It is told to be missing, by both versions of IP."""
    for address in ("239.1.1.1:5000?localaddr=192.0.2.1", f"[{GROUP6}]:5000?localaddr=2001:db8::1"):
        with pytest.raises(SourceUnreachable):
            await open_live(MediaUrl.parse(f"udp://{address}"))


async def test_60_mbps_without_loss(stream):
    """Two seconds of it, at visits every 160 ms."""
    opening, port = await listening("udp://127.0.0.1:{port}")
    sender = Sender(port)
    await sender.send(stream)
    inlet = await opening
    assert isinstance(inlet, TsInlet)
    tags: list[Tag] = []
    inlet.pull(SCRATCH, tags)
    # What the kernel has to hold between two visits.
    visit_bytes = 60_000_000 // 8 * 160 // 1000
    null = (b"\x47\x1f\xff\x10" + bytes(184)) * 7
    for _ in range(12):
        for _ in range(visit_bytes // len(null)):
            sender.sock.sendto(null, sender.place)
        received = 0
        while count := inlet.pull(SCRATCH, tags):
            received += count
        assert received >= visit_bytes // len(null) * len(null)
    inlet.close()
    sender.close()
