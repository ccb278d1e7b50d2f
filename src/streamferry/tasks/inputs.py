"""Further inputs of a task, its slate and the rules between them: as a front end submits them, and what comes of it.

Fields are named as in ``tasks.draft``: ``inputs[0].sources[1].url``, ``slate.title``, ``switching.return_after_s``. An
address that is given as it was shown means the one that the task has; so does a picture.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from streamferry.media.peer_options import NO_OPTIONS, End
from streamferry.media.picture import inspect_picture
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import REDACTED
from streamferry.reasons import Code, InvalidPart, InvalidValue
from streamferry.relay.inputs.policy import SLATE, Normalize, Switching
from streamferry.relay.spec import (
    LEAST_SWITCH_S,
    MAX_INPUTS,
    MOST_SWITCH_S,
    ORDER_STALE_S,
    Item,
    Order,
)
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.destinations import as_shown
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskInput, TaskItem, TaskKind, TaskSpec
from streamferry.tasks.options import Cleared, OptionsDraft, decide_options
from streamferry.tasks.series import Window, read_zone

#: Of the picture of a slate, which is kept in the task's own row.
MAX_SLATE_PICTURE_BYTES = 256 << 10
#: Orders of a task that are not followed yet.
MAX_ORDERS = 10
#: What was not followed so long after its time never will be: until then it may wait for another file to end.
_FORGOTTEN_S = 3600.0
#: How far ahead a file can be ordered: so long is the longest window of the cloud API.
MOST_AHEAD = timedelta(days=7)
_DATA_URL = re.compile(r"data:image/(?:png|jpg|jpeg);base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InputSourceDraft:
    """One address of an input. An offset of None is that which the input has for this address, or none."""

    url: str
    start_s: float | None = 0.0
    end_s: float | None = 0.0


@dataclass(frozen=True, slots=True)
class InputDraft:
    """One further input. ``options`` of None stay: those of the one with the same addresses, or else in its place."""

    kind: TaskKind
    sources: Sequence[InputSourceDraft]
    warm: bool = False
    options: OptionsDraft | Cleared | None = None


@dataclass(frozen=True, slots=True)
class SlateDraft:
    """``picture``: a data URL, or what stood for the picture where it was shown."""

    kind: SlateKind | None = None
    title: str | None = None
    text: str | None = None
    color: str | None = None
    picture: str | None = None
    clip: str | None = None


@dataclass(frozen=True, slots=True)
class SwitchingDraft:
    """What is None stays."""

    switch_after_s: float | None = None
    return_after_s: float | None = None
    returns: bool | None = None
    normalize: str | None = None


def decide_inputs(
    given: Sequence[InputDraft], present: Sequence[TaskInput], rules: AddressRules
) -> tuple[TaskInput, ...]:
    """The further inputs, instead of those that there are. Raises InvalidField."""
    if len(given) >= MAX_INPUTS:
        raise InvalidField("inputs", Code.FIELD_INPUT_COUNT, count=MAX_INPUTS - 1)
    known = [item for one in present for item in one.items]
    found = [
        _decide_input(f"inputs[{index}]", one, present[index].items if index < len(present) else (), known, rules)
        for index, one in enumerate(given)
    ]
    # Which of the present ones each is.
    left = list(present)
    same: list[TaskInput | None] = []
    for one in found:
        was = next((was for was in left if (was.kind, was.items) == (one.kind, one.items)), None)
        if was is not None:
            left.remove(was)
        same.append(was)
    for index in range(min(len(found), len(present))):
        if same[index] is None and present[index] in left and present[index].kind is found[index].kind:
            same[index] = present[index]
    return tuple(
        _with_options(f"inputs[{index}].options", one, draft, was, rules)
        for index, (one, draft, was) in enumerate(zip(found, given, same, strict=True))
    )


def _with_options(
    field: str, one: TaskInput, draft: InputDraft, was: TaskInput | None, rules: AddressRules
) -> TaskInput:
    options = decide_options(
        field,
        End.LIVE if one.kind is TaskKind.LIVE else End.FILES,
        draft.options,
        was.options if was is not None else NO_OPTIONS,
        [item.url for item in one.items],
        [item.url for item in was.items] if was is not None else [],
        rules,
        is_retyped=all(REDACTED not in source.url for source in draft.sources),
    )
    return replace(one, options=options)


def _decide_input(
    field: str, one: InputDraft, same_place: Sequence[TaskItem], known: Sequence[TaskItem], rules: AddressRules
) -> TaskInput:
    """``same_place``: the items of the input that was there; ``known``: those of all."""
    checks.check_item_count(f"{field}.sources", len(one.sources))
    if one.kind is TaskKind.LIVE and len(one.sources) != 1:
        raise InvalidField(f"{field}.sources", Code.FIELD_ONE_LIVE_ADDRESS)
    items: list[TaskItem] = []
    for index, source in enumerate(one.sources):
        name = f"{field}.sources[{index}]"
        if one.kind is TaskKind.LIVE and (source.start_s or source.end_s):
            raise InvalidField(f"{name}.start_s", Code.FIELD_LIVE_WITHOUT_OFFSETS)
        # First the one at the same place: two addresses may differ only in their secrets.
        here = same_place[index : index + 1]
        shown = as_shown(source.url, [item.url for item in here])
        shown = shown or as_shown(source.url, [item.url for item in known])
        url = shown or checks.read_source(f"{name}.url", source.url, one.kind, rules)
        was = next((item for item in (*here, *known) if item.url == url), TaskItem(url))
        start_s = was.start_s if source.start_s is None else source.start_s
        end_s = was.end_s if source.end_s is None else source.end_s
        names = {"start_field": f"{name}.start_s", "end_field": f"{name}.end_s"}
        items.append(checks.check_item(url, start_s, end_s, **names))
    return TaskInput(one.kind, tuple(items), one.warm and one.kind is TaskKind.LIVE)


def decide_slate(given: SlateDraft, present: Slate | None, rules: AddressRules) -> Slate:
    """The slate; of one that is given anew what is None has its default, of a present one it stays, if its kind does.

    Raises InvalidField.
    """
    kind = given.kind or (present.kind if present is not None else SlateKind.CARD)
    base = present if present is not None and present.kind is kind else None
    picture, clip = base.picture if base else b"", base.clip if base else None
    if given.picture and (base is None or given.picture != picture_reference(base)):
        picture = _read_picture(given.picture)
    if given.clip and not (clip is not None and clip.is_shown_as(given.clip)):
        clip = checks.read_source("slate.clip", given.clip, TaskKind.VOD, rules)
    default = base or Slate(SlateKind.CARD)
    try:
        made = Slate(
            kind,
            default.title if given.title is None else given.title,
            default.text if given.text is None else given.text,
            given.color or default.color,
            picture,
            clip,
        )
    except InvalidPart as error:
        raise InvalidField(error.name, error.why) from None
    for field, zone in made.zones:
        read_zone(field, zone)
    return made


def _read_picture(text: str) -> bytes:
    match = _DATA_URL.match(text)
    if match is None:
        raise InvalidField("slate.picture", Code.PICTURE_NOT_DATA_URL)
    try:
        picture = base64.b64decode(text[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("slate.picture", Code.PICTURE_BAD_BASE64) from None
    if len(picture) > MAX_SLATE_PICTURE_BYTES:
        raise InvalidField("slate.picture", Code.FIELD_SLATE_PICTURE_SIZE, size=MAX_SLATE_PICTURE_BYTES >> 10)
    try:
        inspect_picture(picture)
    except InvalidValue as error:
        raise InvalidField("slate.picture", error.why) from None
    return picture


def picture_reference(slate: Slate) -> str | None:
    """What stands for its picture where it is shown, if it has one."""
    if not slate.picture:
        return None
    return f"data:{inspect_picture(slate.picture).media_type};sha256,{sha256(slate.picture).hexdigest()}"


def decide_switching(given: SwitchingDraft, present: Switching) -> Switching:
    """The rules. Raises InvalidField."""
    try:
        normalize = present.normalize if given.normalize is None else Normalize.parse(given.normalize)
    except ValueError:
        raise InvalidField("switching.normalize", Code.FIELD_NORMALIZE) from None
    rules = Switching(
        present.switch_after_s if given.switch_after_s is None else given.switch_after_s,
        present.return_after_s if given.return_after_s is None else given.return_after_s,
        present.returns if given.returns is None else given.returns,
        normalize,
    )
    for name, seconds, least in (
        ("switch_after_s", rules.switch_after_s, LEAST_SWITCH_S),
        ("return_after_s", rules.return_after_s, 0.0),
    ):
        if not least <= seconds <= MOST_SWITCH_S:
            raise InvalidField(f"switching.{name}", Code.FIELD_SWITCH_SECONDS, least=least, most=MOST_SWITCH_S)
    return rules


def keep_pinned(
    pinned: int | None, before: Sequence[TaskInput], inputs: Sequence[TaskInput], slate: Slate | None
) -> int | None:
    """The number that the input has now which was asked for by hand; None if it is no longer there.

    ``before``: the further inputs when it was asked for. One with other addresses is another input.
    """
    if pinned is None or pinned == 0:
        return pinned
    if pinned == SLATE:
        return pinned if slate is not None else None
    if pinned > len(before):
        return None
    was = before[pinned - 1]
    same = [number for number, one in enumerate(inputs, start=1) if (one.kind, one.items) == (was.kind, was.items)]
    # Of several that are alike the one in the same place.
    return pinned if pinned in same else next(iter(same), None)


def pin(spec: TaskSpec, which: int | None) -> TaskSpec:
    """The task with that input, or the slate, on air by hand; None: by the rules again. Raises InvalidField."""
    if not spec.inputs and spec.slate is None:
        raise InvalidField("input", Code.FIELD_NO_INPUTS)
    is_there = which is None or (which <= len(spec.inputs) if which != SLATE else spec.slate is not None)
    if not is_there:
        raise InvalidField("input", Code.FIELD_NO_SUCH_INPUT, count=len(spec.inputs))
    return replace(spec, pinned=which)


def insert(spec: TaskSpec, source: InputSourceDraft, at: datetime, now: datetime, rules: AddressRules) -> TaskSpec:
    """The task with the order to play a file over what is on air, at that time. Raises InvalidField."""
    item = _read_item(source, rules)
    _check_time(spec, at, now)
    return _ordered(spec, Order(0, at.timestamp(), item), now, "at")


def _check_time(spec: TaskSpec, at: datetime, now: datetime) -> None:
    """A time at which nothing of the task is on air would never come."""
    stale = timedelta(seconds=ORDER_STALE_S)
    if at < now - stale:
        raise InvalidField("at", Code.FIELD_IN_THE_PAST)
    # First: windows are counted one by one.
    if at - now > MOST_AHEAD:
        raise InvalidField("at", Code.FIELD_INSERT_TOO_LATE)
    series = spec.series
    windows = series.windows(at) if series is not None else [Window(spec.start_at, spec.end_at)]
    window = next((one for one in windows if one.end_at > at), None)
    if window is None:
        raise InvalidField("at", Code.FIELD_INSERT_TOO_LATE)
    opens_at = series.slate_from if series is not None and series.slate_from is not None else window.start_at
    if at < opens_at - stale:
        raise InvalidField("at", Code.FIELD_INSERT_TOO_EARLY)


def queue(spec: TaskSpec, source: InputSourceDraft, now: datetime, rules: AddressRules) -> TaskSpec:
    """The task with the order to play a file once after the present item of its list. Raises InvalidField."""
    if spec.kind is not TaskKind.VOD:
        raise InvalidField("after_item", Code.FIELD_AFTER_ITEM)
    return _ordered(spec, Order(0, now.timestamp(), _read_item(source, rules), after_item=True), now, "after_item")


def _read_item(source: InputSourceDraft, rules: AddressRules) -> Item:
    url = checks.read_source("url", source.url, TaskKind.VOD, rules)
    item = checks.check_item(url, source.start_s or 0.0, source.end_s or 0.0, start_field="start_s", end_field="end_s")
    return Item(item.url, item.start_s, item.end_s)


def cancel(spec: TaskSpec, number: int) -> TaskSpec:
    """The task without the order of that number, which was not followed yet. Raises InvalidField."""
    if not any(one.number == number and one.item is not None and not one.is_done for one in spec.orders):
        raise InvalidField("number", Code.FIELD_NO_SUCH_INSERT)
    # Numbers go on from the last one: it stays, as one that nobody follows.
    gone = {number: Order(number, 0.0)} if number == max(one.number for one in spec.orders) else {}
    kept = (gone.get(one.number, one) for one in spec.orders if one.number != number or gone)
    return replace(spec, orders=tuple(kept))


def waiting_inserts(spec: TaskSpec, now: datetime, *, plays_one: bool) -> tuple[Order, ...]:
    """The files that wait for their turn, the next one first. ``plays_one``: another one is played now."""
    oldest_at = now.timestamp() - (_FORGOTTEN_S if plays_one else ORDER_STALE_S)
    waiting = (one for one in spec.orders if one.item is not None and not one.is_done)
    return tuple(sorted((one for one in waiting if one.after_item or one.at >= oldest_at), key=lambda one: one.at))


def skip(spec: TaskSpec, now: datetime) -> TaskSpec:
    """The task with the order to end what plays of a list, or what was inserted, if anything. Raises InvalidField."""
    return _ordered(spec, Order(0, now.timestamp()), now, "task_id")


def _ordered(spec: TaskSpec, order: Order, now: datetime, field: str) -> TaskSpec:
    """Orders that nobody follows any more are left out, but for the last, from which the numbers go on."""
    last = max((one.number for one in spec.orders), default=0)
    oldest_at = now.timestamp() - ORDER_STALE_S
    alive = [one for one in spec.orders if not one.is_done and (one.after_item or one.at >= oldest_at)]
    if len(alive) >= MAX_ORDERS:
        raise InvalidField(field, Code.FIELD_ORDER_COUNT, count=MAX_ORDERS)
    forgotten_at = now.timestamp() - _FORGOTTEN_S
    waiting = [one for one in spec.orders if one.item is not None and not one.is_done and one.at >= forgotten_at]
    kept = tuple(one for one in spec.orders if one in alive or one in waiting[-MAX_ORDERS:] or one.number == last)
    return replace(spec, orders=(*kept, replace(order, number=last + 1)))
