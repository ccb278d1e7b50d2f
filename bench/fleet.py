"""A service's whole fleet for one trial: PostgreSQL, services and workers as processes, a camera, and a receiver."""

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from programs import BENCH

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql
from kit.clips import ClipFactory
from kit.live import Publisher
from kit.machines import Machines, machines
from kit.nginx_rtmp import NginxRtmp
from kit.postgresql import PostgreSql
from kit.sightings import KnownFrames, Sightings


class Fleet(NamedTuple):
    """``clip``: what the camera sends to ``nginx``, as its stream ``camera``, and what lists may play."""

    clip: Path
    nginx: NginxRtmp
    server: PostgreSql
    machines: Machines


@asynccontextmanager
async def fleet(**options: Any) -> AsyncIterator[Fleet]:
    """``options``: as ``kit.machines.machines`` takes them."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        (home / "clips").mkdir()
        clips = ClipFactory(home / "clips", home / "made")
        clip = clips("half_a_minute")
        nginx = NginxRtmp(home / "nginx")
        nginx.start()
        stack.callback(nginx.stop)
        stack.enter_context(Publisher(clip, nginx.url("camera"), home / "camera.log"))
        nginx.wait_published("camera")
        server = stack.enter_context(postgresql.running(is_durable=True))
        sightings = await stack.enter_async_context(Sightings(KnownFrames(clip)))
        words = ("--egress", "any", "--files", clips.directory)
        ours = await stack.enter_async_context(machines(home, server, sightings, options=words, **options))
        yield Fleet(clip, nginx, server, ours)
