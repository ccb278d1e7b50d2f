"""The library in a bucket: what is uploaded to a service is played by a worker that shares no disk with it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.programs import STREAMFERRY, Program
from kit.s3 import KEYS, S3Server
from kit.service_program import ServiceProgram
from kit.waiting import PATIENCE_S, wait_for
from streamferry.client import RestService

KEY, SECRET = "AKLIBRARY", "planted-secret-of-library"


def test_an_uploaded_film_plays_where_nothing_was_uploaded(
    tmp_path: Path, clips: ClipFactory, nginx: NginxRtmp
) -> None:
    """Uploaded by REST, inspected and played from the bucket; while that is away, what plays goes on and who asks for
    files is told why there are none. No secret is told."""
    with S3Server() as s3:
        environment = {
            "STREAMFERRY_ACCESS_KEY_ID": KEY,
            "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
            "STREAMFERRY_LIST_RATE": "0",
            "STREAMFERRY_LIBRARY": f"s3://{s3.make_bucket('films')}/up loads",
            "STREAMFERRY_S3_ENDPOINT": s3.endpoint,
            **{f"STREAMFERRY_S3_{name.upper()}": value for name, value in KEYS.items()},
        }
        words = ("--egress", "any")
        with ServiceProgram(tmp_path / "service", "--workers", "none", *words, environment=environment) as service:
            service.wait_ready()
            environment["STREAMFERRY_SEAL_KEY"] = (service.data / "seal.key").read_text().strip()
            run = (STREAMFERRY, "worker", "--data-dir", tmp_path / "other", "--store", service.store_url, *words)
            with Program(run, tmp_path / "worker", environment=environment) as worker:
                _upload_and_play(s3, service, clips, nginx)
                worker.stop()
            told = service.errors + (tmp_path / "worker").read_text()
    assert not any(secret in told for secret in (*KEYS.values(), SECRET))
    assert not (service.data / "library").exists()


def _upload_and_play(s3: S3Server, service: ServiceProgram, clips: ClipFactory, nginx: NginxRtmp) -> None:
    now = datetime.now(UTC)
    body = {"access_key_id": KEY, "secret_access_key": SECRET}
    token = httpx.post(f"{service.url}api/v1/tokens", json=body).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    with (
        httpx.Client(base_url=f"{service.url}api/v1", headers=headers, timeout=PATIENCE_S) as http,
        RestService(service.url, KEY, SECRET) as rest,
    ):
        made = http.put("/library/A film #1.mp4".replace("#", "%23"), content=clips("two_seconds").read_bytes()).json()
        assert made["url"] == "s3://films/up loads/A film #1.mp4"
        assert http.get("/library").json() == {"files": [made]}
        assert json.dumps(http.post("/probe", json={"url": made["url"]}).json()).count("h264")
        task = rest.create_task(
            {
                "kind": "vod",
                "sources": [{"url": made["url"]}],
                "destination": nginx.url("uploaded"),
                "start_at": now.isoformat(),
                "end_at": (now + timedelta(hours=1)).isoformat(),
            }
        )
        nginx.wait_published("uploaded")
        wait_for("it streams", lambda: rest.get_task(task["task_id"])["run"]["state"] == "streaming")
        s3.fault = lambda _: ("503 Service Unavailable", [])
        answer = http.get("/library")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "library_unavailable")
        assert http.put("/library/b.mp4", content=b"x").status_code == 503
        sent_s = rest.get_task(task["task_id"])["run"]["media_time_s"]
        wait_for("another loop", lambda: rest.get_task(task["task_id"])["run"]["media_time_s"] >= sent_s + 4)
        s3.fault = lambda _: None
        assert http.delete("/library/A film %231.mp4").status_code == 204
        rest.delete_task(task["task_id"])
        nginx.wait_unpublished("uploaded")
