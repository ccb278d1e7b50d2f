"""Bodies of the actions as the API writes them: names and JSON types. Rules on values are in ``control.checks``.

What clients send for "not given" is taken so: null, an empty text, an empty list (old typed clients send every field).
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streamferry.control.api.faults import ApiError, ErrorCode
from streamferry.control.checks import MAX_ADDRESS_CHARS, MAX_INT32

_UNSET: tuple[object, ...] = (None, "", [])
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_MAX_PAGE = 1000


def _flatten(value: object) -> object:
    """The published Python samples nest lists by one level too many."""
    if not isinstance(value, list):
        return value
    return [inner for outer in value for inner in (outer if isinstance(outer, list) else [outer])]


def _flatten_numbers(value: object) -> object:
    """The same, and the numbers in the inner lists are texts."""
    flat = _flatten(value)
    return [_read_number(one) for one in flat] if isinstance(flat, list) else flat


def _read_number(value: object) -> object:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _read_whole(value: object) -> object:
    """In a query every value is a text."""
    return int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value


Int = Annotated[int, Field(ge=-MAX_INT32, le=MAX_INT32)]
Time = Annotated[int, Field(ge=-(2**62), le=2**62)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Addresses = Annotated[list[str], BeforeValidator(_flatten)]
Offsets = Annotated[list[Seconds], BeforeValidator(_flatten_numbers)]
#: Longer than any title or name: a bound on what is handed to the database.
SearchText = Annotated[str, Field(max_length=100)]
SearchTexts = Annotated[list[SearchText], Field(max_length=100)]
Whole = Annotated[Int, BeforeValidator(_read_whole)]


class Body(BaseModel):
    """Base of all bodies: no type is guessed, unknown fields are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value not in _UNSET}
        return values


class WatermarkBody(Body):
    """All four are needed. An empty object takes a task's watermark away."""

    Picture: str | None = None
    RelativePosX: Seconds | None = None
    RelativePosY: Seconds | None = None
    Ratio: Seconds | None = None


class VodSource(Body):
    """One address with its own offsets, in seconds from the file's start."""

    SrcAddr: str
    StartOffset: Seconds = 0.0
    EndOffset: Seconds = 0.0


class TaskBody(Body):
    """What a task can be given; which of it is needed depends on the rest."""

    StartTime: Time | None = None
    EndTime: Time | None = None
    Type: Int | None = None
    GroupName: str | None = None
    Title: str | None = None
    SrcAddr: str | None = None
    SrcAddrS: Addresses | None = None
    VodSrcAddrs: list[VodSource] | None = None
    OffsetS: Offsets | None = None
    Offset: Seconds | None = None
    CycleMode: Int | None = None
    PlayTimes: Int | None = None
    DstAddr: str | None = None
    Domain: str | None = None
    App: str | None = None
    Stream: str | None = None
    CallbackURL: str | None = None
    ContinueStrategy: Int | None = None
    PreDownload: Int | None = None
    Watermark: WatermarkBody | None = None


class CreateTask(TaskBody):
    """CreatePullToPushTask."""

    StartTime: Time
    EndTime: Time
    Type: Int


class TaskTarget(Body):
    """Delete, Stop, Restart, Continue, Relaunch."""

    TaskId: str
    GroupName: str | None = None


class UpdateTask(TaskBody, TaskTarget):
    """UpdatePullToPushTask: what is not given stays."""


class ListTasks(Body):
    """ListPullToPushTask."""

    Page: Annotated[Whole, Field(ge=1)] = 1
    Size: Annotated[Whole, Field(ge=1, le=500)] = 20
    Title: SearchText = ""
    GroupName: SearchText | None = None


class ListTasksV2(Body):
    """ListPullToPushTaskV2."""

    Page: Annotated[Whole, Field(ge=1)] = 1
    Size: Annotated[Whole, Field(ge=1, le=500)] = 20
    Title: SearchText = ""
    GroupNames: SearchTexts = []


class Tag(Body):
    """A label of a group."""

    Key: Annotated[str, Field(max_length=128)]
    Value: Annotated[str, Field(max_length=256)] = ""
    Category: Literal["System", "Custom"] = "Custom"


class GroupTarget(Body):
    """DeletePullToPushGroup."""

    Name: str


class CreateGroup(GroupTarget):
    """CreatePullToPushGroup."""

    ProjectName: Annotated[str, Field(max_length=64)]
    Tags: Annotated[list[Tag], Field(max_length=20)] = []


class UpdateGroup(GroupTarget):
    """UpdatePullToPushGroup: the tags are replaced."""

    Tags: Annotated[list[Tag], Field(max_length=20)] = []


class ListGroups(Body):
    """ListPullToPushGroup. ``StatusList``: 0 usable, 1 deleted."""

    PageNum: Annotated[Whole, Field(ge=1, le=_MAX_PAGE)]
    PageSize: Annotated[Whole, Field(ge=1, le=_MAX_PAGE)]
    StatusList: list[Annotated[int, Field(ge=0, le=1)]] = [0]


class Usage(Body):
    """DescribeLivePullToPushData and DescribeLivePullToPushBandwidthData; times are RFC 3339."""

    StartTime: str
    EndTime: str
    Aggregation: Int | None = None
    GroupList: SearchTexts = []
    DetailField: list[str] = []
    App: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS)] | None = None
    Stream: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS)] | None = None


_Model = TypeVar("_Model", bound=Body)
# Kinds of pydantic's errors that are about a value rather than its JSON type.
_VALUE_ERRORS = re.compile(r"missing|too_long|too_short|greater_than.*|less_than.*|finite_number|literal_error")


def read_body(model: type[_Model], values: object) -> _Model:
    """Read a body. Raises ApiError naming the first field that is wrong, without repeating what it held."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    words = first["msg"].removeprefix("Input ").lower()
    reason = "is required" if first["type"] == "missing" else words
    is_value = _VALUE_ERRORS.fullmatch(first["type"])
    code = ErrorCode.INVALID_PARAM if is_value else ErrorCode.BIND_ERROR
    raise ApiError(code, f"{field}: {reason}" if field else reason) from None
