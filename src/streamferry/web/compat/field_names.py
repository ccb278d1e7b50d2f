"""The API's names for the fields of ``tasks.draft`` and the actions: one table, for bodies and for errors."""

import re
from typing import NamedTuple

from streamferry.reasons import said_field
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
    "destinations": "Destinations",
    "watermark": "Watermark",
    "watermark.picture": "Watermark.Picture",
    "watermark.x": "Watermark.RelativePosX",
    "watermark.y": "Watermark.RelativePosY",
    "watermark.ratio": "Watermark.Ratio",
    "inputs": "Inputs",
    "slate": "Slate",
    "slate.title": "Slate.Title",
    "slate.text": "Slate.Text",
    "slate.color": "Slate.Color",
    "slate.picture": "Slate.Picture",
    "slate.clip": "Slate.Clip",
    "switching": "Switching",
    "switching.switch_after_s": "Switching.SwitchAfter",
    "switching.return_after_s": "Switching.ReturnAfter",
    "switching.normalize": "Switching.Normalize",
    "name": "Name",
    "size": "Size",
    "step_s": "Aggregation",
    "task_id": "TaskId",
    "event_id": "EventId",
}
#: The same of the options of a further input.
OPTION_NAMES = {
    "proxy": "Proxy",
    "bind": "Bind",
    "headers": "Headers",
    "flash_ver": "FlashVer",
    "tc_url": "TcUrl",
    "swf_url": "SwfUrl",
    "page_url": "PageUrl",
    "keep_drift": "KeepDrift",
    "segments_behind": "SegmentsBehind",
    "max_kbps": "MaxKbps",
}
_INPUT = re.compile(r"inputs\[(\d+)\]\.sources")
_OPTION = re.compile(r"inputs\[(\d+)\]\.options(?:\.([a-z_]+)(.*))?")
_SOURCE = re.compile(r"sources\[(\d+)\]\.(url|start_s|end_s)")


_DESTINATION = re.compile(r"destinations\[(\d+)\](?:\.(id|name|server|key|backup_of))?")
_OF_DESTINATION = {
    "id": "Id",
    "name": "Name",
    "server": "Server",
    "key": "Key",
    "backup_of": "BackupOf",
}


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
    if found := _DESTINATION.fullmatch(field):
        return f"Destinations[{found[1]}].{_OF_DESTINATION.get(found[2] or '', 'DstAddr')}"
    if found := _INPUT.match(field):
        return f"Inputs[{found[1]}]"
    if found := _OPTION.fullmatch(field):
        name = OPTION_NAMES.get(found[2] or "", found[2])
        return f"Inputs[{found[1]}].Options" + (f".{name}{found[3]}" if name else "")
    return NAMES.get(field, field)


def sentence_of(error: ActionError) -> str:
    """The API's message, always with the field's name in front."""
    why = str(error.why.named(name_of))
    return f"{said_field(name_of(error.field))}: {why}" if error.field is not None else why
