"""The API's names for the fields of ``tasks.draft`` and the actions: one table, for bodies and for errors."""

import re
from typing import NamedTuple

from streamferry.tasks.errors import ActionError
from streamferry.tasks.model import SourceForm

#: Ours -> the API's.
NAMES = {
    "kind": "Type",
    "start_at": "StartTime",
    "end_at": "EndTime",
    "title": "Title",
    "group": "GroupName",
    "loops": "CycleMode",
    "play_times": "PlayTimes",
    "continue_strategy": "ContinueStrategy",
    "pre_download": "PreDownload",
    "callback_url": "CallbackURL",
    "destination": "DstAddr",
    "destination.host": "Domain",
    "destination.app": "App",
    "destination.stream": "Stream",
    "watermark": "Watermark",
    "watermark.picture": "Watermark.Picture",
    "watermark.x": "Watermark.RelativePosX",
    "watermark.y": "Watermark.RelativePosY",
    "watermark.ratio": "Watermark.Ratio",
    "name": "Name",
    "size": "Size",
    "step_s": "Aggregation",
    "task_id": "TaskId",
    "event_id": "EventId",
}
_SOURCE = re.compile(r"sources\[(\d+)\]\.(url|start_s|end_s)")


class SourceNames(NamedTuple):
    """The names of one form of the sources. ``{}`` is the index of the address."""

    sources: str
    url: str
    start_s: str
    end_s: str


SOURCE_NAMES = {
    SourceForm.SINGLE: SourceNames("SrcAddr", "SrcAddr", "SrcAddr", "SrcAddr"),
    SourceForm.STARTS: SourceNames("SrcAddrS", "SrcAddrS[{}]", "OffsetS", "OffsetS"),
    SourceForm.RANGES: SourceNames(
        "VodSrcAddrs", "VodSrcAddrs[{}].SrcAddr", "VodSrcAddrs[{}].StartOffset", "VodSrcAddrs[{}].EndOffset"
    ),
}


def name_of(field: str, sources: SourceNames = SOURCE_NAMES[SourceForm.RANGES]) -> str:
    """The API's name of a field. A name that is not ours is already the API's."""
    if field == "sources":
        return sources.sources
    if found := _SOURCE.fullmatch(field):
        return str(getattr(sources, found[2])).format(found[1])
    return NAMES.get(field, field)


def sentence_of(error: ActionError) -> str:
    """The API's message, always with the field's name in front."""
    why = str(error.why.named(name_of))
    return f"{name_of(error.field)}: {why}" if error.field is not None else why
