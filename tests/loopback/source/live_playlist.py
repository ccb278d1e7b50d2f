"""A live HLS by hand: segments that are there, and a playlist that names those which a test wants it to."""

import re


class Playlist:
    """A live playlist of one-second segments; ``shown`` are those it names. ``refuses`` are answered 403."""

    def __init__(self, vod):
        self._home = vod.parent
        self.names = re.findall(r"^\S+\.ts$", vod.read_text(), flags=re.MULTILINE)
        self.shown = range(0)
        self.refuses = set()
        #: Lines behind those of the segments.
        self.more = ()
        #: How often it was asked for.
        self.loads = 0
        #: Numbers of the segments that were asked for.
        self.asked = []

    async def serve(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            name = head.split()[1].decode().lstrip("/")
            status, body = 200, b""
            if name == "live.m3u8":
                self.loads += 1
                lines = [*(f"#EXTINF:1.0,\n{self.names[number]}" for number in self.shown), *self.more]
                start = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{self.shown.start}"
                body = "\n".join([start, *lines, ""]).encode()
            else:
                self.asked.append(self.names.index(name))
                status = 403 if self.asked[-1] in self.refuses else 200
                body = (self._home / name).read_bytes() if status == 200 else b""
            kind = "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp2t"
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()
