"""``TaskDraft``: a task as a front end submits it, before it is checked; and how it becomes a ``TaskSpec``.

A draft consists of plain values. A field is absent (None), given, or cleared, where that differs from absent. Whatever
a front end calls its fields, here and in every InvalidField they have the names of this module's classes, with a path:
``title``, ``sources[2].start_s``, ``destination.host``, ``watermark.x``. A front end with other names keeps one table
of them.

Absent fields keep the task's values; a new task, or one that cannot be read any more, has none to keep. An address or a
picture that is given as it was shown means the stored one (decision 0005).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, get_args

from streamferry.media.peer_options import NO_OPTIONS, End
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.judge import NOTHING
from streamferry.relay.inputs.policy import SWITCHING
from streamferry.relay.spec import ENDLESS, Codecs, Latency
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.destinations import (
    Address,
    DestinationDraft,
    DestinationEdit,
    as_shown,
    decide_destinations,
)
from streamferry.tasks.destinations import DestinationParts as DestinationParts
from streamferry.tasks.destinations import ServerAndKey as ServerAndKey
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import (
    InputDraft,
    SlateDraft,
    SwitchingDraft,
    decide_inputs,
    decide_slate,
    decide_switching,
    keep_pinned,
)
from streamferry.tasks.model import (
    DEFAULT_GROUP,
    ContinueStrategy,
    SourceForm,
    StoredMark,
    TaskItem,
    TaskKind,
    TaskSpec,
)
from streamferry.tasks.options import CLEARED as CLEARED
from streamferry.tasks.options import Cleared as Cleared
from streamferry.tasks.options import OptionsDraft, decide_options
from streamferry.tasks.texts import TEXTS
from streamferry.tasks.watching import WatchDraft, decide_watch
from streamferry.tasks.windows import Endless, SeriesDraft, decide_window

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class SourceDraft:
    """One address. None: the task's address at this index, with other offsets."""

    url: str | None
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WatermarkDraft:
    """``picture``: a data URL, or what stood for the picture where it was shown. The others are fractions of the
    video's width and height."""

    picture: str | None = None
    x: float | None = None
    y: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """See the module; an empty text is absent, too. ``source_form``: of the sources, if they are a list. ``loops``: -1
    is endless, 0 means as often as ``play_times`` says. ``texts``: by their names in ``TaskTexts``. ``destination`` and
    its options are of the first; ``destinations`` are all, or one of them changes (``destination_edit``)."""

    kind: TaskKind | None = None
    sources: Sequence[SourceDraft] | None = None
    source_form: SourceForm = SourceForm.RANGES
    destination: Address | None = None
    start_at: datetime | None = None
    end_at: datetime | Endless | None = None
    series: SeriesDraft | Cleared | None = None
    title: str | Cleared | None = None
    group: str | None = None
    loops: int | None = None
    play_times: int | None = None
    continue_strategy: ContinueStrategy | None = None
    pre_download: bool | None = None
    latency: Latency | None = None
    codecs: Codecs | None = None
    placement: Sequence[str] | Cleared | None = None
    priority: int | None = None
    callback_url: str | Cleared | None = None
    watermark: WatermarkDraft | Cleared | None = None
    source_options: OptionsDraft | Cleared | None = None
    destination_options: OptionsDraft | Cleared | None = None
    destinations: Sequence[DestinationDraft] | None = None
    destination_edit: DestinationEdit | None = None
    inputs: Sequence[InputDraft] | Cleared | None = None
    slate: SlateDraft | Cleared | None = None
    switching: SwitchingDraft | None = None
    watch: WatchDraft | Cleared | None = None
    texts: Mapping[str, str | Cleared] = field(default_factory=dict)


#: Fields that can be cleared, beside the texts.
CLEARABLE = frozenset(one.name for one in fields(TaskDraft) if Cleared in get_args(one.type))


def decide_spec(draft: TaskDraft, current: TaskSpec | None, now: datetime, rules: AddressRules) -> TaskSpec:
    """The resulting spec. ``current``: the task's spec; None for a new task. Raises InvalidField."""
    kind = draft.kind if draft.kind is not None else _present(current, "kind").kind
    start_at, end_at, series = decide_window(draft.start_at, draft.end_at, draft.series, current, now)
    # When the kind changes, nothing about the source can stay.
    same_kind = current if current is not None and current.kind is kind else None
    form, items = _decide_sources(draft, kind, same_kind, is_new=current is None, rules=rules)
    cycle_mode, play_times, loops = _decide_loops(draft, kind, same_kind)
    first, *others = decide_destinations(
        draft.destinations,
        DestinationDraft(to=draft.destination, options=draft.destination_options),
        draft.destination_edit,
        current.destinations if current else (),
        rules,
    )
    source_options = decide_options(
        "source_options",
        End.LIVE if kind is TaskKind.LIVE else End.FILES,
        draft.source_options,
        current.source_options if current else NO_OPTIONS,
        [item.url for item in items],
        [item.url for item in current.items] if current else [],
        rules,
        is_retyped=draft.sources is not None and all(REDACTED not in (one.url or REDACTED) for one in draft.sources),
    )
    air = _decide_air(draft, current, rules)
    if series is not None and series.slate_between and air["slate"] is None:
        raise InvalidField("series.slate_between", Code.SERIES_SLATE)
    return TaskSpec(
        **air,
        kind=kind,
        items=items,
        destination=first.url,
        start_at=start_at,
        end_at=end_at,
        series=series,
        title=_decide_text(draft.title, current.title if current else "", checks.check_title),
        group=checks.check_group_name(draft.group) if draft.group else current.group if current else DEFAULT_GROUP,
        source_form=form,
        loops=loops,
        cycle_mode=cycle_mode,
        play_times=play_times,
        continue_strategy=_choose(
            draft.continue_strategy, current.continue_strategy if current else ContinueStrategy.AT_BREAK
        ),
        pre_download=_choose(draft.pre_download, current.pre_download if current else True),
        latency=_choose(draft.latency, current.latency if current else Latency.NORMAL),
        codecs=_choose(draft.codecs, current.codecs if current else Codecs.ANY),
        placement=_decide_placement(draft.placement, current.placement if current else ()),
        priority=checks.check_priority(_choose(draft.priority, current.priority if current else 0)),
        callback_url=_decide_callback(draft.callback_url, current, rules),
        watermark=_decide_watermark(draft.watermark, current.watermark if current else None),
        source_options=source_options,
        destination_options=first.options,
        destination_id=first.id,
        destination_name=first.name,
        destination_enabled=first.enabled,
        destination_latency=first.latency,
        others=tuple(others),
        **_decide_texts(draft.texts, current),
    )


def _decide_air(draft: TaskDraft, current: TaskSpec | None, rules: AddressRules) -> dict[str, Any]:
    """The further inputs, the slate and what goes with them; and what the content is watched for."""
    inputs, slate = (current.inputs, current.slate) if current is not None else ((), None)
    if draft.inputs is CLEARED:
        inputs = ()
    elif draft.inputs is not None:
        inputs = decide_inputs(draft.inputs, inputs, rules)
    if draft.slate is CLEARED:
        slate = None
    elif draft.slate is not None:
        slate = decide_slate(draft.slate, slate, rules)
    switching = current.switching if current is not None else SWITCHING
    watch = current.watch if current is not None else NOTHING
    if isinstance(draft.watch, Cleared):
        watch = NOTHING
    elif draft.watch is not None:
        watch = decide_watch(draft.watch)
    return {
        "inputs": inputs,
        "slate": slate,
        "switching": switching if draft.switching is None else decide_switching(draft.switching, switching),
        "pinned": None if current is None else keep_pinned(current.pinned, current.inputs, inputs, slate),
        "orders": current.orders if current is not None else (),
        "watch": watch,
    }


def _choose(given: _Value | None, present: _Value) -> _Value:
    return present if given is None else given


def _present(current: TaskSpec | None, field: str) -> TaskSpec:
    """The task's current spec, from which fields that are not given are taken."""
    if current is None:
        raise InvalidField(field, Code.FIELD_REQUIRED)
    return current


def _decide_text(given: str | Cleared | None, present: str, check: Callable[[str], str]) -> str:
    if given is CLEARED:
        return ""
    return check(given) if given else present


def _decide_placement(given: Sequence[str] | Cleared | None, present: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(given, Cleared):
        return ()
    return present if given is None else checks.check_placement(given)


def _decide_texts(given: Mapping[str, str | Cleared], current: TaskSpec | None) -> dict[str, Any]:
    present = {name: getattr(current, name) if current else "" for name in TEXTS}
    return {
        name: _decide_text(given.get(name), present[name], partial(checks.check_text, name, rule=rule))
        for name, rule in TEXTS.items()
    }


def _decide_sources(
    draft: TaskDraft, kind: TaskKind, current: TaskSpec | None, *, is_new: bool, rules: AddressRules
) -> tuple[SourceForm, tuple[TaskItem, ...]]:
    if draft.sources is None:
        if current is None:
            what = Reason.of(Code.FIELD_REQUIRED) if is_new else Reason.of(Code.FIELD_REQUIRED_WITH_OTHER_KIND)
            raise InvalidField("sources", what)
        return current.source_form, current.items
    if kind is TaskKind.LIVE:
        if len(draft.sources) != 1:
            raise InvalidField("sources", Code.FIELD_ONE_LIVE_ADDRESS)
        if draft.sources[0].start_s or draft.sources[0].end_s:
            raise InvalidField("sources[0].start_s", Code.FIELD_LIVE_WITHOUT_OFFSETS)
    checks.check_item_count("sources", len(draft.sources))
    known = [item.url for item in current.items] if current else []
    items = []
    for index, one in enumerate(draft.sources):
        field = f"sources[{index}]"
        # First the one at the same index: two addresses may differ only in their secrets.
        same_place = known[index : index + 1]
        if one.url is None and not same_place:
            raise InvalidField(f"{field}.url", Code.FIELD_REQUIRED)
        url = same_place[0] if one.url is None else as_shown(one.url, same_place) or as_shown(one.url, known)
        url = url or checks.read_source(f"{field}.url", one.url or "", kind, rules)
        names = {"start_field": f"{field}.start_s", "end_field": f"{field}.end_s"}
        items.append(checks.check_item(url, one.start_s, one.end_s, **names))
    return SourceForm.SINGLE if kind is TaskKind.LIVE else draft.source_form, tuple(items)


def _decide_loops(draft: TaskDraft, kind: TaskKind, current: TaskSpec | None) -> tuple[int | None, int | None, int]:
    """``loops`` and ``play_times`` as they are shown, and the loops they mean; of no effect on a live source."""
    if kind is TaskKind.LIVE and (draft.loops is not None or draft.play_times is not None):
        checks.decide_loops(draft.loops or 0, draft.play_times or 1)
    cycle_mode = _choose(draft.loops, current.cycle_mode if current else None)
    play_times = _choose(draft.play_times, current.play_times if current else None)
    if kind is TaskKind.LIVE:
        return cycle_mode, play_times, ENDLESS
    cycle_mode = _choose(cycle_mode, ENDLESS)
    return cycle_mode, play_times, checks.decide_loops(cycle_mode, play_times)


def _decide_callback(given: str | Cleared | None, current: TaskSpec | None, rules: AddressRules) -> str:
    present = current.callback_url if current else ""
    if given is CLEARED:
        return ""
    if not given or (present and MediaUrl.parse(present).is_shown_as(given)):
        return present
    return checks.check_callback_url(given, rules)


def _decide_watermark(
    given: WatermarkDraft | Cleared | None, present: Watermark | StoredMark | None
) -> Watermark | StoredMark | None:
    if given is None:
        return present
    if given is CLEARED:
        return None
    if present is not None and given.picture in (None, _reference(present)):
        x, y, ratio = (
            _choose(given.x, present.pos_x),
            _choose(given.y, present.pos_y),
            _choose(given.ratio, present.ratio),
        )
        return checks.place_watermark(present, x, y, ratio)
    if present is None and given == WatermarkDraft():
        raise InvalidField("watermark", Code.FIELD_MARK_PARTS)
    return checks.read_watermark(
        _require("watermark.picture", given.picture),
        _require("watermark.x", _choose(given.x, present.pos_x if present else None)),
        _require("watermark.y", _choose(given.y, present.pos_y if present else None)),
        _require("watermark.ratio", _choose(given.ratio, present.ratio if present else None)),
    )


def _require(field: str, value: _Value | None) -> _Value:
    if value is None:
        raise InvalidField(field, Code.FIELD_REQUIRED)
    return value


def _reference(mark: Watermark | StoredMark) -> str | None:
    return mark.reference if isinstance(mark, StoredMark) else None
