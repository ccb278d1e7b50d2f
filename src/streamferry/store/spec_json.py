"""TaskSpec to and from the text that is sealed. Values that lists search by are in columns of their own."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from streamferry.media.peer_options import PeerOptions
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.reasons import Code, InvalidValue, Reason
from streamferry.relay.eyes.judge import NOTHING, ContentFault, Rule, Watch
from streamferry.relay.inputs.policy import SWITCHING, Normalize, Switching
from streamferry.relay.spec import Codecs, Item, Latency, Order
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import (
    ContinueStrategy,
    SourceForm,
    StoredMark,
    TaskDestination,
    TaskInput,
    TaskItem,
    TaskKind,
    TaskSpec,
)
from streamferry.tasks.series import Series

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Unreadable(InvalidValue):
    """A row that cannot be read as a spec; the sentence says what to do about it."""

    def __init__(self, why: Reason) -> None:
        super().__init__(Code.TASK_UNREADABLE, why=why)


class DamagedMark(Unreadable):
    """The row's watermark cannot be read."""

    def __init__(self) -> None:
        super().__init__(Reason.of(Code.TASK_MARK_DAMAGED))


class _AsTheyAre(BaseModel):
    """Values of a spec that are stored as they are. A missing or unknown field is from another version: nothing is
    guessed. A field that was added later has a default for older rows, and is left out while it has that value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str
    loops: int
    cycle_mode: int | None
    play_times: int | None
    pre_download: bool
    callback_url: str
    note: str = ""
    latency: Latency = Latency.NORMAL
    codecs: Codecs = Codecs.ANY
    priority: int = 0
    series: Series | None = None
    destination_id: int = 1
    destination_name: str = ""
    destination_enabled: bool = True
    destination_latency: Latency | None = None


class _StoredDestination(BaseModel):
    """A further destination; server and key if they were given apart."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: int
    url: str
    parts: tuple[str, str] | None = None
    name: str = ""
    enabled: bool = True
    latency: Latency | None = None
    options: dict[str, Any] = {}
    backup_of: int | None = None


class _StoredInput(BaseModel):
    """A further input."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: int
    items: Annotated[list[tuple[str, _Seconds, _Seconds]], Field(min_length=1)]
    warm: bool = False
    options: dict[str, Any] = {}


class _Stored(_AsTheyAre):
    """The text's shape."""

    kind: int
    items: Annotated[list[tuple[str, _Seconds, _Seconds]], Field(min_length=1)]
    destination: str
    source_form: str
    continue_strategy: int
    watermark: tuple[float, float, float] | None
    # Added later, see above: server and key if they were given apart, and options.
    destination_parts: tuple[str, str] | None = None
    placement: list[str] = []
    source_options: dict[str, Any] = {}
    destination_options: dict[str, Any] = {}
    others: list[_StoredDestination] = []
    inputs: list[_StoredInput] = []
    slate: tuple[str, str, str, str, str, str] | None = None
    switching: tuple[float, float, bool] | None = None
    normalize: str = str(SWITCHING.normalize)
    pinned: int | None = None
    orders: list[tuple[int, float, tuple[str, float, float] | None]] = []
    #: Numbers of those that are for after the present item.
    after_item: list[int] = []
    watch: dict[str, tuple[float, float]] = {}
    watch_switches: list[str] = []


#: As they are stored: by names of the cloud API, since the first version.
_FORMS = {
    SourceForm.SINGLE: "SrcAddr",
    SourceForm.STARTS: "SrcAddrS",
    SourceForm.RANGES: "VodSrcAddrs",
}
_FORM_OF = {name: form for form, name in _FORMS.items()}
#: An address that every check refuses, like one with hidden secrets.
_NOWHERE = MediaUrl("rtmp", REDACTED, 1935, "", "", None, None)


def serialize_spec(spec: TaskSpec) -> str:
    """Everything but the window, the group and the watermark's picture, secrets revealed: for ``Seal`` only."""
    watermark = spec.watermark
    return _Stored(
        **{name: getattr(spec, name) for name in _AsTheyAre.model_fields},
        kind=int(spec.kind),
        items=[(item.url.reveal(), item.start_s, item.end_s) for item in spec.items],
        destination=spec.destination.reveal(),
        destination_parts=spec.destination.apart,
        placement=list(spec.placement),
        source_options=spec.source_options.to_json(),
        destination_options=spec.destination_options.to_json(),
        others=[
            _StoredDestination(
                id=one.id,
                url=one.url.reveal(),
                parts=one.url.apart,
                name=one.name,
                enabled=one.enabled,
                latency=one.latency,
                options=one.options.to_json(),
                backup_of=one.backup_of,
            )
            for one in spec.others
        ],
        inputs=[
            _StoredInput(
                kind=int(one.kind),
                items=[_revealed(item) for item in one.items],
                warm=one.warm,
                options=one.options.to_json(),
            )
            for one in spec.inputs
        ],
        slate=None if spec.slate is None else _slate_parts(spec.slate),
        switching=_times_of(spec.switching),
        normalize=str(spec.switching.normalize),
        pinned=spec.pinned,
        orders=[(one.number, one.at, None if one.item is None else _revealed(one.item)) for one in spec.orders],
        after_item=[one.number for one in spec.orders if one.after_item],
        watch={fault.value: (rule.threshold, rule.duration_s) for fault, rule in _rules(spec.watch)},
        watch_switches=[fault.value for fault, rule in _rules(spec.watch) if rule.switches],
        source_form=_FORMS[spec.source_form],
        continue_strategy=int(spec.continue_strategy),
        watermark=None if watermark is None else (watermark.pos_x, watermark.pos_y, watermark.ratio),
    ).model_dump_json(exclude_defaults=True)


def _rules(watch: Watch) -> Iterator[tuple[ContentFault, Rule]]:
    for fault in ContentFault:
        if (rule := watch.rule(fault)) is not None:
            yield fault, rule


def parse_spec(
    text: str, *, group: str, start_at: datetime, end_at: datetime, picture: tuple[str, str, int] | None
) -> TaskSpec:
    """The spec again. ``picture``: digest, type and size in bytes of the watermark's. Raises Unreadable."""
    try:
        stored = _Stored.model_validate_json(text)
        kind = TaskKind(stored.kind)
        if stored.loops < -1 or stored.loops == 0:
            raise ValueError
        if stored.series is not None:
            stored.series.check()
        if stored.callback_url:
            MediaUrl.parse(stored.callback_url)
        spec = TaskSpec(
            **{name: getattr(stored, name) for name in _AsTheyAre.model_fields},
            kind=kind,
            items=tuple(TaskItem(MediaUrl.parse(url), start_s, end_s) for url, start_s, end_s in stored.items),
            destination=_parse_address(stored.destination, stored.destination_parts),
            others=tuple(
                TaskDestination(
                    one.id,
                    _parse_address(one.url, one.parts),
                    one.name,
                    one.enabled,
                    one.latency,
                    PeerOptions.from_json(one.options),
                    one.backup_of,
                )
                for one in stored.others
            ),
            placement=tuple(stored.placement),
            source_options=PeerOptions.from_json(stored.source_options),
            destination_options=PeerOptions.from_json(stored.destination_options),
            start_at=start_at,
            end_at=end_at,
            group=group,
            inputs=tuple(
                TaskInput(
                    TaskKind(one.kind),
                    tuple(TaskItem(*_parsed(item)) for item in one.items),
                    one.warm,
                    PeerOptions.from_json(one.options),
                )
                for one in stored.inputs
            ),
            slate=None if stored.slate is None else _slate_of(stored.slate),
            switching=replace(
                SWITCHING if stored.switching is None else Switching(*stored.switching),
                normalize=Normalize.parse(stored.normalize),
            ),
            pinned=stored.pinned,
            orders=tuple(
                Order(number, at, None if item is None else Item(*_parsed(item)), number in stored.after_item)
                for number, at, item in stored.orders
            ),
            watch=Watch(**{name: Rule(*rule, name in stored.watch_switches) for name, rule in stored.watch.items()})
            if stored.watch
            else NOTHING,
            source_form=_FORM_OF[stored.source_form],
            continue_strategy=ContinueStrategy(stored.continue_strategy),
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidField):
        # pydantic's own message repeats the input.
        raise Unreadable(Reason.of(Code.TASK_OTHER_VERSION)) from None
    return replace(spec, watermark=_parse_watermark(stored.watermark, picture))


def _parse_address(url: str, parts: tuple[str, str] | None) -> MediaUrl:
    return MediaUrl.of_server(*parts) if parts else MediaUrl.parse(url)


def _revealed(item: TaskItem | Item) -> tuple[str, float, float]:
    return item.url.reveal(), item.start_s, item.end_s


def _parsed(item: tuple[str, float, float]) -> tuple[MediaUrl, float, float]:
    url, start_s, end_s = item
    return MediaUrl.parse(url), start_s, end_s


def _times_of(rules: Switching) -> tuple[float, float, bool] | None:
    times = (rules.switch_after_s, rules.return_after_s, rules.returns)
    return None if replace(rules, normalize=SWITCHING.normalize) == SWITCHING else times


def _slate_parts(slate: Slate) -> tuple[str, str, str, str, str, str]:
    clip = "" if slate.clip is None else slate.clip.reveal()
    return str(slate.kind), slate.title, slate.text, slate.color, base64.b64encode(slate.picture).decode(), clip


def _slate_of(parts: tuple[str, str, str, str, str, str]) -> Slate:
    kind, title, text, color, picture, clip = parts
    return Slate(SlateKind(kind), title, text, color, base64.b64decode(picture), MediaUrl.parse(clip) if clip else None)


def _parse_watermark(
    place: tuple[float, float, float] | None, picture: tuple[str, str, int] | None
) -> StoredMark | None:
    if place is None:
        return None
    try:
        if picture is None:
            raise ValueError
        return StoredMark(*picture, *place)
    except ValueError:
        raise DamagedMark from None


def with_picture(spec: TaskSpec, pictures: Mapping[str, bytes]) -> TaskSpec:
    """The spec with its watermark's picture, to be run. Raises Unreadable if that is not there or damaged."""
    mark = spec.watermark
    if not isinstance(mark, StoredMark):
        return spec
    try:
        whole = Watermark(pictures.get(mark.digest, b""), mark.pos_x, mark.pos_y, mark.ratio)
    except ValueError:
        raise DamagedMark from None
    return replace(spec, watermark=whole)


def stand_in(*, title: str, group: str, start_at: datetime, end_at: datetime) -> TaskSpec:
    """The placeholder for a task whose spec cannot be read. It names no peer, so nothing can be pulled or pushed."""
    return TaskSpec(
        kind=TaskKind.VOD,
        items=(TaskItem(_NOWHERE),),
        destination=_NOWHERE,
        start_at=start_at,
        end_at=end_at,
        title=title,
        group=group,
        source_form=SourceForm.STARTS,
    )
