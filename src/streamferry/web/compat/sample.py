"""A task as the body that would create it, with secrets as ``***``."""

from typing import Any

from streamferry.tasks.checks import MAX_WINDOW
from streamferry.tasks.model import ContinueStrategy, TaskKind
from streamferry.web.views import Kind, TaskView


def write_body(task: TaskView) -> dict[str, Any]:
    """For CreatePullToPushTask."""
    body: dict[str, Any] = {
        "Title": task.title,
        "StartTime": int(task.start_at.timestamp()),
        "EndTime": int((task.start_at + MAX_WINDOW if task.end_at == "never" else task.end_at).timestamp()),
        "Type": int(TaskKind[task.kind.name]),
        "GroupName": task.group,
        "DstAddr": task.destination,
        "ContinueStrategy": int(ContinueStrategy[task.continue_strategy.name]),
        "PreDownload": int(task.pre_download),
        "CallbackURL": task.callback_url,
    }
    if task.kind is Kind.LIVE:
        body["SrcAddr"] = task.sources[0].url
    else:
        body["CycleMode"] = task.loops
        body["VodSrcAddrs"] = [
            {"SrcAddr": one.url, "StartOffset": one.start_s, "EndOffset": one.end_s} for one in task.sources
        ]
    if mark := task.watermark:
        body["Watermark"] = {
            "Picture": f"data:{mark.media_type};base64,***",
            "RelativePosX": mark.x,
            "RelativePosY": mark.y,
            "Ratio": mark.ratio,
        }
    return {name: value for name, value in body.items() if value != ""}
