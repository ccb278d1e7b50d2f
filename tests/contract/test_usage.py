"""Usage as the API tells it is what the destination received."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from served import Served

from kit.clips import ClipFactory
from kit.front import front
from kit.nginx_rtmp import NginxRtmp
from kit.waiting import wait_for
from streamferry.client import LiveService

pytestmark = pytest.mark.e2e

STREAM_S = 6.0


@pytest.mark.parametrize("end", ["stop_pull_to_push_task", "delete_pull_to_push_task"])
def test_usage_is_what_the_destination_received(served: Served, nginx: NginxRtmp, clips: ClipFactory, end: str) -> None:
    """Bytes within 2 % of those on the wire, minutes to a second: by group, by stream, of a deleted task."""
    group = f"measured{len(end)}"
    begin = datetime.now(UTC).replace(second=0, microsecond=0)
    now = int(time.time())
    with (
        front(f"127.0.0.1:{nginx.rtmp_port}") as wire,
        LiveService(f"http://{served.host}", served.ak, served.sk) as service,
    ):
        service.create_pull_to_push_group({"Name": group, "ProjectName": "p"})
        task = {
            "Type": 1,
            "SrcAddrS": [f"file://{clips('h264_no_bframes')}"],
            "StartTime": now,
            "EndTime": now + 3600,
            "DstAddr": f"rtmp://127.0.0.1:{wire.port}/live/{group}",
            "GroupName": group,
        }
        made_at = time.monotonic()
        task_id = service.create_pull_to_push_task(task)["Result"]["TaskId"]
        nginx.wait_published(group)
        began = time.monotonic()
        wait_for("some seconds of stream", lambda: time.monotonic() - began > STREAM_S)
        getattr(service, end)({"TaskId": task_id})
        nginx.wait_unpublished(group)
        ended_at = time.monotonic()
        span = {"StartTime": begin.isoformat(), "EndTime": (begin + timedelta(minutes=10)).isoformat()}

        def minutes(**fields: object) -> dict[str, Any]:
            body = {**span, "Aggregation": 60, **fields}
            result: dict[str, Any] = service.describe_live_pull_to_push_data(body)["Result"]
            return result

        told = wait_for("the usage to be told", lambda: minutes(GroupList=[group])["TotalDuration"])
        # It streamed for at least as long as was waited, and for no longer than from its creation to its end.
        assert STREAM_S - 1 < told * 60 <= ended_at - made_at
        by_stream = minutes(App="live", Stream=group, GroupList=[group, "default"], DetailField=["Group"])
        assert by_stream["TotalDuration"] == sum(point["Value"] for point in by_stream["PullToPushDataList"]) == told
        assert [(one["Group"], one["TotalDuration"]) for one in by_stream["PullToPushDetailDataList"]] == [
            (group, told)
        ]
        body = {**span, "Aggregation": 300, "GroupList": [group]}
        bandwidth = service.describe_live_pull_to_push_bandwidth_data(body)["Result"]
    sent = sum(point["UpBandwidth"] for point in bandwidth["BandwidthDataList"]) * 1e6 / 8 * 300
    assert sent == pytest.approx(wire.bytes_in, rel=0.02)
