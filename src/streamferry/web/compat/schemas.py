"""Bodies of the actions as the API writes them: names and JSON types. Rules on values are in ``tasks.checks``.

What clients send for "not given" is accepted as that: null, an empty text, an empty list, and 0 for pages (old typed
clients send every field).
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streamferry.reasons import said_field
from streamferry.relay.spec import LIVE_SCHEMES, MAX_DESTINATIONS, PUSH_SCHEMES, VOD_SCHEMES
from streamferry.tasks.checks import MAX_ADDRESS_CHARS, MAX_INT32
from streamferry.tasks.destinations import NAME
from streamferry.web.compat.api_errors import ApiError, ErrorCode

_UNSET: tuple[object, ...] = (None, "", [])
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_MAX_PAGE = 1000
_DEFAULT_SIZE = 20


def _flatten(value: object) -> object:
    """The published Python samples nest lists by one level too many."""
    if not isinstance(value, list):
        return value
    return [inner for outer in value for inner in (outer if isinstance(outer, list) else [outer])]


def _flatten_numbers(value: object) -> object:
    """The same; the numbers in the inner lists are strings."""
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
    """Parse a value from a query, where everything is text."""
    return int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value


def _spoken(schemes: frozenset[str]) -> str:
    return ", ".join(f"`{scheme}:`" for scheme in sorted(schemes))


Int = Annotated[int, Field(ge=-MAX_INT32, le=MAX_INT32)]
Time = Annotated[int, Field(ge=-(2**62), le=2**62)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Addresses = Annotated[list[str], BeforeValidator(_flatten)]
Offsets = Annotated[list[Seconds], BeforeValidator(_flatten_numbers)]
#: Longer than any title or name: a limit on what is passed to the database.
SearchText = Annotated[str, Field(max_length=100)]
SearchTexts = Annotated[list[SearchText], Field(max_length=100)]
Count = Annotated[int, Field(ge=0, le=MAX_INT32), BeforeValidator(_read_whole)]
NumberOfPage = Annotated[Count, AfterValidator(lambda number: number or 1)]
SizeOfPage = Annotated[Count, AfterValidator(lambda size: size or _DEFAULT_SIZE)]
Clearable = Literal["Title", "CallbackURL", "Watermark", "Inputs", "Slate"]


class Body(BaseModel):
    """Base of all bodies: types are not coerced, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value not in _UNSET}
        return values


class WatermarkBody(Body):
    """All four are needed. An empty object removes a task's watermark."""

    Picture: str | None = Field(
        None, description="Data URL of a PNG or JPEG: 100 bytes to 2 MB, at most 1080 x 1080 pixels. Its bytes decide."
    )
    RelativePosX: Seconds | None = Field(
        None, description="Left edge as a fraction of the video's width, from 0 to below 1."
    )
    RelativePosY: Seconds | None = Field(None, description="Top edge as a fraction of the video's height, likewise.")
    Ratio: Seconds | None = Field(None, description="Width as a fraction of the video's width, above 0 and at most 1.")


class DestinationBody(Body):
    """One of several destinations: an extension of ours. In an Update what is not given stays."""

    Id: Annotated[int, Field(ge=1, le=MAX_DESTINATIONS)] | None = Field(
        None, description="Which one of the task's; not given, a new one, which gets the lowest number that is free."
    )
    DstAddr: str | None = Field(None, description="Address to push to, as `DstAddr` of the task; or the next two.")
    Server: str | None = Field(None, description="The server, where a platform shows it apart from the key.")
    Key: str | None = Field(None, description="The stream key for `Server`.")
    Name: Annotated[str, Field(max_length=NAME.max_chars)] | None = Field(None, description="What people call it.")
    Enabled: Int | None = Field(None, description="1 pushes to it (default), 0 does not.")
    Latency: Literal["low", "normal", "dense"] | None = Field(None, description="Its latency class.")
    BackupOf: Annotated[int, Field(ge=1, le=MAX_DESTINATIONS)] | None = Field(
        None, description="`Id` of one before it whose stamps it carries."
    )


class VodSource(Body):
    """One address with its own offsets, in seconds from the file's start."""

    SrcAddr: str = Field(description="Address of a file; see `SrcAddrS`.")
    StartOffset: Seconds = Field(0.0, description="Seconds from the file's start; applies on every loop.")
    EndOffset: Seconds = Field(
        0.0, description="Seconds from the file's start, above `StartOffset`; 0 is the file's end."
    )


class OptionsBody(Body):
    """How the server of a further input is reached, and what it is told. An extension of ours. What is shown of it with
    `***`, sent back, means what the task has."""

    Proxy: str | None = Field(
        None, description="`http:`, `socks5:` or `socks5h:`, with `user:password@` if it wants it."
    )
    Bind: str | None = Field(None, description="IP address of the worker's machine to connect from.")
    Headers: dict[str, str] | None = Field(None, description="Of HTTP requests: names and values.")
    FlashVer: str | None = Field(None, description="Of RTMP's connect, instead of ours.")
    TcUrl: str | None = Field(None, description="The same.")
    SwfUrl: str | None = Field(None, description="The same.")
    PageUrl: str | None = Field(None, description="The same.")
    KeepDrift: Int = Field(0, description="1 leaves the sound of drifting clocks as it is stamped.")
    SegmentsBehind: Int = Field(0, description="Of live HLS: how many segments before its end it begins; 0: three.")
    MaxKbps: Int = Field(0, description="Of live HLS: the best variant with no more is played; 0: the best.")


class InputBody(Body):
    """A further input. An extension of ours."""

    Type: Int = Field(description="0 live, 1 a list of files, which is played without end.")
    SrcAddr: str | None = Field(None, description="Live source, needed with `Type` 0.")
    SrcAddrS: Addresses | None = Field(None, description="1 to 30 files, needed with `Type` 1.")
    Warm: Int = Field(0, description="1 pulls a live input all the time, so that it is on air at once.")
    Options: OptionsBody | None = Field(
        None,
        description="All its options. In an update, without it those of the input with the same addresses stay; an "
        "empty object clears them.",
    )


class SlateBody(Body):
    """What is shown while no input can be. An extension of ours. In an update what is not given stays."""

    Kind: Literal["card", "picture", "color", "clip", "last_frame"] | None = Field(
        None,
        description="`card` (default): title and text; `picture`; `color`; `clip`: a file, again and again; or "
        "`last_frame`: the last keyframe that was on air.",
    )
    Title: str | None = Field(None, description="At most 100 characters.")
    Text: str | None = Field(None, description="At most 200 characters.")
    Color: str | None = Field(None, description="Of the ground, as `#rrggbb`.")
    Picture: str | None = Field(None, description="Data URL of a PNG or JPEG of at most 256 KiB.")
    Clip: str | None = Field(None, description="Address of a file; see `SrcAddrS`.")


class SwitchingBody(Body):
    """When another input comes on air by itself. An extension of ours. In an update what is not given stays."""

    SwitchAfter: Seconds | None = Field(None, description="Seconds without media after which an input is down; 3.")
    ReturnAfter: Seconds | None = Field(
        None, description="Seconds for which a preferred input has to be well before it is shown again; 30."
    )
    Returns: Int | None = Field(None, description="1 returns to a preferred input (default), 0 only by hand.")
    Normalize: str | None = Field(
        None, description="`copy` joins unlike inputs as they are (default); `first` or a size encodes them into one."
    )


class TaskBody(Body):
    """The fields of a task; which ones are required depends on the others."""

    StartTime: Time | None = Field(None, description="Unix seconds. A time in the past means now.")
    EndTime: Time | None = Field(
        None, description="Unix seconds, later than `StartTime` and than now, at most 7 days after `StartTime`."
    )
    Type: Int | None = Field(None, description="0 live, 1 a list of files.")
    GroupName: str | None = Field(None, description="Group of the task, which must exist; without it `default`.")
    Title: str | None = Field(None, description="1 to 20 Chinese characters, letters and digits; need not be unique.")
    SrcAddr: str | None = Field(
        None, description=f"Live source, needed with `Type` 0: {_spoken(LIVE_SCHEMES)}; at most 1,000 characters."
    )
    SrcAddrS: Addresses | None = Field(
        None,
        description="1 to 30 files, needed with `Type` 1 unless `VodSrcAddrs` is given: "
        f"{_spoken(VOD_SCHEMES)} (files only from the folders of the setting `files`, buckets only of `s3_buckets`); "
        "each at most 1,000 characters. "
        "One extra level of lists is flattened.",
    )
    VodSrcAddrs: list[VodSource] | None = Field(
        None, description="1 to 30 files with their own offsets; not together with `SrcAddrS` or `OffsetS`."
    )
    OffsetS: Offsets | None = Field(
        None,
        description="Seconds from the start of each file of `SrcAddrS`, as many as there are addresses. Numbers may be "
        "strings, and one extra level of lists is flattened.",
    )
    Offset: Seconds | None = Field(
        None, description="The same for a single address without `OffsetS`; otherwise ignored."
    )
    CycleMode: Int | None = Field(
        None, description="-1 plays the list without end, 0 plays it `PlayTimes` times, N above 0 N times. Default -1."
    )
    PlayTimes: Int | None = Field(None, description="Loops of the list, 1 or more, needed with `CycleMode` 0.")
    DstAddr: str | None = Field(
        None,
        description=f"Address to push to: {_spoken(PUSH_SCHEMES)}; at most 1,000 characters; or the next three.",
    )
    Domain: str | None = Field(
        None, description="Host, or host and port, of the destination; needed without `DstAddr`, otherwise unused."
    )
    App: str | None = Field(None, description="Application of the destination, likewise.")
    Stream: str | None = Field(None, description="Stream name of the destination, likewise; a query may follow it.")
    Destinations: list[DestinationBody] | None = Field(
        None,
        description="All destinations, at most 10, the first among them, instead of `DstAddr`. An extension of ours.",
    )
    CallbackURL: str | None = Field(
        None, description="Address that callbacks are sent to: http or https, at most 2,000 characters."
    )
    ContinueStrategy: Int | None = Field(
        None, description="Where a list resumes after a break: 0 at the break (default), 1 where it would be by then."
    )
    PreDownload: Int | None = Field(None, description="1 keeps the files of a list in the cache (default), 0 does not.")
    Watermark: WatermarkBody | None = Field(None, description="Picture over the video; all four fields are needed.")
    Inputs: list[InputBody] | None = Field(
        None,
        description="At most 4 further inputs, in order of preference: shown while the source, and those before them, "
        "send nothing. An extension of ours.",
    )
    Slate: SlateBody | None = Field(
        None, description="What is shown while no input sends anything. An extension of ours."
    )
    Switching: SwitchingBody | None = Field(
        None, description="When another input comes on air by itself. An extension of ours."
    )


class CreateTask(TaskBody):
    """CreatePullToPushTask."""

    StartTime: Time
    EndTime: Time
    Type: Int


class TaskTarget(Body):
    """Delete, Stop, Restart, Continue, Relaunch."""

    TaskId: str = Field(description="Id of the task, 32 hex digits.")
    GroupName: str | None = Field(None, description="If given, it must be the task's group.")


class UpdateTask(TaskBody, TaskTarget):
    """UpdatePullToPushTask: what is not given stays."""

    GroupName: str | None = Field(None, description="If given, it must be the task's group, which cannot be changed.")
    Clear: list[Clearable] = Field(
        [],
        description="Names of fields to clear: `Title`, `CallbackURL`, `Watermark`, `Inputs`, `Slate`. An extension "
        "of ours: an empty string or null means not given, because old clients send every field.",
    )


class ListTasks(Body):
    """ListPullToPushTask."""

    Page: NumberOfPage = Field(1, description="Number of the page, from 1; 0 or not given is 1.")
    Size: Annotated[SizeOfPage, Field(le=500)] = Field(
        _DEFAULT_SIZE, description="Tasks on a page, 1 to 500; 0 or not given is 20."
    )
    Title: SearchText = Field("", description="Part of the title, ignoring case; no wildcards.")
    GroupName: SearchText | None = Field(None, description="Only tasks of this group.")


class ListTasksV2(Body):
    """ListPullToPushTaskV2."""

    Page: NumberOfPage = Field(1, description="Number of the page, from 1; 0 or not given is 1.")
    Size: Annotated[SizeOfPage, Field(le=500)] = Field(
        _DEFAULT_SIZE, description="Tasks on a page, 1 to 500; 0 or not given is 20."
    )
    Title: SearchText = Field("", description="Part of the title, ignoring case; no wildcards.")
    GroupNames: SearchTexts = Field([], description="Only tasks of these groups, at most 100; none means all.")


class Tag(Body):
    """A label of a group."""

    Key: Annotated[str, Field(max_length=128)] = Field(description="At most 128 characters.")
    Value: Annotated[str, Field(max_length=256)] = Field("", description="At most 256 characters.")
    Category: Literal["System", "Custom"] = Field("Custom", description="`System` or `Custom`.")


class GroupTarget(Body):
    """DeletePullToPushGroup."""

    Name: str = Field(description="Name of the group. `default` always exists; a group with tasks cannot be deleted.")


class CreateGroup(GroupTarget):
    """CreatePullToPushGroup."""

    Name: str = Field(description="1 to 20 Chinese characters, letters and digits.")
    ProjectName: Annotated[str, Field(max_length=64)] = Field(
        description="At most 64 characters; stored and shown, not used otherwise."
    )
    Tags: Annotated[list[Tag], Field(max_length=20)] = Field([], description="At most 20 labels.")


class UpdateGroup(GroupTarget):
    """UpdatePullToPushGroup: the tags are replaced."""

    Name: str = Field(description="Name of the group.")
    Tags: Annotated[list[Tag], Field(max_length=20)] = Field([], description="Replaces all its labels; at most 20.")


class ListGroups(Body):
    """ListPullToPushGroup. ``StatusList``: 0 usable, 1 deleted."""

    PageNum: Annotated[NumberOfPage, Field(le=_MAX_PAGE)] = Field(description="Number of the page, 1 to 1000; 0 is 1.")
    PageSize: Annotated[SizeOfPage, Field(le=_MAX_PAGE)] = Field(description="Groups on a page, 1 to 1000; 0 is 20.")
    StatusList: list[Annotated[int, Field(ge=0, le=1)]] = Field([0], description="0 usable, 1 deleted; default [0].")


class Usage(Body):
    """DescribeLivePullToPushData and DescribeLivePullToPushBandwidthData; times are RFC 3339."""

    StartTime: str = Field(description="RFC 3339 with an offset, at most 366 days ago.")
    EndTime: str = Field(description="RFC 3339 with an offset, later than `StartTime`.")
    Aggregation: Int | None = Field(
        None,
        description="Seconds of a step. Duration: 60 (at most 1 day), 3600, 86400 (93 days; default). Bandwidth: 300 "
        "(31 days; default), 3600, 86400 (93 days).",
    )
    GroupList: SearchTexts = Field([], description="Only tasks of these groups, at most 100; none means all.")
    DetailField: list[str] = Field(
        [],
        description="`Group` also gives each group's figures if `GroupList` names several. `Domain` and `DstAddrType` "
        "are accepted and ignored.",
    )
    App: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS)] | None = Field(
        None,
        description="Only destinations with this application; together with `Stream`. Not for read-only "
        "keys, which may not learn stream names.",
    )
    Stream: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS)] | None = Field(
        None, description="Only destinations with this stream name; together with `App`."
    )


class OldBandwidth(Body):
    """DescribePullToPushBandwidthData of the typed clients of 2023: everything that was pushed."""

    StartTime: str = Field(description="RFC 3339 with an offset, at most 366 days ago.")
    EndTime: str = Field(description="RFC 3339 with an offset, later than `StartTime`.")
    Aggregation: Int | None = Field(
        None, description="Seconds of a step: 300 (31 days; default), 3600, 86400 (93 days)."
    )
    DomainList: SearchTexts = Field([], description="Accepted and ignored: destinations are of other domains.")
    DstAddrTypeList: Annotated[list[Int], Field(max_length=100)] = Field([], description="Accepted and ignored.")
    ShowDetail: bool | None = Field(None, description="Accepted and ignored.")


_Model = TypeVar("_Model", bound=Body)
# Kinds of pydantic's errors that are about a value rather than its JSON type.
_VALUE_ERRORS = re.compile(r"missing|(string_)?too_(long|short)|greater_than.*|less_than.*|finite_number|literal_error")


def read_body(model: type[_Model], values: object) -> _Model:
    """Read a body. Raises ApiError naming the first field that is wrong, without repeating what it held."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    words = first["msg"].removeprefix("Input ")
    words = words[:1].lower() + words[1:]
    reason = "is required" if first["type"] == "missing" else words
    is_value = _VALUE_ERRORS.fullmatch(first["type"])
    code = ErrorCode.INVALID_PARAM if is_value else ErrorCode.BIND_ERROR
    raise ApiError(code, f"{said_field(field)}: {reason}" if field else reason) from None
