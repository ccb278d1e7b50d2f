"""All here is scripted, and runs in virtual time."""

import asyncio
from collections.abc import Callable

import pytest

from kit.camera import Camera
from kit.live_hls import watch
from kit.rtp import RtpClip
from kit.virtual_time import VirtualTimeLoop
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory, open_live
from streamferry.source.rtsp_inlet import RtspInlet


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One loop for all."""
    return {"virtual time": VirtualTimeLoop}


@pytest.fixture
async def camera(clips):
    return Camera(RtpClip(clips("half_a_minute", ".flv")))


@pytest.fixture
async def play(peers, camera):
    """``await play(seconds)``: what comes of a session, read in process. ``play.memory`` is of all sessions."""
    port = await peers.serve(camera.serve)
    memory = SourceMemory()

    async def session(seconds, path="cam", user="", **network):
        url = MediaUrl.parse(f"rtsp://{user}127.0.0.1:{port}/{path}")
        inlet = await open_live(url, memory=memory, deadlines=Deadlines(), **network)
        assert isinstance(inlet, RtspInlet)
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    session.memory = memory
    return session
