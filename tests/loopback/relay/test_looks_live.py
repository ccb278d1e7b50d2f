"""Whether an address is live or a file, by a look at what a server answers."""

import asyncio
from itertools import cycle

import pytest

from streamferry.media.url import MediaUrl
from streamferry.relay.live_or_file import looks_live
from streamferry.relay.network import Network

SEGMENT = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n"
MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/variant\n"
PLAYLIST = b"application/vnd.apple.mpegurl"


def answers(*bodies, content_type=PLAYLIST, length=True):
    """A server that gives one body after the other, whatever is asked for."""
    remaining = cycle(bodies)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = next(remaining)
        size = b"Content-Length: %d\r\n" % len(body) if length else b""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n%s" % (content_type, size, body))
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("path", "answer", "is_live"),
    [
        ("/any", answers(SEGMENT), True),
        ("/any.m3u8", answers(SEGMENT, content_type=b"text/plain"), True),
        ("/any", answers(SEGMENT + b"#EXT-X-ENDLIST\n"), False),
        ("/any", answers(MASTER, SEGMENT), True),
        ("/any", answers(MASTER, SEGMENT + b"#EXT-X-ENDLIST\n"), False),
        ("/any", answers(b"<html></html>"), False),
        ("/any", answers(b"FLV", content_type=b"video/x-flv", length=False), True),
        ("/any", answers(b"FLV", content_type=b"video/x-flv"), False),
        ("/any", answers(b"GGGG", content_type=b"video/mp2t", length=False), True),
        ("/any.mp4", answers(b"", content_type=b"video/mp4"), False),
    ],
)
async def test_what_a_server_answers_decides(peers, path, answer, is_live):
    """HLS without an end, also behind a master; FLV and MPEG-TS of no stated length. All else is a file."""
    port = await peers.serve(answer)
    assert await looks_live(MediaUrl.parse(f"http://127.0.0.1:{port}{path}"), Network()) is is_live
    await peers.all_closed()


async def test_a_server_that_is_away_decides_nothing():
    """The name does; some schemes are always live."""
    assert await looks_live(MediaUrl.parse("http://127.0.0.1:1/a.flv"), Network())
    assert not await looks_live(MediaUrl.parse("http://127.0.0.1:1/a.mp4"), Network())
    assert await looks_live(MediaUrl.parse("rtsp://127.0.0.1:1/a"), Network())
