"""Thumbnails: small pictures of what a task sends, made only on request.

A thumbnail is a keyframe that reached the destination, decoded by an ffmpeg child of the lowest priority. A request
gets the last one while it is recent enough; once it is older than ``FRESH_S``, the next one is made in the background.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from streamferry.control.previews import Previews
from streamferry.net.child import Child, ChildError
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.sandbox import Limits, Sandbox
from streamferry.reasons import Code
from streamferry.tasks.errors import PreviewUnavailable
from streamferry.wire.fmp4 import end_of_fragment

#: A picture younger than this is good enough.
FRESH_S = 4.0
#: An older one no longer shows the stream as it is.
STALE_S = 30.0
#: Children at the same time; each takes about a tenth of a second of one core.
_MAX_CHILDREN = 2
_DECODE_S = 10.0
_SANDBOX = Sandbox(limits=Limits(cpu_s=10), niceness=19)
_MAX_FRAGMENT_BYTES = 16 << 20
_MAX_JPEG_BYTES = 1 << 20
_COMMAND = (
    *("-v", "error", "-threads", "1", "-f", "mp4", "-i", "pipe:0", "-frames:v", "1", "-vf", "scale=320:-2"),
    *("-threads", "1", "-q:v", "5", "-f", "mjpeg", "pipe:1"),
)


@dataclass(frozen=True, slots=True)
class _Picture:
    jpeg: bytes
    made_at: float


class Thumbnails:
    """Async context manager. Its work ends with it."""

    def __init__(self, previews: Previews, now: Callable[[], float] = time.monotonic) -> None:
        self._previews = previews
        self._now = now
        self._pictures: dict[str, _Picture] = {}
        self._making: dict[str, asyncio.Task[bytes]] = {}
        self._children = asyncio.Semaphore(_MAX_CHILDREN)

    async def __aenter__(self) -> "Thumbnails":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    async def get(self, task_id: str) -> bytes:
        """A JPEG of 320 pixels width, at most ``STALE_S`` old. Raises TaskNotFound, PreviewUnavailable."""
        now = self._now()
        self._pictures = {key: one for key, one in self._pictures.items() if now - one.made_at < STALE_S}
        picture = self._pictures.get(task_id)
        if picture is not None and now - picture.made_at < FRESH_S:
            return picture.jpeg
        making = self._making.get(task_id)
        if making is None:
            making = self._making[task_id] = asyncio.create_task(self._make(task_id), name="thumbnail")
            making.add_done_callback(lambda task: self._settle(task_id, task))
        # One requester may leave while others wait for the same picture.
        return picture.jpeg if picture is not None else await asyncio.shield(making)

    def _settle(self, task_id: str, task: "asyncio.Task[bytes]") -> None:
        del self._making[task_id]
        if not task.cancelled() and task.exception() is None:
            self._pictures[task_id] = _Picture(task.result(), self._now())

    async def _make(self, task_id: str) -> bytes:
        fragment = await self._fetch(task_id)
        async with self._children:
            try:
                async with asyncio.timeout(_DECODE_S):
                    jpeg = await _decode(fragment)
            except (ChildError, TimeoutError):
                jpeg = b""
        if not jpeg:
            raise PreviewUnavailable(Code.PREVIEW_NOT_DECODED)
        return jpeg

    async def _fetch(self, task_id: str) -> bytes:
        """Header and first fragment of a preview."""
        stream = await self._previews.open(task_id)
        try:
            if not stream.mime.startswith("video/"):
                raise PreviewUnavailable(Code.PREVIEW_NO_PICTURE)
            data = b""
            async for piece in stream:
                data += piece
                if end := end_of_fragment(data):
                    return data[:end]
                if len(data) > _MAX_FRAGMENT_BYTES:
                    break
        finally:
            await stream.aclose()
        raise PreviewUnavailable(Code.PREVIEW_ENDED_EARLY)


async def _decode(fragment: bytes) -> bytes:
    """The first picture as JPEG; empty if there is none. Raises ChildError."""
    child = Child([ffmpeg_program(), *_COMMAND], sandbox=_SANDBOX, stdin_data=fragment, redact=lambda _: "")
    try:
        jpeg = bytearray()
        view = memoryview(bytearray(64 << 10))
        while await child.wait_output() and len(jpeg) < _MAX_JPEG_BYTES:
            jpeg += view[: child.receive_into(view) or 0]
        return bytes(jpeg)
    finally:
        await child.aclose()
