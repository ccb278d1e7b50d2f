"""What an operator relies on: probes, metrics, the log, a backup that is restored elsewhere."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from kit import programs
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.cli.commands import app
from streamferry.client import LiveService
from streamferry.web.metrics import (
    DESTINATION_DROPPED,
    DESTINATION_RATE,
    DESTINATION_RETRIES,
    DESTINATION_STATE,
    FAMILIES,
    TASK_DRIFT,
    TASK_FOUND,
    TASK_ON_AIR,
    TASK_UNREADY,
    TASK_UNSEEN,
)

TOKEN = "m3tr1cs-t0ken"
SECRET = "s3cret-of-the-test"
KEY_PAIR = {"STREAMFERRY_ACCESS_KEY_ID": "AKOPERATOR", "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
STREAM_KEY = "k3y-of-the-stream"


@pytest.fixture
def serve(tmp_path: Path, clips: ClipFactory) -> Iterator[Callable[..., ServiceProgram]]:
    """``serve(name)`` starts a healthy service in a folder of that name, with JSON for a log."""
    started: list[ServiceProgram] = []

    def start(name: str, **environment: str) -> ServiceProgram:
        words = ("--egress", "any", "--files", clips.directory)
        settings = {"STREAMFERRY_LOG_FORMAT": "json", **KEY_PAIR, **environment}
        service = ServiceProgram(tmp_path / name, *words, environment=settings)
        started.append(service)
        return service.wait_ready()

    yield start
    for one in started:
        one.stop()


def get(url: str, token: str = "") -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(service: ServiceProgram) -> dict[tuple[str, ...], float]:
    """Every sample of /metrics, by name and label values."""
    status, page = get(f"{service.url}metrics", TOKEN)
    assert status == 200
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def create(service: ServiceProgram, clip: Path, to: str) -> str:
    """An endless list of one clip from now on; the task's id."""
    now = datetime.now(UTC)
    task = {
        "Type": 1,
        "SrcAddrS": [f"file://{clip}"],
        "CycleMode": -1,
        "StartTime": int(now.timestamp()),
        "EndTime": int((now + timedelta(hours=1)).timestamp()),
        "DstAddr": to,
    }
    with client_of(service) as client:
        return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def client_of(service: ServiceProgram) -> LiveService:
    """Our SDK with the operator's key."""
    client = LiveService(service.url.removeprefix("http://").rstrip("/"), "AKOPERATOR", SECRET)
    client.set_scheme("http")
    return client


def test_metrics_probes_and_log_of_a_running_task(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Metrics count what the task sends and ask for their token; each log line is an object and holds no secret."""
    service = serve("one", STREAMFERRY_METRICS_TOKEN=TOKEN, STREAMFERRY_METRICS_PER_TASK="true")
    assert get(f"{service.url}readyz") == (200, '{"status":"ok","workers":1,"room":500,"capacity":500}')
    assert get(f"{service.url}metrics")[0] == 401
    assert get(f"{service.url}metrics", TOKEN + "x")[0] == 401
    task_id = create(service, clips("h264_no_bframes"), nginx.url(STREAM_KEY))
    nginx.wait_published(STREAM_KEY)
    streaming = ("streamferry_task_state", "streaming", task_id)

    def is_counted() -> bool:
        found = samples(service)
        sent = [value for (name, *_), value in found.items() if name == "streamferry_sent_bytes_total"]
        return found.get(streaming) == 1 and sum(sent) > 0 and found["streamferry_tasks", "streaming", "active"] == 1

    wait_for("the task in the metrics", is_counted)
    # Files do not drift, there is one destination, nothing stands in for the files, and nobody watches what they show.
    of_others = (TASK_DRIFT, DESTINATION_STATE, DESTINATION_RATE, DESTINATION_DROPPED, DESTINATION_RETRIES)
    of_watched = (TASK_ON_AIR, TASK_FOUND, TASK_UNSEEN, TASK_UNREADY)
    of_files = {one.full_name for one in FAMILIES} - {one.full_name for one in (*of_others, *of_watched)}
    assert {name for name, *_ in samples(service)} == of_files
    broken = create(service, clips("not_media"), nginx.url("never"))
    wait_for("its trouble in the log", lambda: broken in service.errors)
    assert service.stop() == 0
    lines = [json.loads(line) for line in service.errors.splitlines()]
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)
    assert any(line.get("task_id") == broken for line in lines)
    for secret in (SECRET, STREAM_KEY, TOKEN):
        assert secret not in service.errors + service.said


def test_a_backup_is_restored_elsewhere_and_runs_on(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """Saved while the service runs; in another folder the same key opens it, and the task streams again by itself."""
    first = serve("first")
    task_id = create(first, clips("h264_no_bframes"), nginx.url("moved"))
    nginx.wait_published("moved")
    saved = tmp_path / "backup.gz"
    assert command("backup", saved, "--data-dir", first.data) == (0, "")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert first.stop() == 0
    nginx.wait_unpublished("moved")

    # In this process, because starting one takes long.
    for words, said in (("backup", "exists already"), ("restore", "in use")):
        refused = CliRunner().invoke(app, [words, str(saved), "--data-dir", str(first.data)])
        assert refused.exit_code == 2
        assert said in refused.stderr
    second_data = tmp_path / "second" / "data"
    second_data.parent.mkdir()
    assert command("restore", saved, "--data-dir", second_data) == (0, "")
    second = serve("second")
    nginx.wait_published("moved")
    with client_of(second) as client:
        (item,) = client.list_pull_to_push_task({})["Result"]["List"]
    assert item["TaskId"] == task_id


def command(*words: object) -> tuple[int, str]:
    """Exit status and standard error of a command of ours."""
    done = programs.run_ours(words)
    return done.returncode, done.stderr
