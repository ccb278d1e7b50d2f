"""Previews and thumbnails as HTTP responses, for REST and for the dashboard, each behind its own gate."""

import contextlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from streamferry.control.previews import Previews, PreviewStream
from streamferry.control.thumbnails import FRESH_S, Thumbnails
from streamferry.store import Store

#: Neither cached nor buffered by proxies.
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_THUMBNAIL_HEADERS = {"cache-control": f"private, max-age={FRESH_S:.0f}", "x-content-type-options": "nosniff"}


class PreviewResponses:
    """Makes the responses. Both methods raise TaskNotFound and PreviewUnavailable."""

    def __init__(self, previews: Previews, thumbnails: Thumbnails) -> None:
        self._previews = previews
        self._thumbnails = thumbnails

    async def show_preview(self, task_id: str) -> Response:
        """Fragmented MP4 of what arrives at the destination, from the next keyframe on until the run ends."""
        return _PreviewResponse(await self._previews.open(task_id))

    async def show_thumbnail(self, task_id: str) -> Response:
        """A JPEG of what arrives at the destination, at most half a minute old."""
        jpeg = await self._thumbnails.get(task_id)
        return Response(jpeg, media_type="image/jpeg", headers=_THUMBNAIL_HEADERS)


@contextlib.asynccontextmanager
async def open_preview_responses(store: Store) -> AsyncIterator[PreviewResponses]:
    """Preview responses for the tasks of a store; their work ends with the block."""
    async with Previews(store) as previews, Thumbnails(previews) as thumbnails:
        yield PreviewResponses(previews, thumbnails)


class _PreviewResponse(StreamingResponse):
    """Closes the preview however the response ends: an abandoned generator would not notice."""

    def __init__(self, stream: PreviewStream) -> None:
        super().__init__(aiter(stream), media_type=stream.mime, headers=_STREAM_HEADERS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stream.aclose()
