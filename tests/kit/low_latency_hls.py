"""A low-latency HLS server that misbehaves as told (RFC 8216bis): parts of real segments, requests that wait, hints."""

import asyncio
import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from kit import programs
from kit.live_hls import LiveServer

#: Segments last a second, a frame 40 ms.
PARTS = 5
PART_S = 1 / PARTS
_PACKET_BYTES = 188
_AFTER_PARTS = 2


def parts_of_ts(segment: bytes) -> list[bytes]:
    """A segment of a second cut before every fifth picture, or sound: at the packets in which PES packets begin."""
    packets = [segment[at : at + _PACKET_BYTES] for at in range(0, len(segment), _PACKET_BYTES)]
    head = b"\0\0\1\xe0" if b"\0\0\1\xe0" in segment else b"\0\0\1\xc0"
    heads = [at for at, one in enumerate(packets) if one[1] & 0x40 and head in one]
    each = len(heads) / PARTS
    cuts = [0, *(heads[min(round(number * each), len(heads) - 1)] for number in range(1, PARTS)), len(packets)]
    return [b"".join(packets[begin:end]) for begin, end in pairwise(cuts)]


def fragments(clip: Path, folder: Path) -> tuple[bytes, list[list[bytes]]]:
    """A clip as fragments of five pictures: what is needed before them, and of each second its fragments."""
    folder.mkdir(exist_ok=True)
    path = folder / "parts.mp4"
    flags = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", str(round(PART_S * 1e6)))
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", clip, "-c", "copy", *flags, path])
    data, at, boxes = path.read_bytes(), 0, list[bytes]()
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        boxes.append(data[at : at + size])
        at += size
    begins = [at for at, box in enumerate(boxes) if box[4:8] == b"moof"]
    found = [b"".join(boxes[begin : begin + 2]) for begin in begins]
    return b"".join(boxes[: begins[0]]), [found[at : at + PARTS] for at in range(0, len(found) - PARTS + 1, PARTS)]


@dataclass
class LowLatencyServer(LiveServer):
    """A ``LiveServer`` that lists the parts of the last segments as they are made. ``cut``: how it divides one."""

    cut: Callable[[bytes], list[bytes]] = parts_of_ts
    blocks: bool = True
    hints: bool = True
    #: Parts are ranges of their segments.
    are_ranges: bool = False
    are_independent: bool = False
    stem: str = "part"
    #: Whether its playlist has parts at a time, and lines of a part that it should have.
    has_parts: Callable[[float], bool] = lambda at: True
    part_line: Callable[[int, int], str | None] = lambda number, part: None
    hint_line: str | None = None
    head_lines: list[str] | None = None
    #: Names of what it does not answer for.
    never: Callable[[str], bool] = lambda name: False
    #: For how long requests that wait were answered late.
    waits: list[float] = field(default_factory=list)
    parts_sent: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts = [self.cut(segment) for segment in self.segments]

    @property
    def age_s(self) -> float:
        return asyncio.get_running_loop().time() - self.began_at

    @property
    def parts_made(self) -> int:
        """Of all segments."""
        return self.window * PARTS + math.floor(self.age_s / PART_S + 1e-6)

    @property
    def made(self) -> int:
        return self.parts_made // PARTS

    def text(self) -> str:
        if not self.has_parts(self.age_s):
            return super().text()
        numbers, end = self.listed(), self.parts_made
        blocks = "CAN-BLOCK-RELOAD=YES," if self.blocks else ""
        head = [f"#EXT-X-SERVER-CONTROL:{blocks}PART-HOLD-BACK={3 * PART_S}", f"#EXT-X-PART-INF:PART-TARGET={PART_S}"]
        lines = ["#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:1", *(self.head_lines or head)]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{numbers.start + self.first_number}"]
        lines += [f'#EXT-X-MAP:URI="{name}"' for name in self.headers]
        for number in numbers:
            lines += self.marks.get(number, ())
            if number >= numbers.stop - _AFTER_PARTS:
                lines += [self._line(number, part) for part in range(PARTS)]
            lines += ["#EXTINF:1.0,", self.name.format(number)]
        if self.is_over:
            return "\n".join([*lines, "#EXT-X-ENDLIST", ""])
        number = numbers.stop
        lines += self.marks.get(number, ())
        lines += [self._line(number, part) for part in range(end % PARTS)]
        if self.hints and not self.are_ranges:
            name = self._part_name(number, end % PARTS)
            lines += [self.hint_line or f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{name}"']
        return "\n".join([*filter(None, lines), ""])

    def _part_name(self, number: int, part: int) -> str:
        return f"{self.stem}{number}.{part}.x"

    def _line(self, number: int, part: int) -> str:
        told = self.part_line(number, part)
        if told is not None:
            return told
        pieces = self.parts[number % len(self.parts)]
        independent = ",INDEPENDENT=YES" if not part or self.are_independent else ""
        if self.are_ranges:
            place = f"@{sum(map(len, pieces[:part]))}" if part % 2 else ""
            independent += f',BYTERANGE="{len(pieces[part])}{place}"'
        name = self.name.format(number) if self.are_ranges else self._part_name(number, part)
        return f'#EXT-X-PART:DURATION={PART_S},URI="{name}"{independent}'

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As of a ``LiveServer``; it may be ended while it waits."""
        with contextlib.suppress(asyncio.CancelledError):
            await super().serve(reader, writer)

    async def media(self, name: str) -> bytes:
        await self._stop(name)
        if (found := re.fullmatch(self.stem + r"(\d+)\.(\d+)\.x", name)) is None:
            return await super().media(name)
        number, part = int(found[1]), int(found[2])
        await self.until(number * PARTS + part + 1)
        self.parts_sent.append((number, part))
        return self.parts[number % len(self.parts)][part]

    async def before_list(self, name: str) -> None:
        await self._stop(name)
        found = re.search(r"_HLS_msn=(\d+)&_HLS_part=(\d+)", name)
        if found is not None and self.blocks:
            begun_at = self.age_s
            await self.until((int(found[1]) - self.first_number) * PARTS + int(found[2]) + 1)
            self.waits.append(self.age_s - begun_at)

    async def _stop(self, name: str) -> None:
        if self.never(name):
            await asyncio.Event().wait()

    async def until(self, parts: int) -> None:
        """Wait until so many parts are made."""
        await asyncio.sleep(max(0.0, (parts - self.window * PARTS) * PART_S - self.age_s))
