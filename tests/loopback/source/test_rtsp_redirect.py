"""An RTSP server that sends ffmpeg elsewhere, which it follows by itself."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.rtsp_server import RtspServer
from streamferry.media.errors import SourceError, SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines, DialOptions
from streamferry.source import SourceMemory
from streamferry.source.streams import open_rtsp_by_ffmpeg

pytestmark = pytest.mark.e2e

UNDER_POLICY: DialOptions = {"deadlines": Deadlines(), "allow": lambda _: True}


class Servers:
    """One that redirects to the other, and what the other was asked."""

    def __init__(self) -> None:
        self.asked_inside: list[str] = []
        self.url = self.inside = ""

    async def redirect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """302 for whatever is not OPTIONS."""
        try:
            while request := await _read_request(reader):
                sequence = re.search(r"(?i)cseq: *(\d+)", request)
                assert sequence is not None
                status = "200 OK" if request.startswith("OPTIONS") else f"302 Moved\r\nLocation: {self.inside}"
                writer.write(f"RTSP/1.0 {status}\r\nCSeq: {sequence[1]}\r\n\r\n".encode())
        finally:
            writer.close()

    async def note(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Who asks gets nothing."""
        self.asked_inside.append(await _read_request(reader))
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, OSError):
        return ""


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """Both on free ports."""
    servers = Servers()
    async with (
        await asyncio.start_server(servers.redirect, "127.0.0.1", 0) as outside,
        await asyncio.start_server(servers.note, "127.0.0.1", 0) as inside,
    ):
        servers.url = f"rtsp://127.0.0.1:{outside.sockets[0].getsockname()[1]}/stream"
        servers.inside = f"rtsp://127.0.0.1:{inside.sockets[0].getsockname()[1]}/inside"
        yield servers
        await end_all()


async def test_a_redirect_led_past_the_egress_policy(servers: Servers) -> None:
    """Under a policy it is not followed, because nobody could ask the policy about where it leads."""
    with pytest.raises(SourceRejected, match="redirects") as refused:
        await open_rtsp_by_ffmpeg(MediaUrl.parse(servers.url), SourceMemory(), **UNDER_POLICY)
    assert "inside" not in str(refused.value)


async def test_a_redirect_to_the_same_port_of_another_machine_reaches_nobody(servers: Servers) -> None:
    """ffmpeg tells of a redirect in the breath in which it connects: what holds it back must be there before."""
    reached: list[asyncio.StreamWriter] = []
    port = int(servers.url.split(":")[2].split("/")[0])

    async def other_machine(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer)
        writer.close()

    async with await asyncio.start_server(other_machine, "127.0.0.2", port):
        servers.inside = f"rtsp://127.0.0.2:{port}/inside"
        for _ in range(3):
            with pytest.raises(SourceRejected, match="redirects"):
                await open_rtsp_by_ffmpeg(
                    MediaUrl.parse(servers.url), SourceMemory(), deadlines=Deadlines(), allow=lambda _: True
                )
        await end_all()
    assert reached == []


async def test_media_comes_under_a_policy(tmp_path: Path, clips: ClipFactory) -> None:
    """Of the peer that was judged, and again when a source is opened anew; when it is closed the peer is left."""
    with RtspServer(tmp_path / "rtsp", clips("flash_beep")) as server:
        for _ in range(2):
            inlet = await open_rtsp_by_ffmpeg(
                MediaUrl.parse(server.url()), SourceMemory(), deadlines=Deadlines(), allow=lambda _: True
            )
            inlet.close()
            await end_all()


async def test_without_a_policy_redirects_are_followed(servers: Servers) -> None:
    """As players do it."""
    with pytest.raises(SourceError):
        await open_rtsp_by_ffmpeg(MediaUrl.parse(servers.url), SourceMemory(), deadlines=Deadlines())
    assert servers.asked_inside
    assert servers.asked_inside[0].startswith("OPTIONS")
