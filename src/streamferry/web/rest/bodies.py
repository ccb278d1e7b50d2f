"""The request bodies of REST, as models, and a task's body in the names of the compatible API.

Only names and forms are translated here. Which fields a task needs, what stays when a field is not given and which
values are allowed is decided by ``web.compat.tasks`` and ``tasks.checks`` for both APIs. Unknown fields are refused.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, Strict

from streamferry.relay.spec import MAX_ITEMS
from streamferry.tasks.checks import MAX_ADDRESS_CHARS, MAX_CALLBACK_CHARS, MAX_INT32
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import ContinueStrategy, TaskKind, TaskSpec
from streamferry.web.compat import schemas
from streamferry.web.compat.tasks import show_data_url
from streamferry.web.views import Kind, Strategy


def _refuse_zero(loops: int) -> int:
    if loops == 0:
        raise ValueError("must be -1 (endless) or the number of loops")
    return loops


_NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Field(max_length=64, pattern=_NO_NUL)]
Address = Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_CHARS, pattern=_NO_NUL)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=MAX_INT32, allow_inf_nan=False)]
Part = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
Loops = Annotated[
    int,
    Strict(),
    Field(ge=-1, le=MAX_INT32, json_schema_extra={"not": {"const": 0}}),
    AfterValidator(_refuse_zero),
]


class Body(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class TokenRequest(Body):
    """An access key that a token is requested for."""

    access_key_id: Annotated[str, Field(max_length=512)]
    secret_access_key: Annotated[str, Field(max_length=512, repr=False)]
    lifetime_s: Annotated[int, Strict(), Field(ge=60, le=86400)] = 3600
    """How long the token is to be valid."""


class SourceBody(Body):
    """One address of a task."""

    url: Address
    """Sent back as it was shown, with ``***``, it means the address that the task has."""
    start_s: Seconds = 0.0
    end_s: Seconds = 0.0
    """From the file's start; 0 is the file's end."""


class WatermarkBody(Body):
    """A picture over the video. When a task that has one is changed, fields that are not given stay."""

    picture: str | None = None
    """``data:image/png;base64,...`` or ``image/jpeg``, at most 2 MB."""
    x: Part | None = None
    y: Part | None = None
    ratio: Part | None = None


class TaskFields(Body):
    """The fields of a task that can be set."""

    title: Name | None = None
    continue_strategy: Strategy | None = None
    pre_download: Switch | None = None
    loops: Loops | None = None
    """How often a list is played; -1 (the default) is without end."""
    callback_url: Annotated[str, Field(max_length=MAX_CALLBACK_CHARS, pattern=_NO_NUL)] | None = None
    watermark: WatermarkBody | None = None


class NewTask(TaskFields):
    """A task to create."""

    kind: Kind
    sources: Annotated[list[SourceBody], Field(min_length=1, max_length=MAX_ITEMS)]
    """One for a live task."""
    destination: Address
    start_at: AwareDatetime
    """To the second."""
    end_at: AwareDatetime
    """At most 7 days after the start."""
    group: Name | None = None


class TaskPatch(TaskFields):
    """Changes to a task: a field that is not given stays. Null or an empty text clears title, callback_url or
    watermark; for any other field null means that it is not given."""

    kind: Kind | None = None
    sources: Annotated[list[SourceBody], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    """Replaces the whole list."""
    destination: Address | None = None
    start_at: AwareDatetime | None = None
    end_at: AwareDatetime | None = None
    version: Annotated[int, Strict(), Field(ge=1, le=MAX_INT32)] | None = None
    """The version that was seen, as in ``If-Match``: if the task has another one, it is not changed."""


class TagBody(Body):
    """A label of a group."""

    key: Annotated[str, Field(max_length=128, pattern=_NO_NUL)]
    value: Annotated[str, Field(max_length=256, pattern=_NO_NUL)] = ""
    category: Literal["System", "Custom"] = "Custom"


class GroupTags(Body):
    """The labels that replace those of a group."""

    tags: Annotated[list[TagBody], Field(max_length=20)]


class NewGroup(Body):
    """A group to create."""

    name: Name
    project: Name = "default"
    tags: Annotated[list[TagBody], Field(max_length=20)] = []


class OfTask(Body):
    """Which task; null means all."""

    task_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None


class ProbeRequest(Body):
    """An address to inspect."""

    url: Address
    seconds: Annotated[float, Strict(), Field(ge=1, le=120)] = 20.0
    """How much of it to inspect."""


def to_update(task_id: str, patch: TaskPatch, current: TaskSpec | None) -> schemas.UpdateTask:
    """A change as the compatible API takes it. Raises InvalidField."""
    cleared = [
        name
        for field, name in (("title", "Title"), ("callback_url", "CallbackURL"), ("watermark", "Watermark"))
        if field in patch.model_fields_set and not getattr(patch, field)
    ]
    return schemas.UpdateTask(TaskId=task_id, Clear=cleared, **_values(patch, current))  # type: ignore[arg-type]


def to_create(body: NewTask) -> schemas.CreateTask:
    """A new task as the compatible API takes it. Raises InvalidField."""
    return schemas.CreateTask(GroupName=body.group, **_values(body, None))


def _values(body: NewTask | TaskPatch, current: TaskSpec | None) -> dict[str, Any]:
    kind = TaskKind[body.kind.name] if body.kind else current.kind if current else TaskKind.LIVE
    values: dict[str, Any] = {
        "Type": int(kind),
        "StartTime": _unix(body.start_at),
        "EndTime": _unix(body.end_at),
        "Title": body.title,
        "DstAddr": body.destination,
        "CycleMode": body.loops,
        "CallbackURL": body.callback_url,
        "ContinueStrategy": int(ContinueStrategy[body.continue_strategy.name]) if body.continue_strategy else None,
        "PreDownload": None if body.pre_download is None else int(body.pre_download),
        "Watermark": _watermark(body.watermark, current) if body.watermark else None,
    }
    if body.sources is not None:
        values |= _sources(body.sources, kind)
    elif current is not None and kind is not current.kind:
        raise InvalidField("sources", "are required with another kind")
    return values


def _unix(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _sources(sources: list[SourceBody], kind: TaskKind) -> dict[str, Any]:
    if kind is TaskKind.VOD:
        return {
            "VodSrcAddrs": [{"SrcAddr": one.url, "StartOffset": one.start_s, "EndOffset": one.end_s} for one in sources]
        }
    if len(sources) != 1:
        raise InvalidField("sources", "must hold one address for a live task")
    if sources[0].start_s or sources[0].end_s:
        raise InvalidField("sources[0].start_s", "a live source has no start and no end")
    return {"SrcAddr": sources[0].url}


def _watermark(mark: WatermarkBody, current: TaskSpec | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Picture": mark.picture,
        "RelativePosX": mark.x,
        "RelativePosY": mark.y,
        "Ratio": mark.ratio,
    }
    before = current.watermark if current else None
    if before is not None:
        kept = {
            "Picture": show_data_url(before),
            "RelativePosX": before.pos_x,
            "RelativePosY": before.pos_y,
            "Ratio": before.ratio,
        }
        return {name: kept[name] if value is None else value for name, value in values.items()}
    if not any(value is not None for value in values.values()):
        raise InvalidField("watermark", "must have picture, x, y and ratio")
    return values
