"""The asset_cache of scripts and styles."""

import httpx
import pytest
from nicegui import __version__
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from streamferry.web.dashboard.asset_cache import AssetCache

ASSETS = f"/dashboard/_nicegui/{__version__}"


class Kitchen:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked = 0
        inside = Starlette(routes=[Route("/{path:path}", self._answer)])
        transport = httpx.ASGITransport(app=AssetCache(GZipMiddleware(inside)))
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://here")

    async def _answer(self, request: Request) -> PlainTextResponse:
        self.asked += 1
        if "missing" in request.url.path:
            return PlainTextResponse("no", 404)
        return PlainTextResponse(request.url.path * 100, headers={"etag": "1"})


async def test_a_script_is_made_once() -> None:
    """Compressed and not, each as it was asked for."""
    kitchen = Kitchen()
    path = f"{ASSETS}/static/vue.js"
    for encoding in ("gzip", "identity", "gzip", "identity"):
        answer = await kitchen.browser.get(path, headers={"Accept-Encoding": encoding})
        assert answer.text == path * 100
        assert answer.headers.get("content-encoding", "identity") == encoding
    assert kitchen.asked == 2


@pytest.mark.parametrize("path", [f"{ASSETS}/dynamic_resources/x", "/dashboard/tasks", f"{ASSETS}/missing"])
async def test_what_changes_is_not_kept(path: str) -> None:
    """Nor what is not there."""
    kitchen = Kitchen()
    for _ in range(2):
        await kitchen.browser.get(path)
    assert kitchen.asked == 2


async def test_a_part_is_asked_for_each_time() -> None:
    """And so is whether the whole has changed."""
    kitchen = Kitchen()
    for headers in ({"Range": "bytes=0-1"}, {"If-None-Match": "1"}, {}):
        await kitchen.browser.get(f"{ASSETS}/a.js", headers=headers)
    assert kitchen.asked == 3
