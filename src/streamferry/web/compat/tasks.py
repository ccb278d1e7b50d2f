"""Tasks between the API's form and ours: bodies to specs, records to list items.

Lists never show a secret: addresses come redacted, and an Update that gives one back as it was shown means the address
the task has (decision 0005). So what a list showed can be edited and sent back whole.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.store.records import TaskRecord
from streamferry.tasks import checks
from streamferry.tasks.checks import SourceRules
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import (
    DEFAULT_GROUP,
    ApiStatus,
    ContinueStrategy,
    SourceForm,
    StoredMark,
    TaskItem,
    TaskKind,
    TaskSpec,
)
from streamferry.web.compat.schemas import Clearable, TaskBody, UpdateTask, WatermarkBody

#: The API shows times of China's zone, and so do we: clients are known to cut the offset off.
CHINA = timezone(timedelta(hours=8))
STATUS_WORDS = {
    ApiStatus.DISABLED: "停用",
    ApiStatus.NOT_STARTED: "未开始",
    ApiStatus.ACTIVE: "生效中",
    ApiStatus.ENDED: "已结束",
}
_EMPTY: dict[Clearable, dict[str, Any]] = {
    "Title": {"title": ""},
    "CallbackURL": {"callback_url": ""},
    "Watermark": {"watermark": None},
}
#: What the pictures of one list may take, as text: more than the largest that a task can have.
MAX_PICTURES_BYTES = 4 * 1024 * 1024
#: 1 would be a domain of the account, which a service of one's own has none of.
_THIRD_PARTY = 2


def show_time(at: datetime) -> str:
    """RFC 3339 to the second, as ``2022-04-01T00:00:00+08:00``."""
    return at.astimezone(CHINA).isoformat(timespec="seconds")


def create_spec(body: TaskBody, now: datetime, rules: SourceRules) -> TaskSpec:
    """The spec of a new task. Raises InvalidField."""
    return _read_spec(body, None, now, rules)


def update_spec(body: UpdateTask, current: TaskSpec | None, now: datetime, rules: SourceRules) -> TaskSpec:
    """The spec that a task shall have: what the body neither gives nor clears stays. Raises InvalidField.

    Without ``current``, that of a task which cannot be read, the body has to give all that a new task needs.
    """
    for name in body.Clear:
        if getattr(body, name) is not None:
            raise InvalidField("Clear", f"{name} is to be cleared and is given at once")
        current = current and replace(current, **_EMPTY[name])
    return _read_spec(body, current, now, rules)


def _read_spec(body: TaskBody, current: TaskSpec | None, now: datetime, rules: SourceRules) -> TaskSpec:
    kind = checks.read_kind(body.Type) if body.Type is not None else _present(current, "Type").kind
    start_at, end_at = _read_window(body, current, now)
    _check_unused(body, kind)
    # Of a task of the other kind nothing about the source can stay.
    same_kind = current if current is not None and current.kind is kind else None
    form, items = _read_live(body, same_kind, rules) if kind is TaskKind.LIVE else _read_vod(body, same_kind, rules)
    cycle_mode, play_times, loops = _read_loops(body, kind, same_kind)
    strategy = current.continue_strategy if current else ContinueStrategy.AT_BREAK
    if body.ContinueStrategy is not None:
        strategy = checks.read_continue_strategy(body.ContinueStrategy)
    pre_download = current.pre_download if current else True
    if body.PreDownload is not None:
        pre_download = checks.read_switch("PreDownload", body.PreDownload)
    title = current.title if current else ""
    group = current.group if current else DEFAULT_GROUP
    return TaskSpec(
        kind=kind,
        items=items,
        destination=_read_destination(body, current, rules),
        start_at=start_at,
        end_at=end_at,
        title=checks.check_title(body.Title) if body.Title else title,
        group=checks.check_group_name(body.GroupName) if body.GroupName else group,
        source_form=form,
        loops=loops,
        cycle_mode=cycle_mode,
        play_times=play_times,
        continue_strategy=strategy,
        pre_download=pre_download,
        callback_url=_read_callback(body, current, rules),
        watermark=_read_watermark(body.Watermark, current),
    )


def _read_window(body: TaskBody, current: TaskSpec | None, now: datetime) -> tuple[datetime, datetime]:
    if body.StartTime is not None:
        start_at = checks.read_unix_time("StartTime", body.StartTime)
    else:
        start_at = _present(current, "StartTime").start_at
    if body.EndTime is not None:
        end_at = checks.read_unix_time("EndTime", body.EndTime)
    else:
        end_at = _present(current, "EndTime").end_at
    # The title of a task that has ended may be changed, even by a client that sends the window again.
    if current is None or (start_at, end_at) != (current.start_at, current.end_at):
        checks.check_window(start_at, end_at, now)
    return start_at, end_at


def _check_unused(body: TaskBody, kind: TaskKind) -> None:
    """Sizes of the addresses that are of the other kind: nothing else of them is looked at."""
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


def _read_live(body: TaskBody, current: TaskSpec | None, rules: SourceRules) -> tuple[SourceForm, tuple[TaskItem, ...]]:
    if not body.SrcAddr:
        return SourceForm.SRC_ADDR, _present(current, "SrcAddr", "is required when Type is 0").items
    return SourceForm.SRC_ADDR, (TaskItem(_read_source("SrcAddr", body.SrcAddr, 0, TaskKind.LIVE, current, rules)),)


def _read_vod(body: TaskBody, current: TaskSpec | None, rules: SourceRules) -> tuple[SourceForm, tuple[TaskItem, ...]]:
    if body.VodSrcAddrs:
        if body.SrcAddrS or body.OffsetS:
            raise InvalidField("VodSrcAddrs", "must not be given together with SrcAddrS or OffsetS")
        checks.check_item_count("VodSrcAddrs", len(body.VodSrcAddrs))
        items = []
        for index, one in enumerate(body.VodSrcAddrs):
            field = f"VodSrcAddrs[{index}]"
            url = _read_source(f"{field}.SrcAddr", one.SrcAddr, index, TaskKind.VOD, current, rules)
            names = {"start_field": f"{field}.StartOffset", "end_field": f"{field}.EndOffset"}
            items.append(checks.check_item(url, one.StartOffset, one.EndOffset, **names))
        return SourceForm.VOD_SRC_ADDRS, tuple(items)
    if body.SrcAddrS:
        checks.check_item_count("SrcAddrS", len(body.SrcAddrS))
        urls = [
            _read_source(f"SrcAddrS[{index}]", text, index, TaskKind.VOD, current, rules)
            for index, text in enumerate(body.SrcAddrS)
        ]
        return SourceForm.SRC_ADDR_S, _with_offsets(urls, body)
    present = _present(current, "SrcAddrS", "is required when Type is 1, or VodSrcAddrs")
    # An Offset of 0 is what old clients send for none; for several addresses it counts as little as in a new task.
    if body.OffsetS or (body.Offset and len(present.items) == 1):
        if present.source_form is SourceForm.VOD_SRC_ADDRS:
            field = "OffsetS" if body.OffsetS else "Offset"
            raise InvalidField(field, "the task's list was given in VodSrcAddrs: give the offsets there")
        return present.source_form, _with_offsets([item.url for item in present.items], body)
    return present.source_form, present.items


def _with_offsets(urls: Sequence[MediaUrl], body: TaskBody) -> tuple[TaskItem, ...]:
    """Offset counts only for a single address without OffsetS, as the API says."""
    offsets = body.OffsetS or [body.Offset or 0.0 if len(urls) == 1 else 0.0] * len(urls)
    if len(offsets) != len(urls):
        raise InvalidField("OffsetS", f"must hold as many offsets as there are addresses ({len(urls)})")
    field = "OffsetS" if body.OffsetS else "Offset"
    return tuple(
        checks.check_item(url, offset, 0.0, start_field=field, end_field=field)
        for url, offset in zip(urls, offsets, strict=True)
    )


def _read_source(
    field: str, text: str, index: int, kind: TaskKind, current: TaskSpec | None, rules: SourceRules
) -> MediaUrl:
    known = [item.url for item in current.items] if current else []
    # First the one in the same place: two addresses may differ in their secrets only.
    same_place = known[index : index + 1]
    return _as_shown(text, same_place) or _as_shown(text, known) or checks.read_source(field, text, kind, rules)


def _as_shown(text: str, known: Sequence[MediaUrl]) -> MediaUrl | None:
    """The one address that is shown like this, if there is exactly one."""
    if REDACTED not in text:
        return None
    shown = {url.reveal(): url for url in known if url.is_shown_as(text)}
    return next(iter(shown.values())) if len(shown) == 1 else None


def _read_destination(body: TaskBody, current: TaskSpec | None, rules: SourceRules) -> MediaUrl:
    if body.DstAddr:
        known = [current.destination] if current else []
        return _as_shown(body.DstAddr, known) or checks.read_destination(body.DstAddr, rules)
    if body.Domain or body.App or body.Stream:
        return checks.build_destination(body.Domain or "", body.App or "", body.Stream or "", rules)
    return _present(current, "DstAddr", "is required, or Domain, App and Stream").destination


def _read_loops(body: TaskBody, kind: TaskKind, current: TaskSpec | None) -> tuple[int | None, int | None, int]:
    """CycleMode and PlayTimes as they are shown, and the loops they mean; of no effect on a live source."""
    if kind is TaskKind.LIVE and (body.CycleMode is not None or body.PlayTimes is not None):
        checks.decide_loops(body.CycleMode or 0, body.PlayTimes or 1)
    cycle_mode = body.CycleMode if body.CycleMode is not None else current.cycle_mode if current else None
    play_times = body.PlayTimes if body.PlayTimes is not None else current.play_times if current else None
    if kind is TaskKind.LIVE:
        return cycle_mode, play_times, -1
    cycle_mode = -1 if cycle_mode is None else cycle_mode
    return cycle_mode, play_times, checks.decide_loops(cycle_mode, play_times)


def _read_callback(body: TaskBody, current: TaskSpec | None, rules: SourceRules) -> str:
    present = current.callback_url if current else ""
    if not body.CallbackURL or (present and MediaUrl.parse(present).is_shown_as(body.CallbackURL)):
        return present
    return checks.check_callback_url(body.CallbackURL, rules)


def _read_watermark(body: WatermarkBody | None, current: TaskSpec | None) -> Watermark | StoredMark | None:
    if body is None:
        return current.watermark if current else None
    values = (body.Picture, body.RelativePosX, body.RelativePosY, body.Ratio)
    if current is not None and values == (None, None, None, None):
        return None
    for name, value in zip(("Picture", "RelativePosX", "RelativePosY", "Ratio"), values, strict=True):
        if value is None:
            raise InvalidField(f"Watermark.{name}", "is required")
    known = current.watermark if current is not None else None
    if isinstance(known, StoredMark) and body.Picture == known.reference:
        return checks.place_watermark(known, body.RelativePosX or 0.0, body.RelativePosY or 0.0, body.Ratio or 0.0)
    return checks.read_watermark(
        body.Picture or "", body.RelativePosX or 0.0, body.RelativePosY or 0.0, body.Ratio or 0.0
    )


def _present(current: TaskSpec | None, field: str, reason: str = "is required") -> TaskSpec:
    """The task's present spec, where a field that was not given is taken from."""
    if current is None:
        raise InvalidField(field, reason)
    return current


def choose_pictures(records: Sequence[TaskRecord]) -> set[str]:
    """Pictures that one list may carry, of the first tasks that have any, up to ``MAX_PICTURES_BYTES`` as shown."""
    chosen: set[str] = set()
    room = MAX_PICTURES_BYTES
    for record in records:
        mark = record.spec.watermark
        if isinstance(mark, StoredMark):
            # Base64; the same picture in two items is there twice.
            room -= -(-mark.size_bytes // 3) * 4
            if room < 0:
                break
            chosen.add(mark.digest)
    return chosen


def show_task(record: TaskRecord, now: datetime, pictures: Mapping[str, bytes] = {}) -> dict[str, Any]:
    """A list item: the API's fields, then ``Run``, which is ours. ``pictures``: those that are shown, by digest."""
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
    item["Run"] = _show_run(record)
    return item


def _show_sources(spec: TaskSpec) -> dict[str, Any]:
    match spec.source_form:
        case SourceForm.SRC_ADDR:
            return {"SrcAddr": show_source(spec.items[0].url)}
        case SourceForm.SRC_ADDR_S:
            urls = [show_source(item.url) for item in spec.items]
            return {"SrcAddrS": urls, "OffsetS": [item.start_s for item in spec.items]}
        case SourceForm.VOD_SRC_ADDRS:
            return {
                "VodSrcAddrs": [
                    {"SrcAddr": show_source(item.url), "StartOffset": item.start_s, "EndOffset": item.end_s}
                    for item in spec.items
                ]
            }


def show_source(url: MediaUrl) -> str:
    """A source as it may be shown; a local file as the address it was given as."""
    return url.reveal() if url.scheme == "file" else url.redacted


def show_callback(text: str) -> str:
    """A callback's address as it may be shown; empty for none."""
    return MediaUrl.parse(text).redacted if text else ""


def show_data_url(mark: Watermark | StoredMark, pictures: Mapping[str, bytes] = {}) -> str:
    """The picture as an update takes it; of one in the store that is not among ``pictures`` what stands for it."""
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
    return run
