"""Secrets are planted in everything that a task can be given; then whatever the service shows is searched for them."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from kit import commands
from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.nginx_rtmp import NginxRtmp
from kit.programs import command_line, descendants, variables
from kit.service_program import ServiceProgram
from kit.waiting import START_S, wait_for
from streamferry.cli.commands import app
from streamferry.client import LiveService

PLANTED = "pl4nted"
KEY_ID, SECRET = "AKPLANTED", f"{PLANTED}-secret-key"
SEAL_KEY = f"{PLANTED}{'A' * 36}="
#: Nobody listens there, so that each way to fail has its say. The port is one that nothing is given.
NOBODY = "127.0.0.1:9"
SOURCES = (
    ("vod", f"http://user:{PLANTED}-word@{NOBODY}/film.mp4?sign={PLANTED}-query"),
    ("live", f"http://{NOBODY}/live.flv?sign={PLANTED}-query"),
    ("live", f"http://{NOBODY}/live.m3u8?sign={PLANTED}-query"),
    ("live", f"rtmp://{NOBODY}/app/stream?sign={PLANTED}-query"),
    ("live", f"rtsp://user:{PLANTED}-word@{NOBODY}/stream?sign={PLANTED}-query"),
    ("live", f"http://{NOBODY}/live/alice/{PLANTED}-word/1.ts"),
    ("live", f"http://{NOBODY}/live/{PLANTED}-stream.flv"),
    ("live", f"http://{NOBODY}/{PLANTED}-list/index.m3u8"),
    ("live", f"rtsp://{NOBODY}/{PLANTED}-path/1"),
    ("vod", f"http://{NOBODY}/{PLANTED}-folder/film.mp4"),
    ("live", f"srt://{NOBODY}?streamid=x&passphrase={PLANTED}-passphrase"),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> Iterator[ServiceProgram]:
    """One that says all it can say."""
    settings = {
        "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
        "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
        "STREAMFERRY_SEAL_KEY": SEAL_KEY,
        "STREAMFERRY_METRICS_PER_TASK": "true",
        "STREAMFERRY_WRITE_RATE": "0",
        "STREAMFERRY_LIST_RATE": "0",
        "STREAMFERRY_LOG_LEVEL": "debug",
        "STREAMFERRY_LOG_FORMAT": "json",
        "STREAMFERRY_S3_BUCKETS": "films",
        "STREAMFERRY_S3_ENDPOINT": f"http://{NOBODY}",
        "STREAMFERRY_S3_ACCESS_KEY_ID": f"{PLANTED}-bucket-id",
        "STREAMFERRY_S3_SECRET_ACCESS_KEY": f"{PLANTED}-bucket-key",
    }
    words = ("--egress", "any", "--files", clips.directory)
    service = ServiceProgram(tmp_path_factory.mktemp("planted"), *words, environment=settings, is_started=True)
    try:
        yield service.wait_ready()
    finally:
        service.stop()
    # Nor does it show one as it ends.
    assert PLANTED not in service.errors + service.output


@pytest.fixture
def client(service: ServiceProgram) -> Iterator[httpx.Client]:
    """Signed in, to REST and to the dashboard."""
    headers = {"origin": service.url.rstrip("/")}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=30) as client:
        pair = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
        client.headers["authorization"] = f"Bearer {client.post('/api/v1/tokens', json=pair).json()['token']}"
        form = {"access_key_id": KEY_ID, "secret": SECRET}
        assert client.post("/dashboard/sign-in", data=form).status_code == 303
        yield client


def _task(kind: str, source: str, destination: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "kind": kind,
        "sources": [{"url": source}],
        "destination": destination,
        "start_at": now.isoformat(),
        "end_at": (now + timedelta(hours=1)).isoformat(),
        "callback_url": f"http://user:{PLANTED}-word@{NOBODY}/services/T0/{PLANTED}-hook?sign={PLANTED}-query",
    } | ({"loops": -1} if kind == "vod" else {})


def _create(client: httpx.Client, nginx: NginxRtmp, clip: Path) -> list[str]:
    """One that streams, one that is refused, and one of each way to fail at the source; their ids."""
    film = f"file://{clip}"
    tasks = [
        _task("vod", film, nginx.url(f"{PLANTED}-good")),
        _task("vod", film, nginx.url(f"{PLANTED}-refused", app="closed")),
        _task("vod", film, f"srt://{NOBODY}?passphrase={PLANTED}-passphrase"),
        _task("vod", film, f"http://{NOBODY}/hls/{PLANTED}-push/index.m3u8"),
        *(_task(kind, url, nginx.url(f"{PLANTED}-{number}")) for number, (kind, url) in enumerate(SOURCES)),
    ]
    made = [client.post("/api/v1/tasks", json=task) for task in tasks]
    assert [one.status_code for one in made] == [201] * len(tasks), [one.text for one in made]
    return [one.json()["task_id"] for one in made]


def _events(client: httpx.Client) -> str:
    """As they are streamed, up to a second."""
    told, until = "", time.monotonic() + 1
    with client.stream("GET", "/api/v1/events/stream?after=0") as stream:
        for line in stream.iter_lines():
            told += line
            if time.monotonic() > until or "still here" in line or told.count("data:") > 20:
                return told
    return told


def test_no_surface_shows_a_planted_secret(
    service: ServiceProgram, client: httpx.Client, nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """REST, pages, events, metrics, commands, arguments, variables of programs, the log and the store."""
    ids = _create(client, nginx, clips("h264_no_bframes"))
    nginx.wait_published(f"{PLANTED}-good")

    def failing() -> bool:
        runs = [client.get(f"/api/v1/tasks/{one}").json()["run"] for one in ids[1:]]
        return all(run["reason"] for run in runs)

    wait_for("every way to fail to be told", failing, START_S)
    assert client.get(f"/api/v1/tasks/{ids[0]}/thumbnail").status_code == 200

    shown: dict[str, str] = {}
    for name in ("overview", "tasks", "events", "callbacks", "workers", "cache", "groups", "library", "openapi.json"):
        shown[name] = client.get(f"/api/v1/{name}").text
    shown["stream"] = _events(client)
    shown["metrics"] = client.get("/metrics").text
    for one in ids:
        for part in ("", "/request", "/events", "/samples"):
            shown[one + part] = client.get(f"/api/v1/tasks/{one}{part}").text
        for part in ("", "/edit", "/copy"):
            answer = client.get(f"/dashboard/tasks/{one}{part}")
            assert answer.status_code == 200
            shown[f"page of {one}{part}"] = answer.text
    for page in ("", "tasks", "library", "new"):
        shown[f"page {page}"] = client.get(f"/dashboard/{page}").text
    environment = {
        "HOME": str(tmp_path),
        "STREAMFERRY_URL": service.url,
        "VOLC_ACCESSKEY": KEY_ID,
        "VOLC_SECRETKEY": SECRET,
        "STREAMFERRY_SEAL_KEY": SEAL_KEY,
    }
    for command in (
        ("task", "list", "--json"),
        ("task", "show", ids[1], "--json"),
        ("task", "events", ids[1], "--json"),
        ("callbacks", "list", "--json"),
    ):
        words = [*command]
        if command[0] == "callbacks":
            words += ["--data-dir", str(service.data), "--store", service.store_url]
        done = CliRunner().invoke(app, words, env=environment)
        assert done.exit_code == 0, done.stderr
        shown[" ".join(command)] = done.stdout + done.stderr
    for pid in (service.pid, *descendants(service.pid)):
        shown[f"arguments of {pid}"] = command_line(pid)
        shown[f"variables of {pid}"] = variables(pid)
    assert "PATH=" in shown[f"variables of {service.pid}"]
    for path in service.data.glob("store.db*"):
        shown[path.name] = path.read_bytes().decode("latin-1")
    shown["log"] = service.errors
    shown["output"] = service.output
    assert "access key" not in shown["output"]
    assert "created" in shown["stream"]
    assert json.loads(shown["callbacks"])["total"] > 0
    assert ids[1] in shown["log"]
    assert {name for name, text in shown.items() if PLANTED in text} == set()
    assert "Traceback" not in shown["log"]
    # They would be tried again and again beside the other tests.
    for one in ids:
        assert client.delete(f"/api/v1/tasks/{one}").status_code == 204


@pytest.mark.parametrize("field", ["sources", "destination", "callback_url", "title", "start_at", "loops", "watermark"])
def test_a_refusal_does_not_repeat_what_it_was_given(client: httpx.Client, field: str) -> None:
    """Whatever is wrong with a field, the answer names it without its value."""
    wrong = f"nonsense://user:{PLANTED}@host/{PLANTED}?{PLANTED}"
    task = _task("vod", "https://h.example/a.mp4", "rtmp://push.example/app/key")
    for value in (wrong, [wrong], {"url": wrong}, [{"url": wrong}]):
        answer = client.post("/api/v1/tasks", json={**task, field: value})
        assert answer.status_code == 422
        assert PLANTED not in answer.text


class _Echo(BaseHTTPRequestHandler):
    """A server that repeats all that it is told: in its reason phrase, its headers and its body."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.close_connection = True
        heard = " ".join((self.path, *(f"{name}: {value}" for name, value in self.headers.items())))
        kind = self.path.partition("/")[2].partition("/")[0]
        if kind == "away":
            place = f"http://{NOBODY}/{PLANTED}-hop/film.mp4?sign={PLANTED}-hop"
            head = f"HTTP/1.1 302 {heard}\r\nLocation: {place}\r\n"
        elif kind == "page":
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        elif kind == "asks":
            head = f'HTTP/1.1 401 {heard}\r\nWWW-Authenticate: Basic realm="{heard}"\r\n'
        else:
            head = f"HTTP/1.1 403 {heard}\r\n"
        body = f"<html>{heard}</html>".encode()
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1", "replace") + body)

    do_GET = do_HEAD = do_PUT = do_CONNECT = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _echo() -> Iterator[str]:
    """Its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="echo")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


HEADERS = {
    "Authorization": f"Bearer {PLANTED}-token",
    "Cookie": f"sid={PLANTED}-cookie",
    "X-Key": f"{PLANTED}-header",
}


def _odd_tasks(echo: str, nginx: NginxRtmp, film: str) -> Iterator[dict[str, Any]]:
    """Each way to fail at a server that repeats what it hears, and each place of a task for a secret."""
    key = iter(range(1000))

    def to() -> str:
        return nginx.url(f"{PLANTED}-odd-{next(key)}")

    ways = {
        "no": ("cam.flv",),
        "away": ("film.mp4", "cam.flv"),
        "asks": ("film.mp4",),
        "page": ("cam.flv", "index.m3u8", "cam.ts"),
    }
    for kind, names in ways.items():
        for name in names:
            task = "vod" if name == "film.mp4" else "live"
            source = f"http://user:{PLANTED}-word@{echo}/{kind}/{PLANTED}-folder/{name}?sign={PLANTED}-query"
            yield {**_task(task, source, to()), "source_options": {"headers": HEADERS}}
    for proxy in ("http", "socks5"):
        options = {"proxy": f"{proxy}://user:{PLANTED}-proxy@{echo}"}
        yield {**_task("live", f"http://{NOBODY}/{PLANTED}.flv", to()), "source_options": options}
        yield {**_task("vod", film, to()), "destination_options": options}
    told = {
        "tc_url": f"rtmp://user:{PLANTED}-tc@h.example/live?sign={PLANTED}-tc",
        "swf_url": f"http://h.example/a.swf?sign={PLANTED}-swf",
        "page_url": f"http://user:{PLANTED}-page@h.example/?sign={PLANTED}-page",
    }
    closed = nginx.url(f"{PLANTED}-told", app="closed")
    yield {**_task("vod", film, closed), "destination_options": told}
    hls = f"http://user:{PLANTED}-word@{echo}/no/{PLANTED}-put/index.m3u8?sign={PLANTED}-query"
    yield {**_task("vod", film, hls), "destination_options": {"headers": HEADERS}}
    yield _task("vod", f"s3://films/{PLANTED}-object/a.mp4", to())


def test_nor_does_one_when_servers_repeat_it(
    service: ServiceProgram, client: httpx.Client, nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """Headers, proxies, parameters, further inputs and destinations, slates, inserted files, keys of buckets; in logs,
    lists, pages, callbacks, as-run logs, calendars, metrics, arguments, names of files, the store and a backup."""
    clip = clips("h264_no_bframes")
    film = f"file://{clip}"
    with _echo() as echo, CallbackReceiver() as hooks, HttpFiles(clip.parent) as files:
        air = {
            **_task("live", f"http://{echo}/no/{PLANTED}-cam.flv", nginx.url(f"{PLANTED}-air")),
            "title": "air",
            "callback_url": hooks.url(f"/{PLANTED}-hook?sign={PLANTED}"),
            "source_options": {"headers": HEADERS},
            "inputs": [
                {
                    "kind": "live",
                    "sources": [{"url": f"http://user:{PLANTED}-word@{echo}/page/{PLANTED}.flv?sign={PLANTED}"}],
                    "warm": True,
                    "options": {"headers": HEADERS},
                },
                {"kind": "vod", "sources": [{"url": f"http://{echo}/asks/{PLANTED}/film.mp4?sign={PLANTED}"}]},
            ],
            "slate": {"title": "Soon"},
            "watch": {"black": {}},
        }
        air.pop("destination")
        air["destinations"] = [
            {"name": "good", "to": nginx.url(f"{PLANTED}-air")},
            {"name": "closed", "to": {"server": nginx.url("", app="closed"), "key": f"{PLANTED}-key?x={PLANTED}"}},
        ]
        clip_slate = {
            **_task("live", f"http://{echo}/no/{PLANTED}-cam.flv", nginx.url(f"{PLANTED}-clip")),
            "slate": {"kind": "clip", "clip": f"http://user:{PLANTED}-word@{echo}/page/{PLANTED}/a.mp4?s={PLANTED}"},
        }
        tasks = [air, clip_slate, *_odd_tasks(echo, nginx, film)]
        made = [client.post("/api/v1/tasks", json=task) for task in tasks]
        assert [one.status_code for one in made] == [201] * len(tasks), [one.text for one in made]
        ids = [one.json()["task_id"] for one in made]

        def told() -> bool:
            runs = [client.get(f"/api/v1/tasks/{one}").json()["run"] for one in ids]
            return all(run["reason"] or run["on_air"] for run in runs) and len(runs[0]["unready"]) >= 2

        wait_for("every way to fail to be told", told, START_S)
        nginx.wait_published(f"{PLANTED}-air")
        path = f"/api/v1/tasks/{ids[0]}"
        assert client.post(f"{path}/insert", json={"url": f"{files.url(clip)}?sign={PLANTED}"}).status_code == 200
        hooks.wait_for("the file", lambda got: any(one.json["File"] for one in got), START_S)
        shown: dict[str, str] = {"callbacks": "".join(one.body.decode() for one in hooks.received)}
        for one in ids:
            for part in ("", "/request", "/events", "/windows", "/guide", "/as_run.csv"):
                answer = client.get(f"/api/v1/tasks/{one}{part}")
                assert answer.status_code == 200, answer.text
                shown[one + part] = answer.text
        for part in ("", "/edit", "/copy"):
            shown[f"page{part}"] = client.get(f"/dashboard/tasks/{ids[0]}{part}").text
        for name in (
            "overview",
            "tasks?size=500",
            "events",
            "callbacks",
            "workers",
            "audit",
            "calendar.ics",
            "library",
        ):
            shown[name] = client.get(f"/api/v1/{name}").text
        shown["list"] = client.get("/dashboard/tasks").text
        shown["metrics"] = client.get("/metrics").text
        with LiveService(service.url.removeprefix("http://").rstrip("/"), KEY_ID, SECRET) as live:
            live.set_scheme("http")
            shown["compatible"] = json.dumps(live.list_pull_to_push_task({"Size": 100}))
        for pid in (service.pid, *descendants(service.pid)):
            shown[f"arguments of {pid}"] = command_line(pid)
            shown[f"variables of {pid}"] = variables(pid)
        shown["log"] = service.errors
        for place in service.data.rglob("*"):
            if place.is_file():
                shown[place.name] = place.read_bytes().decode("latin-1")
                shown[f"name {place}"] = place.name
        for place in (service.data.parent / "cache").rglob("*"):
            shown[f"name {place}"] = place.name
        store = ("--data-dir", service.data, "--store", service.store_url)
        done = commands.run("backup", tmp_path / "all.gz", *store, environment={"STREAMFERRY_SEAL_KEY": SEAL_KEY})
        assert done.returncode == 0, done.stderr
        shown["backup"] = gzip.decompress((tmp_path / "all.gz").read_bytes()).decode().replace(SEAL_KEY, "")
        assert "on_air" in shown[ids[0]]
        assert {name for name, text in shown.items() if PLANTED in text} == set()
        assert "Traceback" not in shown["log"]
        for one in ids:
            assert client.delete(f"/api/v1/tasks/{one}").status_code == 204
