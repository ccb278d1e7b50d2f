"""What /metrics says, parsed as Prometheus parses it."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from task_samples import make_spec

from kit.claims import claim
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk
from streamferry.reasons import Code, Reason
from streamferry.relay import DestinationStatus, RelayStatus, State, Totals
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.inputs.policy import SLATE
from streamferry.relay.status import Found, OnAir, Sense, Shown, Unready, Unseen
from streamferry.store import Store, assignments, workers
from streamferry.web.metrics import FAMILIES, Kind, Metrics
from streamferry.worker import Report, WorkerHealth

HEALTH = WorkerHealth(
    cpu_percent=61.5,
    memory_bytes=90_000_000,
    beat_late_ms=4.5,
    preparing=2,
    totals=Totals(1000, 900, 3, 4, Counter({Fault.USER_SOURCE: 5})),
)
DISKS = {"data": Disk(Path("/"))}


async def look(store: Store, **options: bool) -> dict[tuple[str, ...], float]:
    """All samples, by name and label values."""
    page = await Metrics(
        Actions(store), Callbacks(store), Pulse(store), **{"of_each_task": False, "disks": DISKS, **options}
    ).render()
    families = list(text_string_to_metric_families(page.decode()))
    known = {one.full_name.removesuffix("_total"): one for one in FAMILIES}
    for family in families:
        declared = known[family.name]
        assert (family.type, family.documentation) == (declared.kind.value, declared.text)
        assert all(set(sample.labels) == set(declared.labels) for sample in family.samples)
    return {
        (sample.name, *(sample.labels[label] for label in known[family.name].labels)): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
async def task_id(store: Store) -> str:
    """A task that streams on the worker "one"; another has not begun."""
    actions = Actions(store)
    task_id = await actions.create_task(make_spec())
    async with store.write() as connection:
        await workers.register(connection, "one", 10)
        await claim(connection, store.seal, "one", load=0, room=1)
    other = MediaUrl.parse("rtmp://push.example/live/other")
    await actions.stop_task(await actions.create_task(make_spec(destination=other)))
    async with store.read() as connection:
        (mine,), _ = await assignments.read(connection, store.seal, "one", {})
    counts: dict[str, Any] = {"media_time_ms": 4500, "bytes_out": 77, "kbps_out": 2000, "dropped_tags": 1, "retries": 2}
    counts |= {"lost_ms": 2500, "lost_packets": 12, "retransmits": 7, "delivery_kbps": 9000}
    each = (
        DestinationStatus("1", State.STREAMING, kbps_out=1500),
        DestinationStatus("4", State.RETRYING, kbps_out=500, dropped_tags=8, retries=9),
    )
    on_air = OnAir(Shown.SLATE, datetime.now(UTC), Reason.text("gone"))
    counts["found"] = (Found(ContentFault.BLACK, datetime.now(UTC), Reason.of(Code.CONTENT_BLACK)),)
    counts["unseen"] = (Unseen(Sense.SOUND, datetime.now(UTC), Reason.of(Code.CONTENT_NO_AAC)),)
    counts["unready"] = tuple(Unready(which, Reason.text("gone")) for which in (1, SLATE))
    status = RelayStatus(State.STREAMING, sound_drift_ms=-1250, rtt_ms=20.5, destinations=each, on_air=on_air, **counts)
    report = Report(task_id, mine.epoch, mine.version, status, (), {}, None, None)
    async with store.write() as connection:
        await assignments.report(connection, "one", [report], load=1, health=HEALTH)
    return task_id


async def test_an_empty_service_has_its_metrics(store: Store) -> None:
    """Every state of an active task is there with 0, so that an alert can rely on it."""
    found = await look(store)
    assert all(found["streamferry_tasks", "active", state.value] == 0 for state in State)
    assert found["streamferry_callback_lag_seconds",] == 0
    assert not [name for name, *_ in found if name.startswith(("streamferry_task_", "streamferry_worker_"))]


async def test_tasks_and_workers_in_numbers(store: Store, task_id: str) -> None:
    """By status and state; of each worker what it told of itself."""
    found = await look(store)
    assert found["streamferry_tasks", "active", "streaming"] == 1
    assert found["streamferry_tasks", "disabled", "stopped"] == 1
    assert found["streamferry_sent_kbps",] == 2000
    assert found["streamferry_worker_tasks", "one"] == 1
    assert found["streamferry_worker_capacity", "one"] == 10
    assert found["streamferry_worker_cpu_percent", "one"] == 61.5
    assert found["streamferry_worker_memory_bytes", "one"] == 90_000_000
    assert found["streamferry_worker_beat_late_ms", "one"] == 4.5
    assert found["streamferry_worker_preparing", "one"] == 2
    assert found["streamferry_received_bytes_total", "one"] == 1000
    assert found["streamferry_sent_bytes_total", "one"] == 900
    assert found["streamferry_dropped_tags_total", "one"] == 3
    assert found["streamferry_repairs_total", "one"] == 4
    assert found["streamferry_retries_total", "one", "user_source"] == 5
    assert found["streamferry_retries_total", "one", "service"] == 0


async def test_each_running_task_if_wanted(store: Store, task_id: str) -> None:
    """By its id alone; nothing of the one that does not run."""
    found = await look(store, of_each_task=True)
    of_tasks = {key: value for key, value in found.items() if key[0].startswith("streamferry_task_")}
    assert of_tasks == {
        ("streamferry_task_state", task_id, "streaming"): 1,
        ("streamferry_task_in_trouble", task_id): 0,
        ("streamferry_task_content_fault", task_id, "black"): 1,
        ("streamferry_task_content_unseen", task_id, "sound"): 1,
        ("streamferry_task_input_unready", task_id, "1"): 1,
        ("streamferry_task_input_unready", task_id, "slate"): 1,
        ("streamferry_task_sent_kbps", task_id): 2000,
        ("streamferry_task_sent_bytes_total", task_id): 77,
        ("streamferry_task_media_seconds_total", task_id): 4.5,
        ("streamferry_task_dropped_tags_total", task_id): 1,
        ("streamferry_task_retries_total", task_id): 2,
        ("streamferry_task_sound_drift_seconds", task_id): -1.25,
        ("streamferry_task_lost_seconds_total", task_id): 2.5,
        ("streamferry_task_lost_packets_total", task_id): 12,
        ("streamferry_task_rtt_seconds", task_id): 0.0205,
        ("streamferry_task_retransmits_total", task_id): 7,
        ("streamferry_task_delivery_kbps", task_id): 9000,
        ("streamferry_task_on_air", task_id, "slate"): 1,
        ("streamferry_task_destination_state", task_id, "1", "streaming"): 1,
        ("streamferry_task_destination_state", task_id, "4", "retrying"): 1,
        ("streamferry_task_destination_sent_kbps", task_id, "1"): 1500,
        ("streamferry_task_destination_sent_kbps", task_id, "4"): 500,
        ("streamferry_task_destination_dropped_frames_total", task_id, "1"): 0,
        ("streamferry_task_destination_dropped_frames_total", task_id, "4"): 8,
        ("streamferry_task_destination_retries_total", task_id, "1"): 0,
        ("streamferry_task_destination_retries_total", task_id, "4"): 9,
    }
    names = {name for name, *_ in found}
    assert names | {"streamferry_store_log_bytes"} == {one.full_name for one in FAMILIES}
    assert ("streamferry_store_log_bytes" in names) is store.is_file
    assert {one.kind for one in FAMILIES} == set(Kind)
