"""Typed models say the same as the dicts of the API."""

import base64
from datetime import UTC, datetime
from pathlib import Path

from streamferry.client import NewTask, TaskChange, TaskList, VodSource, Watermark


def test_a_new_task_becomes_the_body_of_the_api() -> None:
    """Names in the API's spelling, times as Unix seconds, nothing that was not set."""
    task = NewTask(
        type=1,
        start_time=datetime(2026, 1, 1, tzinfo=UTC),
        end_time=1767229200,
        vod_src_addrs=[VodSource(src_addr="http://s/a", start_offset=1.5)],
        dst_addr="rtmp://d/a/b",
        callback_url="http://c/",
        cycle_mode=-1,
    )
    assert task.to_body() == {
        "Type": 1,
        "StartTime": 1767225600,
        "EndTime": 1767229200,
        "VodSrcAddrs": [{"SrcAddr": "http://s/a", "StartOffset": 1.5, "EndOffset": 0.0}],
        "DstAddr": "rtmp://d/a/b",
        "CallbackURL": "http://c/",
        "CycleMode": -1,
    }


def test_a_change_holds_what_changes() -> None:
    """And the task's id; the older form of lists has its own names."""
    assert TaskChange(task_id="1", title="t").to_body() == {"TaskId": "1", "Title": "t"}
    change = TaskChange(task_id="1", src_addr_s=["http://s/a"], offset_s=[1.0])
    assert change.to_body() == {"TaskId": "1", "SrcAddrS": ["http://s/a"], "OffsetS": [1.0]}


def test_a_watermark_is_read_from_a_file(tmp_path: Path) -> None:
    """As the data URL that the API takes."""
    (tmp_path / "mark.jpg").write_bytes(b"picture")
    mark = Watermark.from_file(tmp_path / "mark.jpg", relative_pos_x=0.1, relative_pos_y=0.2, ratio=0.3)
    assert mark.picture == f"data:image/jpeg;base64,{base64.b64encode(b'picture').decode()}"
    assert list(mark.to_body()) == ["Picture", "RelativePosX", "RelativePosY", "Ratio"]


def test_a_page_of_tasks() -> None:
    """Fields of a newer service are passed over, those of an older one may be missing."""
    page = TaskList.of(
        {
            "Result": {
                "List": [
                    {
                        "TaskId": "1",
                        "Type": 0,
                        "Status": "生效中",
                        "StartTime": "2026-01-01T08:00:00+08:00",
                        "EndTime": "2026-01-01T09:00:00+08:00",
                        "Run": {"State": "streaming", "Playhead": {"Loop": 1, "Item": 2, "PositionMs": 3}},
                        "Brand": "new",
                    }
                ],
                "Pagination": {"PageCur": 1, "PageSize": 20, "PageTotal": 1, "TotalCount": 1},
            }
        }
    )
    task = page.tasks[0]
    assert task.start_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert task.run.playhead is not None
    assert (task.run.state, task.run.playhead.position_ms) == ("streaming", 3)
    assert page.pagination.total_count == 1
