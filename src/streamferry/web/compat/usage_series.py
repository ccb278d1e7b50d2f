"""Usage in the API's form: allowed ranges and steps, and series without gaps."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from streamferry.control.actions import Actions
from streamferry.reasons import Code
from streamferry.store.records import UsageBucket
from streamferry.tasks.errors import InvalidField
from streamferry.web.compat.schemas import Usage
from streamferry.web.compat.task_bodies import show_time
from streamferry.web.usage_ranges import BANDWIDTH_STEPS, DURATION_STEPS, Range, check_points, check_range

#: What results can be split by. All destinations are of one kind and no domain is ours: only groups can differ.
_DETAIL_FIELDS = frozenset(("Group", "Domain", "DstAddrType"))


async def describe_duration(actions: Actions, body: Usage, now: datetime) -> dict[str, Any]:
    """DescribeLivePullToPushData: minutes for which tasks streamed."""
    asked = _read_range(body, DURATION_STEPS, 86400, now)

    def minutes(one: UsageBucket) -> float:
        return round(one.streamed_s / 60, 3)

    def series(buckets: list[UsageBucket]) -> dict[str, Any]:
        return {
            "TotalDuration": round(sum(one.streamed_s for one in buckets) / 60, 3),
            "PullToPushDataList": _points(asked, buckets, "Value", minutes),
        }

    return await _describe(actions, body, asked, series, "PullToPushDetailDataList")


async def describe_bandwidth(actions: Actions, body: Usage, now: datetime) -> dict[str, Any]:
    """DescribeLivePullToPushBandwidthData: Mbps pushed, the peak of each step."""
    asked = _read_range(body, BANDWIDTH_STEPS, 300, now)

    def mbps(one: UsageBucket) -> float:
        return round(one.peak_bps / 1e6, 6)

    def series(buckets: list[UsageBucket]) -> dict[str, Any]:
        return {
            "PeakUpBandwidth": max(map(mbps, buckets), default=0),
            "BandwidthDataList": _points(asked, buckets, "UpBandwidth", mbps),
        }

    return await _describe(actions, body, asked, series, "BandwidthDetailDataList")


async def _describe(
    actions: Actions, body: Usage, asked: Range, series: Callable[[list[UsageBucket]], dict[str, Any]], details: str
) -> dict[str, Any]:
    """The range, the series of the total and, under the name ``details``, that of each group if it is asked for."""
    total = await _measured(actions, body, asked)
    result = {**_show_range(asked, body), **series(total[None])}
    if _is_split(body):
        split = await _measured(actions, body, asked, by_group=True)
        result[details] = [{"Group": group, **series(found)} for group, found in split.items()]
    return result


def _points(
    asked: Range, buckets: Iterable[UsageBucket], name: str, value: Callable[[UsageBucket], float]
) -> list[Any]:
    """One point for every step, 0 where nothing was measured."""
    values: Mapping[datetime, float] = {one.begin_at: value(one) for one in buckets}
    times = (asked.start_at + timedelta(seconds=asked.step_s * index) for index in range(asked.steps))
    return [{"TimeStamp": show_time(at), name: values.get(at, 0)} for at in times]


def _is_split(body: Usage) -> bool:
    """The API splits only by fields with several values: a ``GroupList`` with one group, or none, is not split."""
    return "Group" in body.DetailField and len(set(body.GroupList)) > 1


async def _measured(
    actions: Actions, body: Usage, asked: Range, *, by_group: bool = False
) -> dict[str | None, list[UsageBucket]]:
    """The buckets of each group; those of all together under None."""
    buckets = await actions.usage(
        asked.start_at,
        asked.end_at,
        step_s=asked.step_s,
        groups=body.GroupList,
        stream=(body.App, body.Stream) if body.App and body.Stream else None,
        by_group=by_group,
    )
    found: dict[str | None, list[UsageBucket]] = defaultdict(list)
    for one in buckets:
        found[one.group if by_group else None].append(one)
    return found


def _read_range(body: Usage, steps: Mapping[int, timedelta], default_s: int, now: datetime) -> Range:
    step_s = default_s if body.Aggregation is None else body.Aggregation
    if unknown := set(body.DetailField) - _DETAIL_FIELDS:
        raise InvalidField(
            "DetailField", Code.FIELD_DETAIL_FIELDS, names=tuple(sorted(_DETAIL_FIELDS)), count=len(unknown)
        )
    if bool(body.App) != bool(body.Stream):
        raise InvalidField("Stream" if body.App else "App", Code.FIELD_APP_AND_STREAM)
    start_at, end_at = _read_time("StartTime", body.StartTime), _read_time("EndTime", body.EndTime)
    asked = check_range(start_at, end_at, step_s, steps, now)
    check_points(asked, 1 + len(set(body.GroupList)) if _is_split(body) else 1)
    return asked


def _read_time(field: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    raise InvalidField(field, Code.FIELD_API_TIME)


def _show_range(asked: Range, body: Usage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "StartTime": show_time(asked.start_at),
        "EndTime": show_time(asked.end_at),
        "Aggregation": asked.step_s,
    }
    if body.App:
        shown |= {"App": body.App, "Stream": body.Stream}
    if body.GroupList:
        shown["GroupList"] = body.GroupList
    if body.DetailField:
        shown["DetailField"] = body.DetailField
    return shown
