"""Previews of tasks: what a task's worker has sent to the destination, passed on to viewers.

The service neither buffers nor parses it: bytes go from the worker to the viewer at the viewer's pace, and when the
viewer leaves, the worker stops. Permission is checked by the caller.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from types import TracebackType

import httpx

from streamferry.net.peers import NoPlace, Places
from streamferry.reasons import Code, Reason
from streamferry.store import Store, tasks, workers
from streamferry.tasks.actor import current_actor
from streamferry.tasks.checks import check_task_id
from streamferry.tasks.errors import PreviewUnavailable, TaskNotFound
from streamferry.worker.preview_passes import FIRST_PICTURE_S, Passes

#: Viewers of all tasks that one service serves, and of these per key.
MAX_READERS, MAX_OF_KEY = 200, 50
# A stream that is silent for this long has stalled; the viewer may start again.
_TIMEOUT = httpx.Timeout(5.0, read=FIRST_PICTURE_S + 10.0, pool=0.5)
_MAX_REFUSAL_BYTES = 1000


class PreviewStream:
    """Fragmented MP4 of one task from now on. Iterate over it once, and close it."""

    def __init__(self, response: httpx.Response, release: Callable[[], None] | None = None) -> None:
        self._response = response
        self._release = release
        #: MIME type with the codecs; a stream whose codecs change announces it again (``wire.fmp4``).
        self.mime: str = response.headers["content-type"]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Bytes as they come, until the run ends or its worker is gone."""
        try:
            async for data in self._response.aiter_raw():
                yield data
        except (httpx.TransportError, httpx.StreamError):
            return

    async def aclose(self) -> None:
        """Stop viewing."""
        if (release := self._release) is not None:
            self._release = None
            release()
        await self._response.aclose()


class Previews:
    """Async context manager that opens previews of the tasks of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._passes = Passes(store.seal.sign)
        self._places = Places(MAX_READERS, MAX_OF_KEY)
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            # Ignore proxies in the environment: workers are in the local network.
            trust_env=False,
            # They speak plain HTTP. By itself httpx would read all certificates of the machine, at each start.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_connections=MAX_READERS),
        )

    async def __aenter__(self) -> "Previews":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def open(self, task_id: str) -> PreviewStream:
        """The preview, once there is a picture to begin with, which takes up to a keyframe interval of the stream.

        Raises TaskNotFound, PreviewUnavailable.
        """
        check_task_id(task_id)
        key = current_actor().name
        try:
            self._places.take(key)
        except NoPlace:
            raise PreviewUnavailable(Code.PREVIEW_TOO_MANY_OF_KEY) from None
        try:
            response = await self._ask(task_id)
        except BaseException:
            self._places.give_back(key)
            raise
        return PreviewStream(response, lambda: self._places.give_back(key))

    async def _ask(self, task_id: str) -> httpx.Response:
        """The worker's response, whose body is still to come."""
        async with self._store.read() as connection:
            address = await workers.find_address(connection, task_id)
            if address is None and await tasks.find(connection, self._store.seal, task_id) is None:
                raise TaskNotFound(task_id)
        if address is None:
            raise PreviewUnavailable(Code.PREVIEW_NOT_RUNNING)
        request = self._client.build_request(
            "GET",
            f"http://{address}/preview/{task_id}",
            headers={"authorization": f"Bearer {self._passes.issue(task_id)}"},
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.PoolTimeout:
            raise PreviewUnavailable(Code.PREVIEW_TOO_MANY_READERS, count=MAX_READERS) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise PreviewUnavailable(Code.PREVIEW_WORKER_SILENT) from None
        if response.status_code == httpx.codes.OK:
            return response
        try:
            why = Reason.load((await response.aread())[:_MAX_REFUSAL_BYTES].decode("utf-8", "replace"))
        except (httpx.HTTPError, ValueError):
            why = Reason.of(Code.PREVIEW_WORKER_REFUSES)
        finally:
            await response.aclose()
        raise PreviewUnavailable(why)
