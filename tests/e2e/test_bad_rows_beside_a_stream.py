"""A running service over a store with rows that cannot be read: everybody else's streams go on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import sqlalchemy as sa

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.programs import command_line, descendants
from kit.service_program import ServiceProgram
from kit.tasks import vod
from streamferry.client import LiveService
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.relay import State
from streamferry.store import Seal, Store
from streamferry.store.records import DeliveryRecord
from streamferry.store.schema import access_key, callback_secret, event, mailbox, run, task_spec

KEY_ID, SECRET = "AKDAMAGE", "secret-of-the-test"


def workers_of(service: ServiceProgram) -> set[int]:
    """Its worker processes."""
    return {pid for pid in descendants(service.pid) if "attached_worker" in command_line(pid)}


async def until_failed(actions: Actions, task_ids: list[str]) -> None:
    """Until a worker has taken each, and has given it back for what it is."""
    async with asyncio.timeout(30):
        for task_id in task_ids:
            while not any(one.kind == "failed" for one in await actions.list_feed(task_id)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_a_healthy_stream_was_lost_eleven_times_in_25_seconds(
    store_url: str, tmp_path: Path, clips: ClipFactory, nginx: NginxRtmp
) -> None:
    """Rows of each kind are spoiled beside it: it is never touched, no process dies, and each surface answers."""
    clip = clips("flash_beep")
    keys = {"STREAMFERRY_ACCESS_KEY_ID": KEY_ID, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
    words = ("--egress", "any", "--files", clips.directory, "--workers", "2")
    service = ServiceProgram(tmp_path / "service", *words, store_url=store_url, environment=keys).wait_ready()
    store = Store(store_url, Seal((service.data / "seal.key").read_text().strip()))
    try:
        actions = Actions(store)
        good = await actions.create_task(vod(clip, nginx.url("good")))
        await asyncio.to_thread(nginx.wait_published, "good")
        workers = workers_of(service)
        assert len(workers) == 2
        later = datetime.now(UTC) + timedelta(hours=1)
        bad = [
            await actions.create_task(
                vod(clip, nginx.url(f"bad-{number}"), start_at=later, end_at=later + timedelta(hours=1))
            )
            for number in range(4)
        ]
        calls = vod(clip, nginx.url("calls"), callback_url="http://127.0.0.1:9/hook", start_at=later)
        other = await actions.create_key()
        await actions.stop_task(await actions.create_task(calls))
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        async with store.write() as connection:
            spoiled = task_spec.update().where(task_spec.c.task_id.in_(bad)).values(sealed_spec=b"spoiled")
            await connection.execute(spoiled)
            newer = store.seal.seal('{"of": "a newer version"}')
            await connection.execute(task_spec.update().where(task_spec.c.task_id == bad[0]).values(sealed_spec=newer))
            # One of them has played before, as far as its row tells.
            played = {"playhead_ms": now_ms - 60_000, "item_ends": "{", "item": 7}
            await connection.execute(run.update().where(run.c.task_id == bad[1]).values(played))
            await connection.execute(run.update().where(run.c.task_id.in_(bad)).values(due_ms=now_ms))
            await connection.execute(mailbox.update().values(sealed_url=b"spoiled", due_ms=now_ms))
            await connection.execute(callback_secret.insert(), {"sealed_secret": b"spoiled", "created_ms": now_ms})
            await connection.execute(event.update().where(event.c.task_id == bad[2]).values(detail="{"))
            where = access_key.c.id == other.access_key_id
            await connection.execute(access_key.update().where(where).values(sealed_secret=b"spoiled"))
        await until_failed(actions, bad)
        await _look(service, bad)
        with LiveService(service.url.rstrip("/"), KEY_ID, SECRET) as live:
            answer = await asyncio.to_thread(live.list_pull_to_push_task, {"Size": 500})
        assert {one["TaskId"] for one in answer["Result"]["List"]} >= {good, *(set(bad) - {bad[1]})}
        async with asyncio.timeout(30):
            while not any("cannot be read" in str(one.problem) for one in await deliveries(store)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        record = await actions.get_task(good)
        assert (record.state, record.epoch) == (State.STREAMING, 1)
        assert [one.kind for one in await actions.list_feed(good)].count("claimed") == 1
        assert workers_of(service) == workers
        async with store.read() as connection:
            assert (await connection.execute(sa.select(sa.func.count()).select_from(task_spec))).scalar_one() == 5
    finally:
        await store.aclose()
        service.stop()
    assert "Traceback" not in service.errors, service.errors[service.errors.index("Traceback") :][:4000]


async def deliveries(store: Store) -> Sequence[DeliveryRecord]:
    """All callbacks."""
    return (await Callbacks(store).list_deliveries(size=100)).records


async def _look(service: ServiceProgram, bad: list[str]) -> None:
    """By REST, the pages and the metrics; then one is mended by an update with all fields, and one deleted."""
    headers = {"origin": service.url.rstrip("/")}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, trust_env=False, timeout=30) as client:
        pair = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
        token = (await client.post("api/v1/tokens", json=pair)).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        form = {"access_key_id": KEY_ID, "secret": SECRET}
        assert (await client.post("dashboard/sign-in", data=form)).status_code == 303
        for path in ("api/v1/tasks", "api/v1/events", "api/v1/callbacks", "metrics", "dashboard/", "dashboard/tasks"):
            assert (await client.get(path)).status_code == 200, path
        for task_id in bad:
            shown = (await client.get(f"api/v1/tasks/{task_id}")).json()["run"]
            assert (shown["state"], shown["fault"]) == ("failed", "service")
            assert "delete it" in shown["reason"]
            for part in ("", "/edit", "/copy"):
                assert (await client.get(f"dashboard/tasks/{task_id}{part}")).status_code == 200, part
        now = datetime.now(UTC)
        whole = {
            "kind": "live",
            "sources": [{"url": "rtmp://127.0.0.1:9/app/stream"}],
            "destination": "rtmp://127.0.0.1:9/app/mended",
            "start_at": (now + timedelta(hours=1)).isoformat(),
            "end_at": (now + timedelta(hours=2)).isoformat(),
        }
        mended = await client.patch(f"api/v1/tasks/{bad[0]}", json=whole)
        assert mended.status_code == 200, mended.text
        assert mended.json()["run"]["fault"] is None
        assert (await client.delete(f"api/v1/tasks/{bad[1]}")).status_code == 204
