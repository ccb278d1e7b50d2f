"""The listener from which the service fetches previews: who gets one, who is refused, and what is left of who goes."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from scripted.camera import Camera
from scripted.previewable import HEADERS, film, pictures
from scripted.waiting import until
from streamferry.net.unauthenticated import MAX_UNAUTHENTICATED
from streamferry.push import Outlet
from streamferry.reasons import Reason
from streamferry.relay.preview import Preview
from streamferry.relay.taps import Taps
from streamferry.timeline import Timeline
from streamferry.worker import preview_server as module
from streamferry.worker.preview_passes import Passes
from streamferry.worker.preview_server import PreviewServer


def sign(text: str) -> str:
    return hashlib.sha256(b"key" + text.encode()).hexdigest()


class Worker:
    """A worker that runs one task, ``t``, whose media a test hands out."""

    def __init__(self) -> None:
        self.passes = Passes(sign)
        self.outlet = Outlet()
        self.preview = Preview(Taps(self.outlet), Timeline())
        self.camera = Camera(gop=25)
        self.server = PreviewServer("127.0.0.1", self.passes, self.open_viewer)

    def open_viewer(self, task_id: str):
        return self.preview.watch() if task_id == "t" else None

    def hand_out(self, seconds: float) -> None:
        """The next of the film, with the headers before it, if anybody looks."""
        if self.outlet.tap is not None:
            self.outlet.tap(HEADERS)
        for tag in film(self.camera, seconds):
            if self.outlet.tap is not None:
                self.outlet.tap([tag])

    def ask(self, client: httpx.AsyncClient, task_id: str = "t", given: str | None = None):
        headers = {"authorization": f"Bearer {self.passes.issue(task_id) if given is None else given}".strip()}
        return client.stream("GET", f"http://{self.server.address}/preview/{task_id}", headers=headers)

    async def answer(self, client: httpx.AsyncClient, task_id: str = "t", given: str | None = None) -> tuple[int, str]:
        """Status and words of an answer that ends."""
        async with self.ask(client, task_id, given) as response:
            body = (await response.aread()).decode("latin-1")
            return response.status_code, body if response.status_code == 200 else str(Reason.load(body))


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    async with worker.server:
        yield worker


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


async def test_what_is_handed_out_arrives_until_the_run_ends(worker, client):
    """With its MIME type, in whole segments, and the end of the run is the end of the answer."""

    async def direct() -> None:
        await until("a viewer", lambda: worker.outlet.tap)
        worker.hand_out(3.4)
        worker.preview.end()

    directing = asyncio.ensure_future(direct())
    async with worker.ask(client) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == 'video/mp4; codecs="avc1.64000D,mp4a.40.2"'
        data = b"".join([piece async for piece in response.aiter_raw()])
    await directing
    shown = pictures(data)
    assert shown == list(range(len(shown)))
    assert len(shown) > 75


@pytest.mark.parametrize(
    "given",
    [
        lambda passes: "",
        lambda passes: "no pass",
        lambda passes: passes.issue("other"),
        lambda passes: Passes(sign, lambda: 1e9).issue("t"),
        lambda passes: Passes(lambda text: sign("x" + text)).issue("t"),
        lambda passes: "9" + passes.issue("t"),
        lambda passes: f"{int(passes.issue('t').split('.')[0]) + 1}.{passes.issue('t').split('.')[1]}",
    ],
    ids=["none", "nonsense", "of another task", "too old", "of another key", "from the far future", "stretched"],
)
async def test_without_a_good_pass_nothing_is_shown(worker, client, given):
    """Missing, false, expired, of another task, or made without the key; not even whether the task runs is told."""
    status, words = await worker.answer(client, given=given(worker.passes))
    assert status == 403
    assert "pass" in words
    assert worker.outlet.tap is None


async def test_a_task_that_does_not_run_here(worker, client):
    """404, so that the service can say so."""
    assert await worker.answer(client, "elsewhere") == (404, "the task does not run on this worker")


async def test_no_picture_in_time(worker, client, monkeypatch):
    """Who would wait for ever is told."""
    monkeypatch.setattr(module, "FIRST_PICTURE_S", 0.1)
    status, words = await worker.answer(client)
    assert status == 409
    assert words.startswith("no picture to begin with has reached the destination")
    await until("the end of the work", lambda: worker.outlet.tap is None)


async def test_the_run_cannot_be_shown(worker, client):
    """The reason comes in words."""

    async def direct() -> None:
        tap = await until("a viewer", lambda: worker.outlet.tap)
        tap([(9, 0, b"\x12frame", 1)])

    directing = asyncio.ensure_future(direct())
    status, words = await worker.answer(client)
    await directing
    assert status == 409
    assert "Sorenson H.263" in words


async def test_a_process_has_a_limit_of_viewers(worker, client, monkeypatch):
    """Over all its tasks."""
    monkeypatch.setattr(module, "MAX_VIEWERS", 0)
    status, words = await worker.answer(client)
    assert status == 409
    assert "viewers" in words


async def test_who_leaves_ends_the_work(worker):
    """While nothing comes, and while something does; it is noticed without a word."""
    for seconds in (0, 2):
        reader, writer = await asyncio.open_connection(*worker.server.address.split(":"))
        pass_ = worker.passes.issue("t")
        writer.write(f"GET /preview/t HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pass_}\r\n\r\n".encode())
        await until("a viewer", lambda: worker.outlet.tap)
        worker.hand_out(seconds)
        if seconds:
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await until("the end of the work", lambda: worker.outlet.tap is None)


async def test_a_reader_that_takes_nothing_holds_up_nobody(worker):
    """What waits for it is bounded: the rest is lost to it, and to it alone."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    host, port = worker.server.address.split(":")
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    with sock:
        pass_ = worker.passes.issue("t")
        sock.send(f"GET /preview/t HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pass_}\r\n\r\n".encode())
        await until("a viewer", lambda: worker.outlet.tap)
        (viewer,) = worker.server._viewers
        worker.camera.frame_bytes = 20_000
        for _ in range(60):
            worker.hand_out(1)
            await asyncio.sleep(0)
        assert viewer._waiting_bytes <= 8 << 20
        assert len(viewer._waiting) <= 26
    await until("the end of the work", lambda: worker.outlet.tap is None)


async def test_what_is_no_request_is_closed(worker, monkeypatch):
    """Nonsense, and silence."""
    monkeypatch.setattr(module, "_REQUEST_S", 0.2)
    for said in (b"\x16\x03\x01 hello\r\n\r\n", b"GET /preview/t HTTP/1.1\r\n", b"", b"x" * 40_000):
        reader, writer = await asyncio.open_connection(*worker.server.address.split(":"))
        writer.write(said)
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def test_who_has_no_pass_takes_no_place(worker, client, monkeypatch):
    """However many connect, the oldest of them have to go; who looks goes on looking, and the next one may."""
    monkeypatch.setattr(module, "_REQUEST_S", 60.0)
    looking = asyncio.ensure_future(worker.answer(client, "t"))
    await until("a viewer", lambda: worker.outlet.tap)
    with contextlib.ExitStack() as stack:
        strangers = []
        for said in (b"", b"GET /preview/t HTTP/1.1\r\n") * (MAX_UNAUTHENTICATED // 2 + 10):
            reader, writer = await asyncio.open_connection(*worker.server.address.split(":"))
            stack.callback(writer.close)
            writer.write(said)
            strangers.append(reader)
        async with asyncio.timeout(30):
            for reader in strangers[:20]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        assert not strangers[-1].at_eof()
        assert (await worker.answer(client, "other"))[0] == 404
    worker.hand_out(3.0)
    worker.preview.end()
    assert (await looking)[0] == 200


async def test_the_worker_leaves_while_somebody_looks(client):
    """The answers are cut off, and nothing is left running."""
    worker = Worker()
    async with worker.server:
        request = asyncio.ensure_future(worker.answer(client))
        await until("a viewer", lambda: worker.outlet.tap)
    with pytest.raises(httpx.TransportError):
        await request
    assert worker.outlet.tap is None
