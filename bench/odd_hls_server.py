"""A server of live HLS that misbehaves: channels that slide, begin anew, answer 503, and lack or cut segments.

    python bench/odd_hls_server.py FOLDER SEED

``FOLDER``: ``0.ts``, ``1.ts`` and so on, each of 4 s, which every channel plays in a circle, with a break
(EXT-X-DISCONTINUITY) where it begins again. Prints ``{"port": N}`` and serves ``/CHANNEL/live.m3u8`` until its input
ends. What a channel does wrong, and when, follows from SEED and its name alone.
"""

import asyncio
import json
import random
import sys
import threading
import time
from pathlib import Path

SEGMENT_S, WINDOW = 4.0, 6
#: A channel begins anew after a time between these, and is away (503) for a while once a minute.
RESTART_S, AWAY_EVERY_S, AWAY_S = (90.0, 240.0), 60.0, (0.0, 8.0)
#: Of a hundred segments so many are not there, and so many break off.
MISSING_PERCENT, CUT_PERCENT = 2, 1


class Channel:
    """One live source."""

    def __init__(self, seed: str, segments: list[bytes]) -> None:
        self._chance = random.Random(seed)
        self._segments = segments
        self._epoch = 0
        self._seed = seed
        # It has played for a while when it is first asked.
        self._began_at = time.monotonic() - WINDOW * SEGMENT_S - self._chance.uniform(0, SEGMENT_S)
        self._restart_at = time.monotonic() + self._chance.uniform(*RESTART_S)
        self._away_at = time.monotonic() + self._chance.uniform(0, AWAY_EVERY_S)
        self._back_at = 0.0

    def answer(self, name: str) -> tuple[int, bytes, int]:
        """Status, body, and how much of it is sent."""
        now = time.monotonic()
        if now >= self._restart_at:
            # All that it had is gone: it begins with one segment, under names that were used before.
            self._began_at, self._restart_at = now - SEGMENT_S, now + self._chance.uniform(*RESTART_S)
            self._epoch += 1
        if now >= self._away_at:
            self._away_at, self._back_at = now + AWAY_EVERY_S, now + self._chance.uniform(*AWAY_S)
        end = int((now - self._began_at) / SEGMENT_S)
        listed = range(max(0, end - WINDOW), end)
        if name == "live.m3u8":
            if now < self._back_at:
                return 503, b"", 0
            body = self._playlist(listed).encode()
            return 200, body, len(body)
        number = int(name.removesuffix(".ts"))
        luck = random.Random(f"{self._seed} {self._epoch} {number}").uniform(0, 100)
        if number not in range(listed.start - 1, listed.stop) or luck < MISSING_PERCENT:
            return 404, b"", 0
        body = self._segments[number % len(self._segments)]
        return 200, body, len(body) // 2 if luck < MISSING_PERCENT + CUT_PERCENT else len(body)

    def _playlist(self, listed: range) -> str:
        breaks = max(0, (listed.start - 1) // len(self._segments))
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_S:.0f}"]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{listed.start}", f"#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}"]
        for number in listed:
            if number and number % len(self._segments) == 0:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += [f"#EXTINF:{SEGMENT_S},", f"{number}.ts"]
        return "\n".join([*lines, ""])


async def serve(segments: list[bytes], seed: str) -> None:
    """Serve until standard input ends."""
    channels: dict[str, Channel] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, channel, name = head.split()[1].decode().split("/")
                one = channels.setdefault(channel, Channel(f"{seed} {channel}", segments))
                status, body, sent = one.answer(name)
                kind = "video/mp2t" if name.endswith(".ts") else "application/vnd.apple.mpegurl"
                fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}"
                writer.write(f"HTTP/1.1 {status} X\r\n{fields}\r\n\r\n".encode())
                writer.write(memoryview(body)[:sent])
                await writer.drain()
                if sent < len(body) or b"connection: close" in head.lower():
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    # A thread that is not waited for: it reads until there is nothing more.
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()
    server.close()


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    _segments = [(_folder / f"{number}.ts").read_bytes() for number in range(len(list(_folder.glob("*.ts"))))]
    asyncio.run(serve(_segments, sys.argv[2]))
