"""The request bodies of REST, as models, and how a task's body becomes a ``TaskDraft``.

REST names fields as ``tasks.draft`` does, so no names are translated, neither here nor in errors. Which fields a task
needs and what a value may be is decided there. Unknown fields are refused.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, Strict

from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.spec import (
    MAX_DESTINATIONS,
    MAX_INPUTS,
    MAX_ITEMS,
    Codecs,
    Latency,
)
from streamferry.store.records import GroupTag
from streamferry.tasks.checks import MAX_CALLBACK_CHARS, MAX_INT32
from streamferry.tasks.destinations import DestinationDraft
from streamferry.tasks.draft import CLEARABLE, CLEARED, ServerAndKey, SourceDraft, TaskDraft, WatermarkDraft
from streamferry.tasks.inputs import InputDraft, InputSourceDraft, SlateDraft, SwitchingDraft
from streamferry.tasks.model import ContinueStrategy, TaskKind
from streamferry.tasks.options import OptionsDraft
from streamferry.tasks.placement import HIGHEST_PRIORITY, LOWEST_PRIORITY, MAX_LABELS
from streamferry.tasks.texts import TEXTS
from streamferry.tasks.watching import RuleDraft
from streamferry.tasks.windows import ENDLESS, SeriesDraft
from streamferry.web.rest.task_parts import (
    NO_NUL,
    Address,
    Body,
    DestinationBody,
    InputBody,
    ListedDestination,
    Name,
    OptionsBody,
    Seconds,
    SeriesBody,
    ServerBody,
    SlateBody,
    SourceBody,
    Switch,
    SwitchingBody,
    WatermarkBody,
)
from streamferry.web.views import Kind, Strategy


def _refuse_zero(loops: int) -> int:
    if loops == 0:
        raise ValueError("must be -1 (endless) or the number of loops")
    return loops


Loops = Annotated[
    int,
    Strict(),
    Field(ge=-1, le=MAX_INT32, json_schema_extra={"not": {"const": 0}}),
    AfterValidator(_refuse_zero),
]


End = AwareDatetime | Literal["never"]


class TokenRequest(Body):
    """An access key that a token is requested for."""

    access_key_id: Annotated[str, Field(max_length=512)]
    secret_access_key: Annotated[str, Field(max_length=512, repr=False)]
    lifetime_s: Annotated[int, Strict(), Field(ge=60, le=86400)] = 3600
    """How long the token is to be valid."""


class RuleBody(Body):
    """When something is wrong with the content; what is not given has its default."""

    threshold: Annotated[float, Strict()] | None = None
    """``black``: share of the picture that is black (0.98). ``frozen``: change that counts as none, in % (1).
    ``silent``: level in dBFS (-60). ``low_bitrate``: kbit/s (100). ``low_fps``: frames a second; it has to be given.
    ``keyframes_far_apart``: seconds (10)."""
    duration_s: Annotated[float, Strict()] | None = None
    """How long it has to last: 10, 30, and 20 for all others."""
    switches: Switch | None = None
    """Whether a live input that has it is not shown while there is another input, or a slate; for ``black``,
    ``frozen`` and ``silent``."""


class SwitchRequest(Body):
    """What is to be on air."""

    input: Annotated[int, Strict(), Field(ge=0, lt=MAX_INPUTS)] | Literal["slate"] | None = None
    """The number of an input, 0 for the source; ``slate``; or null: what the rules say."""


class InsertRequest(Body):
    """A file to be played over what is on air."""

    url: Address
    start_s: Seconds = 0.0
    end_s: Seconds = 0.0
    """From the file's start; 0 is the file's end."""
    at: AwareDatetime | None = None
    """When; null: now."""
    after_item: Annotated[bool, Strict()] = False
    """Of a list: when its present item ends, instead of at a time."""


class TaskFields(Body):
    """The fields of a task that can be set."""

    title: Name | None = None
    continue_strategy: Strategy | None = None
    pre_download: Switch | None = None
    latency: Latency | None = None
    """How often media of a live source is moved on: every 80 ms (low), 160 ms (normal, the default) or 320 ms (dense).
    The longer, the less a stream costs. Of no meaning for a list."""
    codecs: Codecs | None = None
    """What the destination is sent: any (the default) is what the source sends, h264 only H.264 and AAC, h264_if_needed
    what it says that it takes. All else is encoded to H.264 and AAC."""
    placement: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=MAX_LABELS)] | None = None
    """Labels that its worker must have, as ``region=eu``. Empty (the default): any worker."""
    priority: Annotated[int, Strict(), Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)] | None = None
    """Which task is taken first when there is not room for all: the one with the higher number; 0 is the default. No
    task on the air is ended for another one."""
    loops: Loops | None = None
    """How often a list is played; -1 (the default) is without end."""
    callback_url: Annotated[str, Field(max_length=MAX_CALLBACK_CHARS, pattern=NO_NUL)] | None = None
    watermark: WatermarkBody | None = None
    series: SeriesBody | None = None
    note: Annotated[str, Field(max_length=TEXTS["note"].max_chars)] | None = None
    """For people: shown beside the task, of no other effect."""
    source_options: OptionsBody | None = None
    """Of all its sources."""
    destination_options: OptionsBody | None = None
    """Of its destination, the first if it has several."""
    destinations: Annotated[list[ListedDestination], Field(min_length=1, max_length=MAX_DESTINATIONS)] | None = None
    """All destinations, in order, instead of ``destination`` and its options. The task's state is that of the first
    one that is switched on."""
    inputs: Annotated[list[InputBody], Field(max_length=MAX_INPUTS - 1)] | None = None
    """Further inputs, in order of preference after the sources."""
    slate: SlateBody | None = None
    switching: SwitchingBody | None = None
    watch: dict[ContentFault, RuleBody] | None = None
    """What the content that is sent is watched for, instead of all that the task had."""


class NewTask(TaskFields):
    """A task to create."""

    kind: Kind
    sources: Annotated[list[SourceBody], Field(min_length=1, max_length=MAX_ITEMS)]
    """One for a live task."""
    destination: Address | ServerBody | None = None
    """Needed, unless ``destinations`` are given."""
    start_at: AwareDatetime
    """To the second."""
    end_at: End
    """At most 7 days after the start; ``never`` is without an end."""
    group: Name | None = None


class TaskPatch(TaskFields):
    """Changes to a task: a field that is not given stays. Null or an empty text clears title, callback_url, watermark,
    series, placement, options, inputs, slate or watch; for any other field null means that it is not given."""

    kind: Kind | None = None
    sources: Annotated[list[SourceBody], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    """Replaces the whole list."""
    destination: Address | ServerBody | None = None
    start_at: AwareDatetime | None = None
    end_at: End | None = None
    version: Annotated[int, Strict(), Field(ge=1, le=MAX_INT32)] | None = None
    """The version that was seen, as in ``If-Match``: if the task has another one, it is not changed."""


class TagBody(Body):
    """A label of a group."""

    key: Annotated[str, Field(max_length=128, pattern=NO_NUL)]
    value: Annotated[str, Field(max_length=256, pattern=NO_NUL)] = ""
    category: Literal["System", "Custom"] = "Custom"


class GroupTags(Body):
    """The labels that replace those of a group."""

    tags: Annotated[list[TagBody], Field(max_length=20)]


class NewGroup(Body):
    """A group to create."""

    name: Name
    project: Name = "default"
    tags: Annotated[list[TagBody], Field(max_length=20)] = []  # noqa: RUF012 -- pydantic copies it


class OfTask(Body):
    """Which task; null means all."""

    task_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None


class ProbeRequest(Body):
    """An address to inspect."""

    url: Address
    seconds: Annotated[float, Strict(), Field(ge=1, le=120)] = 20.0
    """How much of it to inspect."""


def to_draft(body: NewTask | TaskPatch) -> TaskDraft:
    """A draft with the given fields. In a patch, fields given as empty are cleared."""
    given = {name: getattr(body, name) for name in _AS_THEY_ARE}
    if isinstance(body, TaskPatch):
        given |= {name: CLEARED for name in CLEARABLE & body.model_fields_set if not getattr(body, name)}
    mark, to, series = body.watermark, body.destination, body.series
    if series is not None:
        given["series"] = SeriesDraft(
            series.rule, series.time_zone, series.exdates, series.rdates, series.slate_between
        )
    given |= _to_air(body)
    given |= {name: OptionsDraft(**dict(one)) for name in _OPTIONS if (one := getattr(body, name)) is not None}
    given["destination"] = _address(to)
    given["destinations"] = (
        None if body.destinations is None else [to_destination(one, one.id) for one in body.destinations]
    )
    return TaskDraft(
        end_at=ENDLESS if body.end_at == "never" else body.end_at,
        **{"watermark": WatermarkDraft(mark.picture, mark.x, mark.y, mark.ratio) if mark else None, **given},
        texts={name: getattr(body, name) or CLEARED for name in TEXTS.keys() & body.model_fields_set},
        group=body.group if isinstance(body, NewTask) else None,
        kind=TaskKind[body.kind.name] if body.kind else None,
        sources=None
        if body.sources is None
        else [SourceDraft(one.url, one.start_s, one.end_s) for one in body.sources],
        continue_strategy=ContinueStrategy[body.continue_strategy.name] if body.continue_strategy else None,
    )


def to_destination(body: DestinationBody, number: int | None) -> DestinationDraft:
    """A draft of one destination. What is given as null is cleared."""
    empty = {name: CLEARED for name in ("latency", "options", "backup_of") if name in body.model_fields_set}
    given: dict[str, Any] = {"latency": body.latency, "backup_of": body.backup_of}
    if body.options is not None:
        given["options"] = OptionsDraft(**dict(body.options))
    given = empty | {name: value for name, value in given.items() if value is not None}
    return DestinationDraft(number, _address(body.to), body.name, body.enabled, **given)


def _address(to: str | ServerBody | None) -> str | ServerAndKey | None:
    return ServerAndKey(to.server, to.key) if isinstance(to, ServerBody) else to


def _to_air(body: NewTask | TaskPatch) -> dict[str, Any]:
    """Further inputs, the slate and the rules between them, as far as they are given."""
    given: dict[str, Any] = {}
    if body.inputs:
        given["inputs"] = [
            InputDraft(
                TaskKind[one.kind.name],
                [InputSourceDraft(source.url, source.start_s, source.end_s) for source in one.sources],
                one.warm,
                OptionsDraft(**dict(one.options))
                if one.options is not None
                else (CLEARED if "options" in one.model_fields_set else None),
            )
            for one in body.inputs
        ]
    if body.slate is not None:
        given["slate"] = SlateDraft(**dict(body.slate))
    if body.switching is not None:
        given["switching"] = SwitchingDraft(**dict(body.switching))
    if body.watch:
        given["watch"] = {
            fault: RuleDraft(rule.threshold, rule.duration_s, bool(rule.switches)) for fault, rule in body.watch.items()
        }
    return given


_OPTIONS = ("source_options", "destination_options")
#: Fields of a task that a draft takes unchanged from a body.
_AS_THEY_ARE = {one.name for one in fields(TaskDraft)} & TaskPatch.model_fields.keys() - {
    "kind",
    "sources",
    "continue_strategy",
    "watermark",
    "end_at",
    "destination",
    "destinations",
    "inputs",
    "slate",
    "switching",
    "watch",
    *_OPTIONS,
}


def to_tags(tags: list[TagBody]) -> list[GroupTag]:
    """A group's labels."""
    return [GroupTag(tag.category, tag.key, tag.value) for tag in tags]
