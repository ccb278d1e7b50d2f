"""The client of REST against a service that runs: a list that streams is ordered about, and its worker as well."""

from datetime import UTC, datetime, timedelta

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from kit.waiting import wait_for
from streamferry.client import RestService


def test_a_list_that_streams_is_ordered_about(
    shared_service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """A file is inserted in the session that is open; the guide and the log tell what plays and what was played."""
    now = datetime.now(UTC)
    with RestService(shared_service.url, KEY_ID, SECRET) as service:
        task = service.create_task(
            {
                "kind": "vod",
                "sources": [{"url": f"file://{clips('two_seconds')}"}],
                "destination": nginx.url("ordered"),
                "start_at": now.isoformat(),
                "end_at": (now + timedelta(hours=1)).isoformat(),
            }
        )
        task_id = task["task_id"]
        before = nginx.wait_published("ordered")
        wait_for("it streams", lambda: service.get_task(task_id)["run"]["state"] == "streaming")
        service.insert_file(task_id, f"file://{clips('h264_no_bframes')}")

        def was_inserted() -> bool:
            events = service.list_events(task_id=task_id, limit=1000)["events"]
            return any(one["kind"] == "switched" and one["detail"].get("to") == "insert" for one in events)

        wait_for("the inserted file", was_inserted)
        assert service.skip_item(task_id)["inserts"] == []
        at = datetime.now(UTC) + timedelta(minutes=10)
        (entry,) = wait_for("a guide", lambda: service.show_guide(task_id, at=at, limit=1)["entries"])
        assert datetime.fromisoformat(entry["start_at"]) <= at
        assert "two_seconds" in service.show_as_run(task_id)
        assert nginx.wait_published("ordered").client == before.client

        worker_id = service.get_task(task_id)["run"]["worker_id"]
        assert worker_id is not None
        assert worker_id in [one["worker_id"] for one in service.list_workers()]
        try:
            assert service.cordon_worker(worker_id)["state"] == "cordoned"
        finally:
            assert service.uncordon_worker(worker_id)["state"] == "open"
        service.delete_task(task_id)
        nginx.wait_unpublished("ordered")
