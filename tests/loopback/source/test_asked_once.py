"""What this ffmpeg can do is asked beside the event loop (C9): it runs the program, from a cold disk for seconds."""

import asyncio
import threading

import pytest

from kit.waiting import PATIENCE_S
from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import hls
from streamferry.source.http import open_http
from streamferry.source.memory import SourceMemory

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + b"".join(b"#EXTINF:2,\n%d.ts\n" % at for at in range(3))


async def test_the_first_hls_source_stopped_all_relays_for_as_long_as_ffmpeg_took_to_start(peers, monkeypatch):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        kind = b"application/vnd.apple.mpegurl"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(PLAYLIST)))
        writer.write(PLAYLIST)

    asked, loop_runs = threading.Event(), threading.Event()
    answers = []

    def slow(program):
        asked.set()
        answers.append(loop_runs.wait(PATIENCE_S))
        return ()

    async def answer():
        await asyncio.to_thread(asked.wait, PATIENCE_S)
        loop_runs.set()

    monkeypatch.setattr(hls, "live_pace", slow)
    monkeypatch.setenv("STREAMFERRY_FFMPEG", "/bin/false")
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(serve)}/live.m3u8")
    answering = asyncio.ensure_future(answer())
    with pytest.raises(MediaError):
        await open_http(url, SourceMemory(needs_ffmpeg=True), deadlines=Deadlines())
    await answering
    assert answers == [True]
