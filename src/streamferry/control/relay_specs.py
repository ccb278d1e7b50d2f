"""A task as a spec for the data plane."""

from collections.abc import Sequence
from dataclasses import replace

from streamferry.media.watermark import Watermark
from streamferry.reasons import Code, InvalidValue
from streamferry.relay.spec import Destination, Input, Item, Latency, RelaySpec
from streamferry.relay.status import Playhead
from streamferry.tasks.model import ContinueStrategy, StoredMark, TaskDestination, TaskItem, TaskKind, TaskSpec


def relay_spec_of(spec: TaskSpec, playhead: Playhead) -> RelaySpec:
    """The relay's spec for a task. It has no end time: the worker keeps to the window. Raises ValueError."""
    mark = spec.watermark
    if isinstance(mark, StoredMark):
        raise InvalidValue(Code.TASK_MARK_UNREAD)
    return replace(
        _spec_of_source(spec, playhead, mark),
        more_inputs=tuple(
            Input(_items(one.items), one.kind is TaskKind.LIVE, one.warm, one.options) for one in spec.inputs
        ),
        slate=None if spec.slate is None else spec.slate.of_task(spec.title),
        switching=spec.switching,
        pinned=spec.pinned,
        orders=tuple(one for one in spec.orders if not one.is_done),
        watch=spec.watch,
    )


def _items(items: Sequence[TaskItem]) -> tuple[Item, ...]:
    return tuple(Item(item.url, item.start_s, item.end_s) for item in items)


def _spec_of_source(spec: TaskSpec, playhead: Playhead, mark: Watermark | None) -> RelaySpec:
    first, *others = spec.pushed
    items = _items(spec.items)
    if spec.kind is TaskKind.LIVE:
        return RelaySpec.live(
            items[0].url,
            first.url,
            watermark=mark,
            latency=first.latency or spec.latency,
            codecs=spec.codecs,
            source_options=spec.source_options,
            destination_options=first.options,
            destination_id=str(first.id),
            others=_others(others, first, spec.latency),
        )
    if playhead.item >= len(items):
        playhead = Playhead()
    return RelaySpec.vod(
        items,
        first.url,
        loops=spec.loops,
        playhead=playhead,
        watermark=mark,
        codecs=spec.codecs,
        pre_download=spec.pre_download,
        keeps_time=spec.continue_strategy is ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
        source_options=spec.source_options,
        destination_options=first.options,
        destination_id=str(first.id),
        others=_others(others, first, spec.latency),
    )


def _others(others: Sequence[TaskDestination], first: TaskDestination, latency: Latency) -> tuple[Destination, ...]:
    """One whose partner is switched off is no backup now."""
    on_air = {first.id, *(one.id for one in others)}
    return tuple(
        Destination(
            str(one.id),
            one.url,
            one.options,
            one.latency or latency,
            str(one.backup_of) if one.backup_of in on_air else None,
        )
        for one in others
    )
