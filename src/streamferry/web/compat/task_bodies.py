"""Tasks between the API's form and ours: bodies to specs, records to list items.

Lists never show a secret: addresses come redacted, and an Update that gives one back as it was shown means the address
the task has (decision 0005). So what a list showed can be edited and sent back whole.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from streamferry.media.watermark import Watermark
from streamferry.reasons import Code
from streamferry.store.records import TaskRecord
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.draft import (
    CLEARED,
    Cleared,
    DestinationParts,
    SourceDraft,
    TaskDraft,
    WatermarkDraft,
    decide_spec,
)
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import (
    ApiStatus,
    ContinueStrategy,
    SourceForm,
    StoredMark,
    TaskKind,
    TaskSpec,
)
from streamferry.web.addresses import show_callback, show_source
from streamferry.web.compat.air import read_inputs, read_slate, read_switching, show_air, show_on_air
from streamferry.web.compat.destination_bodies import read_destination, show_destinations
from streamferry.web.compat.field_names import NAMES, SOURCE_NAMES, name_of
from streamferry.web.compat.schemas import Clearable, TaskBody, UpdateTask, WatermarkBody

#: The API shows times in China's zone, and so do we: some clients cut the offset off.
CHINA = timezone(timedelta(hours=8))
STATUS_WORDS = {
    ApiStatus.DISABLED: "停用",
    ApiStatus.NOT_STARTED: "未开始",
    ApiStatus.ACTIVE: "生效中",
    ApiStatus.ENDED: "已结束",
}
#: Most bytes of pictures in one list, as text: more than the largest picture of a task.
MAX_PICTURES_BYTES = 4 * 1024 * 1024
#: 1 would be a domain of the account, which a self-hosted service does not have.
_THIRD_PARTY = 2
#: To the end of the year 9998, so that any time zone can show them.
_MAX_UNIX_SECONDS = 253_370_764_799


def show_time(at: datetime) -> str:
    """RFC 3339 to the second, as ``2022-04-01T00:00:00+08:00``."""
    return at.astimezone(CHINA).isoformat(timespec="seconds")


def create_spec(body: TaskBody, now: datetime, rules: AddressRules) -> TaskSpec:
    """The spec of a new task. Raises InvalidField."""
    return _decide(body, (), None, now, rules)


def update_spec(body: UpdateTask, current: TaskSpec | None, now: datetime, rules: AddressRules) -> TaskSpec:
    """The new spec of a task: what the body neither gives nor clears stays. Raises InvalidField.

    Without ``current``, for a task that cannot be read, the body has to give everything that a new task needs.
    """
    for name in body.Clear:
        if getattr(body, name) is not None:
            raise InvalidField("Clear", Code.FIELD_CLEARED_AND_GIVEN, name=name)
    return _decide(body, body.Clear, current, now, rules)


def _decide(
    body: TaskBody, cleared: Sequence[Clearable], current: TaskSpec | None, now: datetime, rules: AddressRules
) -> TaskSpec:
    """In errors, sources are named as the body names them."""
    names = SOURCE_NAMES[SourceForm.SINGLE]
    if body.VodSrcAddrs:
        names = SOURCE_NAMES[SourceForm.RANGES]
    elif body.SrcAddrS or body.OffsetS or body.Offset:
        offsets = "OffsetS" if body.OffsetS else "Offset"
        names = SOURCE_NAMES[SourceForm.STARTS]._replace(start_s=offsets, end_s=offsets)
    try:
        return decide_spec(_to_draft(body, cleared, current), current, now, rules)
    except InvalidField as error:
        raise InvalidField(name_of(error.field, names), error.why.named(name_of)) from None


def _to_draft(body: TaskBody, cleared: Sequence[Clearable], current: TaskSpec | None) -> TaskDraft:
    """The body as a draft, with the API's own rules: which fields are required, and which may be combined."""
    given: dict[str, Any] = {}
    for ours, read in _READ.items():
        name = NAMES[ours]
        if name in cleared:
            given[ours] = CLEARED
        elif (value := getattr(body, name)) is not None:
            given[ours] = read(name, value)
    kind = given.get("kind", current.kind if current else None)
    if kind is not None:
        _check_unused(body, kind)
        # When the kind changes, nothing about the source can stay.
        same_kind = current if current is not None and current.kind is kind else None
        given |= _read_live(body, same_kind) if kind is TaskKind.LIVE else _read_vod(body, same_kind)
    several = body.Destinations
    # A list shows the first one twice, and may be sent back as it is.
    is_twice = bool(several and body.DstAddr and several[0].DstAddr == body.DstAddr)
    return TaskDraft(
        **given,
        destination=None if is_twice else _read_destination(body, is_needed=current is None and several is None),
        destinations=None if several is None else [read_destination(one) for one in several],
        watermark=CLEARED if "Watermark" in cleared else _read_watermark(body.Watermark, can_clear=current is not None),
    )


def _check_unused(body: TaskBody, kind: TaskKind) -> None:
    """Check the sizes of the addresses of the other kind; nothing else about them is checked."""
    if kind is TaskKind.VOD:
        checks.check_address_length("SrcAddr", body.SrcAddr or "")
        return
    lists = (
        ("SrcAddrS", "", body.SrcAddrS or []),
        ("VodSrcAddrs", ".SrcAddr", [one.SrcAddr for one in body.VodSrcAddrs or []]),
    )
    for field, part, addresses in lists:
        if addresses:
            checks.check_item_count(field, len(addresses))
        for index, text in enumerate(addresses):
            checks.check_address_length(f"{field}[{index}]{part}", text)


def _read_live(body: TaskBody, current: TaskSpec | None) -> dict[str, Any]:
    if body.SrcAddr:
        return {"sources": [SourceDraft(body.SrcAddr)]}
    if current is None:
        raise InvalidField("SrcAddr", Code.FIELD_REQUIRED_FOR_LIVE)
    return {}


def _read_vod(body: TaskBody, current: TaskSpec | None) -> dict[str, Any]:
    if body.VodSrcAddrs:
        if body.SrcAddrS or body.OffsetS:
            raise InvalidField("VodSrcAddrs", Code.FIELD_TWO_LISTS)
        sources = [SourceDraft(one.SrcAddr, one.StartOffset, one.EndOffset) for one in body.VodSrcAddrs]
        return {"sources": sources, "source_form": SourceForm.RANGES}
    if body.SrcAddrS:
        checks.check_item_count("SrcAddrS", len(body.SrcAddrS))
        return {"sources": _with_offsets(body.SrcAddrS, body), "source_form": SourceForm.STARTS}
    if current is None:
        raise InvalidField("SrcAddrS", Code.FIELD_REQUIRED_FOR_VOD)
    # An Offset of 0 is what old clients send for none; for several addresses it counts as little as in a new task.
    if body.OffsetS or (body.Offset and len(current.items) == 1):
        if current.source_form is SourceForm.RANGES:
            field = "OffsetS" if body.OffsetS else "Offset"
            raise InvalidField(field, Code.FIELD_OFFSETS_ELSEWHERE)
        return {"sources": _with_offsets([None] * len(current.items), body), "source_form": current.source_form}
    return {}


def _with_offsets(urls: Sequence[str | None], body: TaskBody) -> list[SourceDraft]:
    """Offset applies only to a single address without OffsetS, as in the API."""
    offsets = body.OffsetS or [body.Offset or 0.0 if len(urls) == 1 else 0.0] * len(urls)
    if len(offsets) != len(urls):
        raise InvalidField("OffsetS", Code.FIELD_OFFSET_COUNT, count=len(urls))
    return [SourceDraft(url, offset) for url, offset in zip(urls, offsets, strict=True)]


def _read_destination(body: TaskBody, *, is_needed: bool) -> str | DestinationParts | None:
    if body.DstAddr:
        return body.DstAddr
    if body.Domain or body.App or body.Stream:
        return DestinationParts(body.Domain or "", body.App or "", body.Stream or "")
    if is_needed:
        raise InvalidField("DstAddr", Code.FIELD_DESTINATION_NEEDED)
    return None


def _read_watermark(body: WatermarkBody | None, *, can_clear: bool) -> WatermarkDraft | Cleared | None:
    """All four parts are needed; an empty one removes the task's watermark."""
    if body is None:
        return None
    mark = WatermarkDraft(body.Picture, body.RelativePosX, body.RelativePosY, body.Ratio)
    if can_clear and mark == WatermarkDraft():
        return CLEARED
    for name, value in body:
        if value is None:
            raise InvalidField(f"Watermark.{name}", Code.FIELD_REQUIRED)
    return mark


def _read_time(name: str, seconds: int) -> datetime:
    """An aware UTC time from whole Unix seconds."""
    if not 0 < seconds <= _MAX_UNIX_SECONDS:
        raise InvalidField(name, Code.FIELD_UNIX_TIME)
    return datetime.fromtimestamp(seconds, UTC)


def _read_kind(name: str, number: int) -> TaskKind:
    try:
        return TaskKind(number)
    except ValueError:
        raise InvalidField(name, Code.FIELD_API_KIND) from None


def _read_strategy(name: str, number: int) -> ContinueStrategy:
    try:
        return ContinueStrategy(number)
    except ValueError:
        raise InvalidField(name, Code.FIELD_API_STRATEGY) from None


def _read_switch(name: str, number: int) -> bool:
    if number not in (0, 1):
        raise InvalidField(name, Code.FIELD_API_SWITCH)
    return number == 1


def _as_it_is(_: str, value: Any) -> Any:
    return value


#: How the independent values of a body are read.
_READ: dict[str, Callable[[str, Any], Any]] = {
    "kind": _read_kind,
    "start_at": _read_time,
    "end_at": _read_time,
    "title": _as_it_is,
    "group": _as_it_is,
    "loops": _as_it_is,
    "play_times": _as_it_is,
    "continue_strategy": _read_strategy,
    "pre_download": _read_switch,
    "callback_url": _as_it_is,
    "inputs": read_inputs,
    "slate": read_slate,
    "switching": read_switching,
}


def choose_pictures(records: Sequence[TaskRecord]) -> set[str]:
    """The pictures in one list: those of the first tasks that have any, up to ``MAX_PICTURES_BYTES`` as shown."""
    chosen: set[str] = set()
    room = MAX_PICTURES_BYTES
    for record in records:
        mark = record.spec.watermark
        if isinstance(mark, StoredMark):
            # In Base64; a picture that is in two items counts twice.
            room -= -(-mark.size_bytes // 3) * 4
            if room < 0:
                break
            chosen.add(mark.digest)
    return chosen


def show_task(record: TaskRecord, now: datetime, pictures: Mapping[str, bytes] = {}) -> dict[str, Any]:
    """A list item: the API's fields, then ``Run``, which is ours. ``pictures``: those to show, by digest."""
    spec = record.spec
    status = record.status(now)
    item: dict[str, Any] = {
        "Title": spec.title,
        "TaskId": record.task_id,
        "StartTime": show_time(spec.start_at),
        "EndTime": show_time(spec.end_at),
        "CallbackURL": show_callback(spec.callback_url),
        "Type": int(spec.kind),
        "DstAddr": spec.destination.redacted,
        "DstAddrType": _THIRD_PARTY,
        **show_destinations(record),
        **_show_sources(spec),
        "Status": STATUS_WORDS[status],
        "TaskStatus": int(status),
        "ContinueStrategy": int(spec.continue_strategy),
        "PreDownload": int(spec.pre_download),
        "GroupName": spec.group,
    }
    item["CycleMode"] = spec.cycle_mode if spec.cycle_mode is not None else spec.loops
    item["PlayTimes"] = spec.play_times or 0
    if spec.watermark is not None:
        item["Watermark"] = _show_watermark(spec.watermark, pictures)
    item |= show_air(spec)
    item["Run"] = _show_run(record)
    return item


def _show_sources(spec: TaskSpec) -> dict[str, Any]:
    match spec.source_form:
        case SourceForm.SINGLE:
            return {"SrcAddr": show_source(spec.items[0].url)}
        case SourceForm.STARTS:
            urls = [show_source(item.url) for item in spec.items]
            return {"SrcAddrS": urls, "OffsetS": [item.start_s for item in spec.items]}
        case SourceForm.RANGES:
            return {
                "VodSrcAddrs": [
                    {"SrcAddr": show_source(item.url), "StartOffset": item.start_s, "EndOffset": item.end_s}
                    for item in spec.items
                ]
            }


def show_data_url(mark: Watermark | StoredMark, pictures: Mapping[str, bytes] = {}) -> str:
    """The picture as an update takes it; one that is not among ``pictures`` is replaced by its placeholder."""
    data = mark.picture if isinstance(mark, Watermark) else pictures.get(mark.digest)
    if data is None:
        assert isinstance(mark, StoredMark)
        return mark.reference
    return f"data:{mark.media_type};base64,{base64.b64encode(data).decode()}"


def _show_watermark(mark: Watermark | StoredMark, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "Picture": show_data_url(mark, pictures),
        "RelativePosX": mark.pos_x,
        "RelativePosY": mark.pos_y,
        "Ratio": mark.ratio,
    }


def _show_run(record: TaskRecord) -> dict[str, Any]:
    run: dict[str, Any] = {
        "State": record.state.value,
        "KbpsOut": record.kbps_out,
        "DroppedTags": record.dropped_tags,
        "Retries": record.retries,
    }
    if record.fault is not None:
        run |= {"Fault": record.fault, "Reason": record.reason or ""}
    if record.playhead is not None:
        at = record.playhead
        run["Playhead"] = {"Loop": at.loop, "Item": at.item, "PositionMs": at.position_ms}
    return run | show_on_air(record.on_air)
