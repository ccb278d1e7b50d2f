"""``streamferry task`` against a running service and a real nginx-rtmp, as a person types it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from typer.testing import CliRunner

from kit.clips import ClipFactory
from kit.front import front
from kit.nginx_rtmp import NginxRtmp
from kit.programs import STREAMFERRY
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from kit.waiting import wait_for
from streamferry.cli.commands import app

STREAM_KEY = "planted-stream-key"


class Commands:
    """Types ``streamferry task ...``."""

    def __init__(self, service: ServiceProgram, home: Path) -> None:
        self.service = service
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "STREAMFERRY_URL": service.url,
            "VOLC_ACCESSKEY": KEY_ID,
            "VOLC_SECRETKEY": SECRET,
        }

    def run(self, *words: object, status: int = 0, **environment: str) -> str:
        """What it prints, to standard error if it is to fail. In this process, because starting one takes long."""
        return self.run_any("task", *words, status=status, **environment)

    def run_any(self, *words: object, status: int = 0, **environment: str) -> str:
        """The same of any command."""
        done = CliRunner().invoke(app, [*map(str, words)], env={**self.environment, **environment})
        assert done.exit_code == status, done.output
        return done.stderr if status else done.stdout

    @property
    def newest(self) -> int:
        """Id of the newest event."""
        return max((json.loads(line)["id"] for line in self.run("events", "--json").splitlines()), default=0)

    def show(self, task_id: str) -> dict[str, Any]:
        """A task as ``show --json`` prints it."""
        shown: dict[str, Any] = json.loads(self.run("show", task_id, "--json"))
        return shown


@pytest.fixture
def commands(shared_service: ServiceProgram, tmp_path: Path) -> Iterator[Commands]:
    """The commands of the shared service, which may not log what a task of these tests is given."""
    home = tmp_path / "home"
    home.mkdir()
    yield Commands(shared_service, home)
    assert STREAM_KEY not in shared_service.errors


def test_over_https_with_an_authority_of_ones_own(commands: Commands, tmp_path: Path) -> None:
    """REQUESTS_CA_BUNDLE names it, as for the SDKs; a file that is not there is named by the variable."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with front(urlsplit(commands.service.url).netloc, authority) as safe:
        url = f"https://127.0.0.1:{safe.port}"
        assert "certificate" in commands.run("list", STREAMFERRY_URL=url, status=5)
        assert json.loads(commands.run("list", "--json", STREAMFERRY_URL=url, REQUESTS_CA_BUNDLE=str(file)))
    said = commands.run("list", STREAMFERRY_URL=url, REQUESTS_CA_BUNDLE=f"{file}.none", status=2)
    assert "CURL_CA_BUNDLE: cannot be used: No such file or directory" in said


def test_a_task_from_the_command_line(commands: Commands, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Created it streams, listed and shown as it is, stopped it keeps its place, continued it goes on, deleted it goes.

    ``events --follow`` tells each of it as it happens.
    """
    follower = subprocess.Popen(
        [STREAMFERRY, "task", "events", "--follow", "--after", str(commands.newest), "--json"],
        env=commands.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        to = nginx.url(STREAM_KEY)
        words = ("--source", clips("two_seconds"), "--loops", -1, "--end", "+1h", "--title", "channel1")
        # The address to push to is in no argument.
        task_id = commands.run("create", *words, STREAMFERRY_TO=to).strip()
        nginx.wait_published(STREAM_KEY)
        wait_for("a playhead", lambda: commands.show(task_id)["run"]["playhead"])
        wait_for("streaming", lambda: commands.show(task_id)["run"]["state"] == "streaming")
        table = commands.run("list", "--state", "streaming", "--title", "CHANNEL")
        assert task_id in table
        assert "streaming" in table
        assert "1 to 1 of 1" in table
        assert "channel1" in commands.run("show", task_id)
        assert "stopped" in commands.run("stop", task_id)
        wait_for("the stop", lambda: commands.show(task_id)["run"]["state"] == "stopped")
        stood = commands.show(task_id)["run"]["playhead"]
        assert "which stop is not for" in commands.run("stop", task_id, status=2)
        commands.run("continue", task_id)
        wait_for("streaming", lambda: commands.show(task_id)["run"]["state"] == "streaming")
        stands = commands.show(task_id)["run"]["playhead"]
        assert (stands["loop"], stands["position_s"]) >= (stood["loop"], stood["position_s"])
        commands.run(
            "update", task_id, "--title", "other", "--loops", 50, "--version", commands.show(task_id)["version"]
        )
        assert commands.show(task_id)["loops"] == 50
        assert "version" in commands.run("update", task_id, "--title", "third", "--version", 1, status=2)
        assert json.loads(commands.run("delete", task_id, "--json")) == {"task_id": task_id, "deleted": True}
        assert "there is no task" in commands.run("show", task_id, status=2)
        assert follower.stdout is not None
        kinds = []
        for line in follower.stdout:
            event = json.loads(line)
            assert STREAM_KEY not in line
            kinds += [event["kind"]] * (event["task_id"] == task_id)
            if kinds[-1:] == ["deleted"]:
                break
        ordered = ("created", "claimed", "streaming", "disabled", "enabled", "streaming", "updated", "deleted")
        remaining = iter(kinds)
        assert all(kind in remaining for kind in ordered), kinds
    finally:
        follower.terminate()
        follower.wait(10)
        if follower.stdout is not None:
            follower.stdout.close()


def test_a_task_is_named_by_a_beginning_of_its_id_or_by_its_title(commands: Commands) -> None:
    """What could be two tasks is refused before anything is done to either."""
    words = ("--source", "https://h.example/a.mp4", "--start", "+1h", "--end", "+1h")
    made = [
        commands.run("create", *words, "--to", f"rtmp://h.example/named/{number}", "--title", title).strip()
        for number, title in enumerate(("morning", "evening", "evening"))
    ]
    assert commands.show("morning")["task_id"] == made[0]
    assert commands.show(made[1][:10])["task_id"] == made[1]
    assert "evening could be " in commands.run("delete", "morning", "evening", status=2)
    assert "there is no task night" in commands.run("show", "night", status=2)
    assert "at least 4 digits" in commands.run("stop", made[0][:3], status=2)
    assert "stopped" in commands.run("stop", "morning")
    assert "waiting" in commands.run("continue", "morning")
    assert commands.run("start-over", "morning").split() == [made[0], "waiting"]
    # Under its older name.
    assert commands.run("relaunch", "morning").split() == [made[0], "waiting"]
    listed = commands.run("list", "--status", "waiting", "--title", "morning")
    assert made[0] in listed
    commands.run("delete", *made)


def test_the_last_events_are_shown(commands: Commands) -> None:
    """They were the first hundred, without a word of the rest."""
    words = ("--source", "https://h.example/a.mp4", "--start", "+1h", "--end", "+1h", "--title", "busy")
    made = commands.run("create", *words, "--to", "rtmp://h.example/a/busy").strip()
    for number in range(5):
        commands.run("update", "busy", "--loops", number + 1)
    kinds = [json.loads(line)["kind"] for line in commands.run("events", "busy", "--json").splitlines()]
    assert kinds == ["created", *["updated"] * 5]
    done = CliRunner().invoke(app, ["task", "events", made[:8], "-n", "2"], env=commands.environment)
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["updated", "updated"]
    assert done.stderr == "6 events, the last 2 shown\n"
    only = commands.run("events", "busy", "--kind", "created", "--since", "1h", "--json")
    assert [json.loads(line)["kind"] for line in only.splitlines()] == ["created"]
    none = CliRunner().invoke(app, ["task", "events", "busy", "--problems"], env=commands.environment)
    assert (none.stdout, none.stderr) == ("", "no problems\n")
    assert commands.run("events", "busy", "--since", "2099-01-01") == ""
    assert "--since: must be" in commands.run("events", "busy", "--since", "yesterday", status=2)
    everything = [json.loads(line)["id"] for line in commands.run("events", "--json").splitlines()]
    assert everything == sorted(everything)
    commands.run("delete", made)


def test_a_stream_of_events_is_resumed_over_http(commands: Commands) -> None:
    """With ``Last-Event-ID`` nothing is told twice and nothing is left out."""
    body = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    base = f"{commands.service.url}api/v1"
    headers = {"Authorization": f"Bearer {httpx.post(f'{base}/tokens', json=body).json()['token']}"}

    def read(count: int, last: int) -> list[int]:
        """Ids of the next events."""
        ids: list[int] = []
        resume = {**headers, "Last-Event-ID": str(last)}
        with httpx.stream("GET", f"{base}/events/stream", headers=resume, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    ids.append(json.loads(line[6:])["id"])
                if len(ids) == count:
                    break
        return ids

    words = ("--source", "https://h.example/a.mp4", "--start", "+1h", "--end", "+1h")
    before = commands.newest
    made = [commands.run("create", *words, "--to", f"rtmp://h.example/a/{name}").strip() for name in "xyz"]
    told = httpx.get(f"{base}/events?after={before}&limit=1000", headers=headers).json()["events"]
    everything = [one["id"] for one in told]
    assert len(everything) >= 3
    first = read(2, before)
    assert first + read(len(everything) - 2, first[-1]) == everything
    commands.run("delete", *made)


def test_what_is_wrong_is_said_with_its_option(commands: Commands, tmp_path: Path) -> None:
    """Exit status 2 and a sentence that names the field; 5 when the service cannot be asked."""
    given = ("--source", "https://h.example/a.mp4", "--to", "rtmp://h.example/a/b", "--end", "+1h")
    assert "--end: must be" in commands.run("create", *given, "--end", "tomorrow", status=2)
    assert "--source: is required" in commands.run("create", *given[2:], status=2)
    assert "loops: must be" in commands.run("create", *given, "--loops", 0, status=2)
    assert "title: must be" in commands.run("create", *given, "--title", "no spaces", status=2)
    assert "--offset: give it once" in commands.run("create", *given, "--offset", 1, "--offset", 2, status=2)
    assert "end_at: must be at most 7 days" in commands.run("create", *given, "--end", "+8d", status=2)
    assert "cannot be read" in commands.run("create", *given, "--watermark", tmp_path / "none.png", status=2)
    for url in ("ftp://h", "http://h:port"):
        assert "--url: " in commands.run("list", "--url", url, status=2)
    assert "wrong" in commands.run("list", status=2, VOLC_SECRETKEY="wrong")
    assert "no access key" in commands.run("list", status=2, VOLC_ACCESSKEY="", VOLC_SECRETKEY="")
    files = tmp_path / "other"
    (files / ".volc").mkdir(parents=True)
    (files / ".volc/credentials").write_text("access_key_id: hush")
    no_key = {"VOLC_ACCESSKEY": "", "VOLC_SECRETKEY": "", "HOME": str(files)}
    assert "credentials is not INI" in commands.run("list", status=2, **no_key)
    assert "cannot be reached: Connection refused" in commands.run(
        "list", status=5, STREAMFERRY_URL="http://127.0.0.1:1"
    )
    assert "it could be created" in commands.run("create", *given, "--check")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"no": "token"}'])
def test_another_service_is_not_taken_for_ours(commands: Commands, answer: bytes) -> None:
    """A web server at the address that says 200 to everything."""

    class Everything(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Everything) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            said = commands.run("list", "--url", f"http://127.0.0.1:{server.server_address[1]}", status=5)
        finally:
            server.shutdown()
            thread.join()
    assert "is this the address of a streamferry service?" in said


def test_a_body_comes_from_a_file(commands: Commands, tmp_path: Path) -> None:
    """Options come over what the file says; a task that was shown as a request can be made again."""
    first = commands.run(
        "create",
        "--source",
        "https://h.example/a.mp4",
        "--source",
        "https://h.example/b.mp4",
        "--offset",
        2,
        "--to",
        "rtmp://h.example/a/from-file",
        "--start",
        "+1h",
        "--end",
        "+30m",
        "--continue",
        "elapsed",
    ).strip()
    shown = commands.show(first)
    assert [one["start_s"] for one in shown["sources"]] == [2, 2]
    names = ("kind", "sources", "start_at", "end_at", "continue_strategy")
    body = {**{name: shown[name] for name in names}, "title": "file", "destination": "rtmp://h.example/a/second"}
    (tmp_path / "task.json").write_text(json.dumps(body))
    second = commands.show(commands.run("create", "--from-json", tmp_path / "task.json", "--title", "option").strip())
    assert (second["title"], second["sources"]) == ("option", shown["sources"])
    changed = json.loads(commands.run("update", first, "--offset", 1, "--offset", 0, "--json"))
    assert [one["start_s"] for one in changed["sources"]] == [1, 0]
    commands.run("delete", first, second["task_id"])


def test_a_task_as_a_request_makes_the_same_task(commands: Commands) -> None:
    """What REST gives to be pasted runs once the secrets are filled in, by the SDK and by curl."""
    words = ("--source", "https://h.example/a.mp4", "--source", "https://h.example/b.mp4", "--offset", 2)
    times = ("--start", "+1h", "--end", "+30m", "--loops", 3, "--title", "sample")
    first = commands.run("create", *words, *times, "--to", "rtmp://h.example/app/first").strip()
    base = f"{commands.service.url}api/v1"
    token = httpx.post(f"{base}/tokens", json={"access_key_id": KEY_ID, "secret_access_key": SECRET}).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    sample = httpx.get(f"{base}/tasks/{first}/request", headers=headers).json()
    assert not sample["is_complete"]
    python, curl = (
        re.sub(r"\*\*\*·[0-9a-f]{3}", name, sample[kind]) for kind, name in (("python", "second"), ("curl", "third"))
    )
    for command in ([sys.executable, "-c", python], ["sh", "-c", curl]):
        done = subprocess.run(command, env=commands.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
    page = json.loads(commands.run("list", "--title", "sample", "--json"))
    made = page["tasks"]
    assert len(made) == 3
    for one in made:
        assert one["sources"] == made[0]["sources"]
        assert (one["loops"], one["start_at"], one["end_at"]) == (3, made[0]["start_at"], made[0]["end_at"])
    commands.run("delete", *(one["task_id"] for one in made))


def test_a_stream_of_events_ends_with_the_service(tmp_path: Path) -> None:
    """Who follows does not hold up the end of the service, and is told of it by the end of the stream."""
    keys = {"STREAMFERRY_ACCESS_KEY_ID": KEY_ID, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
    with ServiceProgram(tmp_path / "service", environment=keys) as service:
        service.wait_ready()
        base = f"{service.url}api/v1"
        pair = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
        headers = {"Authorization": f"Bearer {httpx.post(f'{base}/tokens', json=pair).json()['token']}"}
        with httpx.stream("GET", f"{base}/events/stream", headers=headers, timeout=15) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry: ")
            os.kill(service.pid, signal.SIGTERM)
            assert [line for line in lines if line.startswith("data: ")] == []
        assert service.process.wait(10) == 0
        assert "Traceback" not in service.errors
        assert "[error" not in service.errors


def test_a_group_is_made_and_deleted_where_its_tasks_are(commands: Commands) -> None:
    """ "There is no group sport" was a dead end for who has nothing but the commands."""
    words = ("--source", "rtmp://h.example/a/b", "--start", "+1h", "--end", "+1h", "--to", "rtmp://h.example/app/group")
    assert "there is no group 体育" in commands.run("create", *words, "--group", "体育", status=2)
    assert commands.run_any("group", "create", "体育", "--tag", "owner=anna") == "体育 was made\n"
    assert "already a group" in commands.run_any("group", "create", "体育", status=2)
    assert "--tag: anna must be KEY=VALUE" in commands.run_any("group", "create", "x", "--tag", "anna", status=2)
    assert "Chinese characters, letters and digits" in commands.run_any("group", "create", "a b", status=2)
    made = commands.run("create", *words, "--group", "体育").strip()
    assert commands.run_any("group", "list").splitlines() == ["default", "体育  owner=anna"]
    listed = [json.loads(line) for line in commands.run_any("group", "list", "--json").splitlines()]
    assert [one["name"] for one in listed] == ["default", "体育"]
    refused = commands.run_any("group", "delete", "体育", status=2)
    assert refused.startswith("streamferry group: ")
    assert "holds tasks" in refused
    commands.run("delete", "--yes", made)
    assert commands.run_any("group", "delete", "体育") == "体育 was deleted\n"
    assert "there is no group" in commands.run_any("group", "delete", "体育", status=2)


def test_windows_that_recur_and_a_task_without_an_end(commands: Commands) -> None:
    """Made, shown and changed as they are typed; a calendar reads them at the address that is printed."""
    given = (
        "--source",
        "rtmp://127.0.0.1:9/live/news",
        "--live",
        "--to",
        f"rtmp://127.0.0.1:9/app/{STREAM_KEY}-recurs",
    )
    when = ("--start", "2099-01-05T20:00:00+00:00", "--end", "2099-01-05T21:00:00+00:00")
    series = ("--recurs", "FREQ=DAILY;COUNT=3", "--time-zone", "UTC", "--except", "2099-01-06T20:00")
    task_id = commands.run("create", *given, *when, *series, "--title", "Recurs").strip()
    schedule = json.loads(commands.run("schedule", task_id, "--json"))
    assert [one["start_at"] for one in schedule["upcoming"]] == ["2099-01-05T20:00:00Z", "2099-01-07T20:00:00Z"]
    assert commands.run("schedule", task_id).count("to come") == 2
    assert "2099-01-05" in commands.run("schedule", task_id, "--at", "2099-01-05T20:30:00+00:00")
    assert commands.show(task_id)["series"]["exdates"] == ["2099-01-06T20:00:00"]
    assert commands.run("as-run", task_id) == "start,end,seconds,loop,item,source,ended_by,reason\n"
    calendar = httpx.get(commands.run("calendar", "--group", "default").strip())
    assert (calendar.status_code, calendar.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert STREAM_KEY not in calendar.text
    assert "series.rule" in commands.run("update", task_id, "--recurs", "FREQ=HOURLY", status=2)
    commands.run("update", task_id, "--also", "2099-01-20T20:00")
    assert commands.show(task_id)["series"]["exdates"] == ["2099-01-06T20:00:00"]
    commands.run("update", task_id, "--recurs", "", "--end", "never")
    shown = commands.show(task_id)
    assert (shown["series"], shown["end_at"]) == (None, "never")
    assert "no end" in commands.run("show", task_id)
    commands.run("delete", "--yes", task_id)


def test_destinations_come_and_go_by_hand(commands: Commands) -> None:
    """Each by its number, before the task is on air as well as on it."""
    made = json.loads(
        commands.run(
            *("create", "--live", "--source", "rtmp://127.0.0.1:9/live/cam", "--to", "rtmp://127.0.0.1:9/live/one"),
            *("--start", "+1h", "--end", "+1h", "--json"),
        )
    )
    task_id, server = made["task_id"], "rtmp://127.0.0.1:9/live"
    commands.run("add-destination", task_id, "--to", server, "--key", STREAM_KEY, "--name", "Two", "--backup-of", 1)
    commands.run("change-destination", task_id, 2, "--off", "--latency", "low")
    shown = json.loads(commands.run("show", task_id, "--json"))["destinations"]
    assert [(one["id"], one["name"], one["enabled"]) for one in shown] == [(1, "", True), (2, "Two", False)]
    assert (shown[1]["server"], shown[1]["latency"], shown[1]["backup_of"]) == (server, "low", 1)
    said = commands.run("show", task_id)
    assert "destination 2" in said
    assert STREAM_KEY not in said
    assert "nothing was given" in commands.run("change-destination", task_id, 2, status=2)
    commands.run("remove-destination", task_id, 2)
    assert "destination 2" not in commands.run("show", task_id)
    commands.run("delete", task_id, "--yes")


def test_what_is_on_air_is_said_by_hand(commands: Commands) -> None:
    """Another input, the slate, the rules; a file for later, after an item, and taken back; the next item."""
    source, backup = "rtmp://127.0.0.1:9/live/cam", "rtmp://127.0.0.1:9/live/backup"
    given = ("--live", "--source", source, "--input", backup, "--slate", "Back soon")
    window = ("--end", "+1h", "--to", f"rtmp://127.0.0.1:9/live/{STREAM_KEY}-by-hand")
    task_id = commands.run("create", *given, *window).strip()
    for to, pinned in (("1", 1), ("slate", "slate"), ("auto", None)):
        assert json.loads(commands.run("switch", task_id, to, "--json"))["pinned"] == pinned
    assert "input 1" in commands.run("switch", task_id, "1")
    assert "input, slate or auto" in commands.run("switch", task_id, "backup", status=2)
    commands.run("switch", task_id, "7", status=2)
    commands.run("insert", task_id, "https://h.example/ad.mp4", "--at", "+10m", "--offset", 1, "--end-offset", 9)
    (waiting,) = commands.show(task_id)["inserts"]
    assert (waiting["url"], waiting["start_s"], waiting["end_s"]) == ("https://h.example/ad.mp4", 1, 9)
    assert "ad.mp4 from 1 s to 9 s" in commands.run("show", task_id)
    assert "after_item" in commands.run("insert", task_id, "https://h.example/ad.mp4", "--next", status=2)
    commands.run("cancel-insert", task_id, waiting["number"])
    assert commands.show(task_id)["inserts"] == []
    commands.run("skip", task_id)
    wrong = commands.run("update", task_id, "--input", "ftp://h.example/x.mp4", status=2)
    assert "(input 1)" in wrong
    commands.run("delete", task_id, "--yes")
