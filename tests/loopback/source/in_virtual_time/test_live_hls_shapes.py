"""Live HLS in the shapes that finished one has: the same frames come as of plain segments."""

import gzip
from functools import partial

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from kit.live_hls import LiveServer, watch
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())
SECONDS = 12


class Encrypted(LiveServer):
    """By AES-128: each second segment has a key of its own, and its vector is told or follows from its number."""

    tells_vector = True

    def text(self):
        self.marks = {}
        for number in self.listed():
            vector = f",IV=0x{number + 99:032X}" if self.tells_vector else ""
            self.marks[number] = [f'#EXT-X-KEY:METHOD=AES-128,URI="{number // 2}.key"{vector}']
        return super().text()

    async def media(self, name):
        number = int(name.partition(".")[0])
        if name.endswith(".key"):
            return number.to_bytes(16)
        padder, vector = PKCS7(128).padder(), number + (99 if self.tells_vector else 0)
        encryptor = Cipher(AES128((number // 2).to_bytes(16)), CBC(vector.to_bytes(16))).encryptor()
        plain = await super().media(name)
        return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


class EncryptedByNumber(Encrypted):
    tells_vector = False


class InOneFile(LiveServer):
    """Segments are byte ranges, of which every second tells no beginning."""

    def text(self):
        self.name, self.marks = "all{}.ts", {}
        text = super().text()
        for number in self.listed():
            sizes = [len(segment) for segment in self.segments]
            begin = f"@{sum(sizes[:number])}" if number == self.listed().start or number % 2 else ""
            text = text.replace(f"all{number}.ts", f"#EXT-X-BYTERANGE:{sizes[number]}{begin}\nall.ts")
        return text

    async def media(self, name):
        return b"".join(self.segments)


class Compressed(LiveServer):
    """Its playlists, though nobody asked for it."""

    def __post_init__(self):
        super().__post_init__()
        self.answer = lambda name, _: (200, gzip.compress(self.text().encode())) if name == "live.m3u8" else None


class Disguised(LiveServer):
    """A small picture stands before each segment."""

    def __post_init__(self):
        super().__post_init__()
        self.name = "{}.png"
        self.segments = [b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + segment for segment in self.segments]


class Marked(LiveServer):
    """Playlists begin with a byte order mark, and lines end as on Windows."""

    def text(self):
        return "\ufeff" + super().text().replace("\n", "\r\n")


class Redirecting(LiveServer):
    """Each request is led to another address, that of the playlist too."""

    async def _answer(self, head, writer):
        name = head.split()[1].lstrip("/")
        if name.startswith("node/"):
            await super()._answer(head.replace("node/", ""), writer)
            return
        self.asked.append(name)
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: /node/{name}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()


async def frames_of(peers, server):
    port = await peers.serve(server.serve)
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/live.m3u8"))
    seen = await watch(inlet, SECONDS)
    inlet.close()
    assert seen.error is None
    return [[tag[3] for tag in tags] for tags in (seen.pictures, seen.sounds)]


@pytest.mark.parametrize(
    "shape",
    [Encrypted, EncryptedByNumber, InOneFile, Compressed, Disguised, Marked, Redirecting],
    ids=lambda one: one.__name__,
)
async def test_the_frames_are_those_of_plain_segments(peers, clips, shape):
    playlist = clips.hls("half_a_minute")
    found, plain = await frames_of(peers, shape(playlist)), await frames_of(peers, LiveServer(playlist))
    for ours, theirs in zip(found, plain, strict=True):
        count = min(len(ours), len(theirs))
        assert count > 20 * SECONDS
        assert ours[:count] == theirs[:count]
