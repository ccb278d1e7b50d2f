"""PreviewServer: the small HTTP listener of a worker, from which the service fetches previews of its relays.

    GET /preview/<task id>    Authorization: Bearer <pass>

returns 200 and the stream (video/mp4 or audio/mp4, chunked) until the run ends.

Anything else is refused with a sentence as plain text: 403 without a good pass, 404 when the task does not run here,
409 when there can be no preview. A pass is short-lived and for one task; it is made with the store's seal key.
Connections without a pass so far are limited, and take no place from those with one. Browsers do not connect here: they
use the service.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import h11

from streamferry.net.replies import send
from streamferry.net.unauthenticated import Unauthenticated
from streamferry.reasons import Code, Reason
from streamferry.relay.preview import PreviewRefused, Viewer
from streamferry.worker.preview_passes import FIRST_PICTURE_S, Passes

#: Viewers of all tasks of one process.
MAX_VIEWERS = 64
_REQUEST_S = 5.0
#: A viewer that takes nothing for this long is gone.
_STUCK_S = 30.0
_MAX_REQUEST_BYTES = 16 << 10
#: How much the kernel and asyncio may buffer for one viewer, so that late media is dropped here. 1 s of 4 Mbps.
_BUFFER_BYTES = 256 << 10


class PreviewServer:
    """Async context manager. ``open_viewer`` returns None for a task that does not run here."""

    def __init__(self, host: str, passes: Passes, open_viewer: Callable[[str], Viewer | None]) -> None:
        self._host = host
        self._passes = passes
        self._open_viewer = open_viewer
        self._viewers: set[Viewer] = set()
        self._answering: set[asyncio.Task[None]] = set()
        #: Connections without a valid pass so far.
        self._unauthenticated = Unauthenticated[asyncio.StreamWriter](lambda writer: writer.transport.abort())
        self._server: asyncio.Server | None = None
        #: ``host:port`` under which the service finds it.
        self.address = ""

    async def __aenter__(self) -> "PreviewServer":
        try:
            self._server = await asyncio.start_server(self._take, self._host, 0, limit=_MAX_REQUEST_BYTES)
        except OSError as error:
            raise OSError(error.errno, f"worker-host: cannot listen on {self._host}: {error.strerror}") from None
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        self._unauthenticated.add(writer)
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # It disconnected, or it does not speak HTTP: there is nobody to answer.
        finally:
            self._answering.discard(task)
            self._unauthenticated.remove(writer)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_REQUEST_BYTES)
        async with asyncio.timeout(_REQUEST_S):
            request = await _read_request(reader, http)
        task_id = request.target.decode("ascii", "replace").removeprefix("/preview/")
        given = dict(request.headers).get(b"authorization", b"").decode("ascii", "replace").removeprefix("Bearer ")
        if request.method != b"GET" or not self._passes.admits(given, task_id):
            await _refuse(writer, http, 403, Reason.of(Code.PREVIEW_NO_PASS))
            return
        self._unauthenticated.remove(writer)
        if len(self._viewers) >= MAX_VIEWERS:
            await _refuse(writer, http, 409, Reason.of(Code.PREVIEW_WORKER_FULL, count=MAX_VIEWERS))
            return
        try:
            viewer = self._open_viewer(task_id)
        except PreviewRefused as refused:
            await _refuse(writer, http, 409, refused.why)
            return
        if viewer is None:
            await _refuse(writer, http, 404, Reason.of(Code.PREVIEW_NOT_HERE))
            return
        self._viewers.add(viewer)
        watching = asyncio.ensure_future(_close_at_end(reader, viewer))
        try:
            await _stream(writer, http, viewer)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._viewers.discard(viewer)
            viewer.close()


async def _read_request(reader: asyncio.StreamReader, http: h11.Connection) -> h11.Request:
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            raise h11.RemoteProtocolError("no request came")
        http.receive_data(await reader.read(_MAX_REQUEST_BYTES))


async def _stream(writer: asyncio.StreamWriter, http: h11.Connection, viewer: Viewer) -> None:
    """Send what arrives, at the peer's pace: media that it does not take in time is dropped by the viewer."""
    try:
        async with asyncio.timeout(FIRST_PICTURE_S):
            data = await viewer.read()
    except TimeoutError:
        await _refuse(writer, http, 409, Reason.of(Code.PREVIEW_NO_FIRST_PICTURE, seconds=FIRST_PICTURE_S))
        return
    except PreviewRefused as refused:
        await _refuse(writer, http, 409, refused.why)
        return
    if not data:
        await _refuse(writer, http, 404, Reason.of(Code.PREVIEW_TASK_ENDED))
        return
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    writer.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    await _send(writer, http, h11.Response(status_code=200, headers=_headers(viewer.mime)))
    with contextlib.suppress(PreviewRefused):
        while data:
            await _send(writer, http, h11.Data(data=data))
            data = await viewer.read()
    await _send(writer, http, h11.EndOfMessage())
    await _finish(writer)


async def _refuse(writer: asyncio.StreamWriter, http: h11.Connection, status: int, why: Reason) -> None:
    await _send(writer, http, h11.Response(status_code=status, headers=_headers("application/json")))
    await _send(writer, http, h11.Data(data=why.dump().encode()))
    await _send(writer, http, h11.EndOfMessage())
    await _finish(writer)


def _headers(content_type: str) -> list[tuple[str, str]]:
    return [("content-type", content_type), ("cache-control", "no-store"), ("connection", "close")]


async def _send(writer: asyncio.StreamWriter, http: h11.Connection, event: h11.Event) -> None:
    async with asyncio.timeout(_STUCK_S):
        await send(writer, http.send(event) or b"")


async def _finish(writer: asyncio.StreamWriter) -> None:
    """Close gracefully, so that the last bytes arrive."""
    writer.close()
    async with asyncio.timeout(_STUCK_S):
        await writer.wait_closed()


async def _close_at_end(reader: asyncio.StreamReader, viewer: Viewer) -> None:
    """Close when the peer does: nothing more is requested on this connection, so the only thing to read is its end."""
    with contextlib.suppress(OSError):
        await reader.read(1)
    viewer.close()
