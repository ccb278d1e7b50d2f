"""A live HLS server that misbehaves as told, and a viewer of an inlet, both on the clock of the event loop."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from streamferry.media.errors import SourceError
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.source import LiveInlet
from streamferry.source.live import SCRATCH_BYTES
from streamferry.wire.mpegts import TsDemuxer

VISIT_S = 0.16


@dataclass
class LiveServer:
    """Publishes the segments of a finished playlist one after another, over and over; each lasts a second.

    ``answer`` may decide otherwise for a request: it is given its name and how often that was asked for, and gives a
    status, or a status and a body, or None.
    """

    playlist: Path
    window: int = 4
    #: How fast its clock is, and how long it takes to answer for a segment.
    rate: float = 1.0
    delay_s: float = 0.0
    answer: Callable[[str, int], Any] | None = None
    #: Lines before the segment with that number; the name of a segment; by how much numbers differ from the count.
    marks: dict[int, list[str]] = field(default_factory=dict)
    name: str = "{}.ts"
    first_number: int = 0
    #: How long it takes to send a segment.
    sending_s: float = 0.0
    #: Whether connections are kept, and how many requests on each are answered before it is closed.
    keeps: bool = True
    most_requests: float = math.inf
    chunked: bool = False
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    #: The heads of the requests, in lower case.
    heads: list[str] = field(default_factory=list)
    loads: int = 0
    #: Whether an answer ends in its midst.
    breaks: Callable[[str], bool] = lambda name: False
    is_over: bool = False
    #: Whether it answers 503 to all.
    is_away: bool = False

    def __post_init__(self) -> None:
        text = self.playlist.read_text()
        names = re.findall(r"^[^#\s]\S+$", text, flags=re.MULTILINE)
        self.segments = [(self.playlist.parent / name).read_bytes() for name in names]
        #: By its name: what is needed before the segments.
        self.headers = {
            name: (self.playlist.parent / name).read_bytes() for name in re.findall(r'#EXT-X-MAP:URI="(.+)"', text)
        }
        self.began_at = asyncio.get_running_loop().time()

    @property
    def made(self) -> int:
        """How many segments there are so far."""
        return self.window + int((asyncio.get_running_loop().time() - self.began_at) * self.rate)

    def listed(self) -> range:
        end = self.made
        return range(max(0, end - self.window), end)

    def text(self) -> str:
        numbers = self.listed()
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{numbers.start + self.first_number}"]
        lines += [f'#EXT-X-MAP:URI="{name}"' for name in self.headers]
        for number in numbers:
            lines += [*self.marks.get(number, ()), "#EXTINF:1.0,", self.name.format(number)]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if self.is_over else []), ""])

    async def media(self, name: str) -> bytes:
        """What is behind the name of a segment."""
        number = int(re.findall(r"\d+", name)[-1])
        return bytes(self.segments[number % len(self.segments)])

    async def before_list(self, name: str) -> None:
        """A playlist is asked for."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what is asked on one connection, until it is not to be kept."""
        self.connections += 1
        for number in count(1):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            if number > self.most_requests:
                break
            await self._answer(head, writer)
            if not self.keeps or "connection: close" in head.lower():
                break
        writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        name = head.split()[1].lstrip("/")
        is_list = name.partition("?")[0].endswith("m3u8")
        self.asked.append(name)
        self.heads.append(head.lower())
        told = self.answer(name, self.asked.count(name)) if self.answer is not None else None
        if self.is_away:
            status, body = 503, b""
        elif told is not None:
            status, body = told if isinstance(told, tuple) else (told, b"")
        elif is_list:
            self.loads += 1
            await self.before_list(name)
            status, body = 200, self.text().encode()
        elif name in self.headers:
            status, body = 200, self.headers[name]
        else:
            await asyncio.sleep(self.delay_s)
            status, body = 200, await self.media(name)
        if status == 200 and (found := re.search(r"(?im)^range: bytes=(\d+)-(\d+)", head)):
            status, body = 206, body[int(found[1]) : int(found[2]) + 1]
        kind = "application/vnd.apple.mpegurl" if is_list else "video/mp2t"
        length = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(body)}"
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode())
        if self.breaks(name):
            body = body[: len(body) // 2]
        size = len(body) // 10 + 1 if self.chunked or (self.sending_s and not is_list) else len(body) + 1
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            if self.sending_s and not is_list:
                await asyncio.sleep(self.sending_s / 10)
        if self.breaks(name):
            await writer.drain()
            writer.close()
        elif self.chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@dataclass
class Seen:
    """What came of an inlet: (seconds, tag type, stamp, body)."""

    tags: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    error: Exception | None = None

    def of(self, tag_type: int) -> list[tuple[float, int, int, bytes]]:
        return [tag for tag in self.tags if tag[1] == tag_type and tag[3][1] == 1]

    @property
    def pictures(self) -> list[tuple[float, int, int, bytes]]:
        return self.of(VIDEO)

    @property
    def sounds(self) -> list[tuple[float, int, int, bytes]]:
        return self.of(AUDIO)

    @property
    def headers(self) -> list[bytes]:
        return [tag[3] for tag in self.tags if tag[3][1] == 0]

    def longest_pause_s(self) -> float:
        """Without a picture."""
        times = [tag[0] for tag in self.pictures]
        return max((later - one for one, later in pairwise(times)), default=0.0)

    def media_s(self) -> float:
        """How much picture there is, a frame being 40 ms."""
        return len(self.pictures) * 0.04

    def most_in_a_visit_ms(self, after_s: float = 0.0) -> int:
        """By how much the stamps of the picture rise in one visit."""
        by_visit: dict[float, tuple[int, int]] = {}
        for at, _, stamp, _ in self.pictures:
            if at > after_s:
                first, _ = by_visit.get(at, (stamp, 0))
                by_visit[at] = (first, stamp)
        return max((last - first for first, last in by_visit.values()), default=0)


async def watch(inlet: LiveInlet, seconds: float) -> Seen:
    """Pull from it for so long, as a relay does, or until it ends."""
    seen = Seen()
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    scratch = memoryview(bytearray(SCRATCH_BYTES))
    try:
        while clock() < end:
            tags: list[Tag] = []
            try:
                inlet.pull(scratch, tags)
            finally:
                seen.tags += [(clock(), kind, stamp, bytes(body)) for kind, stamp, body in tags]
            await asyncio.sleep(VISIT_S)
    except SourceError as error:
        seen.error = error
    return seen


def own_stamps(server: LiveServer) -> dict[tuple[int, bytes], int]:
    """By its body: the stamp that a frame has in its segment, for those whose body no other has."""
    seen = Counter[tuple[int, bytes]]()
    stamps = dict[tuple[int, bytes], int]()
    for data in server.segments:
        tags = list[Tag]()
        demuxer = TsDemuxer()
        demuxer.feed(data, tags)
        demuxer.finish(tags)
        for kind, stamp, body in tags:
            seen[kind, bytes(body)] += 1
            stamps[kind, bytes(body)] = stamp
    return {name: stamp for name, stamp in stamps.items() if seen[name] == 1}
