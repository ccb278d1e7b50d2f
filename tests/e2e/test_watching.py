"""The preview of a task of the running service: by its API, in a browser, and as thumbnails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, Route, async_playwright

from kit.browser import program
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.probe import assert_flawless
from kit.programs import command_line, descendants
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET

PLAYER = Path(__file__).parents[2] / "src/streamferry/web/dashboard/static/player.js"
PAGE = """<!doctype html><title>preview</title><video width=320 muted></video><script type="module">
import { play } from "/player.js";
window.said = [];
window.stop = play(document.querySelector("video"), location.hash.slice(1), (words) => window.said.push(words), %s);
</script>"""
PIXELS = """() => {
  const video = document.querySelector("video");
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 36);
  return [video.currentTime, [...context.getImageData(0, 0, 64, 36).data], video.videoWidth];
}"""


class Api:
    """REST of a running service."""

    def __init__(self, service: ServiceProgram) -> None:
        self.service = service
        self.client = httpx.AsyncClient(base_url=f"{service.url}api/v1", trust_env=False, timeout=30)

    async def sign_in(self) -> None:
        answer = await self.client.post("/tokens", json={"access_key_id": KEY_ID, "secret_access_key": SECRET})
        self.client.headers["authorization"] = f"Bearer {answer.json()['token']}"

    async def create(self, clip: Path, destination: str) -> str:
        """An endless list of one clip; its id once it streams."""
        now = datetime.now(UTC)
        body = {
            "kind": "vod",
            "title": "preview",
            "sources": [{"url": f"file://{clip}"}],
            "destination": destination,
            "start_at": now.isoformat(),
            "end_at": (now + timedelta(hours=1)).isoformat(),
            "loops": -1,
        }
        answer = await self.client.post("/tasks", json=body)
        assert answer.status_code == 201, answer.text
        task_id = str(answer.json()["task_id"])
        async with asyncio.timeout(30):
            while (await self.client.get(f"/tasks/{task_id}")).json()["run"]["state"] != "streaming":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return task_id


@pytest.fixture
async def api(shared_service: ServiceProgram) -> AsyncIterator[Api]:
    """Its API."""
    api = Api(shared_service)
    async with api.client:
        await api.sign_in()
        yield api


async def test_the_stream_is_what_a_player_wants(
    api: Api, nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """By the API, with its codecs in the type; closed without a token; it ends when the task is stopped."""
    task_id = await api.create(clips("h264_bframes"), nginx.url("previewed"))
    path = f"/tasks/{task_id}/preview"
    assert (await api.client.get(path, headers={"authorization": ""})).status_code == 401
    data = b""
    async with api.client.stream("GET", path) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith('video/mp4; codecs="avc1.')
        began = time.monotonic()
        async for piece in response.aiter_raw():
            data += piece
            if time.monotonic() - began > 4 and began:
                began = float("inf")
                assert (await api.client.post(f"/tasks/{task_id}/stop")).status_code == 200
    (tmp_path / "preview.mp4").write_bytes(data)
    media = await asyncio.to_thread(assert_flawless, tmp_path / "preview.mp4")
    assert len(media.video.packets) > 75
    gone = await api.client.get(path)
    assert (gone.status_code, gone.json()["error"]["code"]) == (409, "no_preview")
    assert (await api.client.get(f"/tasks/{'0' * 32}/preview")).status_code == 404


async def test_a_thumbnail_while_somebody_asks(api: Api, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """A JPEG; asked again at once it is the same, later another one, and there is no child while nobody asks."""
    task_id = await api.create(clips("h264_no_bframes"), nginx.url("small"))
    path = f"/tasks/{task_id}/thumbnail"
    first = await api.client.get(path)
    assert first.headers["content-type"] == "image/jpeg"
    assert first.content[:2] == b"\xff\xd8"
    assert first.content[-2:] == b"\xff\xd9"
    assert (await api.client.get(path)).content == first.content
    async with asyncio.timeout(30):
        while (await api.client.get(path)).content == first.content:  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.5)
    children = [command_line(pid) for pid in descendants(api.service.pid)]
    assert not any("mjpeg" in words for words in children)


@asynccontextmanager
async def page_of(api: Api, path: str) -> AsyncIterator[Page]:
    """A page with nothing but the player, as if the service had given it."""
    token = {"authorization": api.client.headers["authorization"]}

    async def give(route: Route) -> None:
        if route.request.url.endswith("/player.js"):
            await route.fulfill(path=PLAYER, content_type="text/javascript")
        elif "/watch" in route.request.url:
            await route.fulfill(body=PAGE % token, content_type="text/html")
        else:
            await route.continue_()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        page = await browser.new_page()
        await page.route("**/*", give)
        await page.goto(f"{api.service.url}watch#{path}")
        yield page
        await browser.close()


async def wait_shown(page: Page) -> tuple[float, list[int], int]:
    """Wait for a picture: its time, pixels and width."""
    await page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
    time_s, pixels, width = await page.evaluate(PIXELS)
    return time_s, pixels, width


async def test_a_browser_shows_it(api: Api, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Time goes on and pixels change; it keeps near the present; after a break it plays again by itself."""
    task_id = await api.create(clips("h264_bframes"), nginx.url("watched"))
    async with page_of(api, f"/api/v1/tasks/{task_id}/preview") as page:
        began_s, before, width = await wait_shown(page)
        assert width == 320
        await page.wait_for_function(f"() => document.querySelector('video').currentTime > {began_s + 2}")
        _, after, _ = await page.evaluate(PIXELS)
        assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) > 10_000
        await page.wait_for_function(
            "() => { const v = document.querySelector('video'); return v.buffered.end(0) - v.currentTime < 3.5; }"
        )
        await api.client.post(f"/tasks/{task_id}/relaunch")
        await page.wait_for_function("() => window.said.some((words) => words !== '')")
        await page.wait_for_function("() => window.said.at(-1) === ''", timeout=40_000)
        await wait_shown(page)
        await page.evaluate("() => window.stop()")


async def test_a_browser_says_why_there_is_nothing(api: Api, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """A task that does not run, in the service's words."""
    task_id = await api.create(clips("h264_no_bframes"), nginx.url("stopped"))
    await api.client.post(f"/tasks/{task_id}/stop")
    async with page_of(api, f"/api/v1/tasks/{task_id}/preview") as page:
        await page.wait_for_function("() => window.said.some((words) => words.includes('not running'))")
