"""RTSP over TLS: ffmpeg is given the name, which the certificate has, and reaches what the policy has judged."""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable

import pytest

from kit.camera import Camera
from kit.clips import ClipFactory
from kit.rtp import RtpClip, frames_of
from kit.waiting import PATIENCE_S
from streamferry.media.errors import SourceError, SourceRejected
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.net import dial
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import open_live
from streamferry.source.live import SCRATCH_BYTES
from streamferry.source.rtsp_inlet import RtspInlet

Allow = Callable[[str], bool] | None


async def _ask(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, allow: Allow) -> tuple[SourceError, list[str]]:
    """What a camera that has no streams is asked, and what is made of its answer."""
    asked: list[str] = []

    async def camera(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := (await reader.readuntil(b"\r\n\r\n")).decode():
            asked.append(request.split(" ")[0])
            sequence = re.search(r"(?i)cseq: *(\d+)", request)
            assert sequence is not None
            status = "200 OK" if request.startswith("OPTIONS") else "404 Not Found"
            writer.write(f"RTSP/1.0 {status}\r\nCSeq: {sequence[1]}\r\n\r\n".encode())

    async def until_it_leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await camera(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async with await asyncio.start_server(until_it_leaves, "127.0.0.1", 0, ssl=server_tls) as server:
        url = MediaUrl.parse(f"rtsps://localhost:{server.sockets[0].getsockname()[1]}/cam")
        with pytest.raises(SourceError) as failed:
            await open_live(url, deadlines=Deadlines(), tls=client_tls, allow=allow)
        await end_all()
    return failed.value, asked


@pytest.mark.parametrize("allow", [None, lambda address: address == "127.0.0.1"])
async def test_a_camera_is_asked(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, allow: Allow) -> None:
    """With a policy and without: the same way, through the proxy."""
    error, asked = await _ask(server_tls, client_tls, allow)
    assert isinstance(error, SourceRejected)
    assert "404" in str(error)
    assert asked == ["OPTIONS", "DESCRIBE"]


async def test_a_name_that_leads_elsewhere_when_ffmpeg_asks_is_not_followed(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged at an allowed address, then moved (DNS rebinding): nobody is connected to, though it listens there."""
    answers = ["203.0.113.1"]

    async def look_up(_: str, port: int) -> list[object]:
        address = answers.pop() if answers else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(dial, "look_up", look_up)
    _, asked = await _ask(server_tls, client_tls, lambda address: not address.startswith("127."))
    assert asked == []
    assert not answers


@pytest.mark.e2e
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_all_of_a_clip(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, clips: ClipFactory) -> None:
    """Media over TLS, as it is without: the pictures and the sounds of the clip."""
    camera = Camera(RtpClip(clips("h264_no_bframes", ".flv")))
    tags: list[Tag] = []
    scratch = memoryview(bytearray(SCRATCH_BYTES))
    async with await asyncio.start_server(camera.serve, "127.0.0.1", 0, ssl=server_tls) as server:
        url = MediaUrl.parse(f"rtsps://localhost:{server.sockets[0].getsockname()[1]}/cam")
        inlet = await open_live(url, deadlines=Deadlines(), tls=client_tls)
        assert isinstance(inlet, RtspInlet)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while min(len(frames_of(tags, kind)) for kind in (VIDEO, AUDIO)) < 20:
                    new: list[Tag] = []
                    inlet.pull(scratch, new)
                    tags += [(kind, stamp, bytes(body)) for kind, stamp, body in new]
                    await asyncio.sleep(0.02)
        finally:
            inlet.close()
            await end_all()
    for kind, wanted in ((VIDEO, camera.clip.pictures), (AUDIO, camera.clip.sounds)):
        assert [body for _, body in frames_of(tags, kind)][:20] == [body for _, body in wanted[:20]]
