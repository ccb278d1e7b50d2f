"""What is given to REST, as its document has it.

Written by ``scripts/reference.py``: do not edit.
"""

from typing import Literal, NotRequired, TypedDict


class WatermarkBody(TypedDict):
    """A picture over the video. When a task that has one is changed, fields that are not given stay."""

    picture: NotRequired[str | None]
    x: NotRequired[float | None]
    y: NotRequired[float | None]
    ratio: NotRequired[float | None]


class SeriesBody(TypedDict):
    """Windows that recur. The first is the task's, or comes after it."""

    rule: str
    time_zone: str
    exdates: NotRequired[list[str]]
    rdates: NotRequired[list[str]]
    slate_between: NotRequired[bool]


class OptionsBody(TypedDict):
    """How the servers of a source or a destination are reached, and what they are told. In a change, what is not given
    stays, and an empty value clears."""

    proxy: NotRequired[str | None]
    bind: NotRequired[str | None]
    headers: NotRequired[dict[str, str] | None]
    flash_ver: NotRequired[str | None]
    tc_url: NotRequired[str | None]
    swf_url: NotRequired[str | None]
    page_url: NotRequired[str | None]
    keep_drift: NotRequired[bool | None]
    segments_behind: NotRequired[int | None]
    max_kbps: NotRequired[int | None]
    rotate_s: NotRequired[int | None]
    overlap: NotRequired[bool | None]


class ServerBody(TypedDict):
    """A destination in the two fields that platforms show; they are sent as encoders send them."""

    server: str
    key: str


class ListedDestination(TypedDict):
    """A destination in the list of all."""

    to: NotRequired[str | ServerBody | None]
    name: NotRequired[str | None]
    enabled: NotRequired[bool | None]
    latency: NotRequired[Literal["low", "normal", "dense"] | None]
    options: NotRequired[OptionsBody | None]
    backup_of: NotRequired[int | None]
    id: NotRequired[int | None]


class SourceBody(TypedDict):
    """One address of a task."""

    url: str
    start_s: NotRequired[float]
    end_s: NotRequired[float]


class InputBody(TypedDict):
    """What is shown when what comes before it in order cannot be."""

    kind: Literal["live", "vod"]
    sources: list[SourceBody]
    warm: NotRequired[bool]
    options: NotRequired[OptionsBody | None]


class SlateBody(TypedDict):
    """What is shown while no input can be. In a change, what is not given stays, unless the kind is another."""

    kind: NotRequired[Literal["card", "picture", "color", "clip", "last_frame"] | None]
    title: NotRequired[str | None]
    text: NotRequired[str | None]
    color: NotRequired[str | None]
    picture: NotRequired[str | None]
    clip: NotRequired[str | None]


class SwitchingBody(TypedDict):
    """When another input comes on air by itself. In a change, what is not given stays."""

    switch_after_s: NotRequired[float | None]
    return_after_s: NotRequired[float | None]
    returns: NotRequired[bool | None]
    normalize: NotRequired[str | None]


class RuleBody(TypedDict):
    """When something is wrong with the content; what is not given has its default."""

    threshold: NotRequired[float | None]
    duration_s: NotRequired[float | None]
    switches: NotRequired[bool | None]


class NewTask(TypedDict):
    """A task to create."""

    title: NotRequired[str | None]
    continue_strategy: NotRequired[Literal["at_break", "at_break_plus_elapsed"] | None]
    pre_download: NotRequired[bool | None]
    latency: NotRequired[Literal["low", "normal", "dense"] | None]
    codecs: NotRequired[Literal["any", "h264", "h264_if_needed"] | None]
    placement: NotRequired[list[str] | None]
    priority: NotRequired[int | None]
    loops: NotRequired[int | None]
    callback_url: NotRequired[str | None]
    watermark: NotRequired[WatermarkBody | None]
    series: NotRequired[SeriesBody | None]
    note: NotRequired[str | None]
    source_options: NotRequired[OptionsBody | None]
    destination_options: NotRequired[OptionsBody | None]
    destinations: NotRequired[list[ListedDestination] | None]
    inputs: NotRequired[list[InputBody] | None]
    slate: NotRequired[SlateBody | None]
    switching: NotRequired[SwitchingBody | None]
    watch: NotRequired[dict[str, RuleBody] | None]
    kind: Literal["live", "vod"]
    sources: list[SourceBody]
    destination: NotRequired[str | ServerBody | None]
    start_at: str
    end_at: str | Literal["never"]
    group: NotRequired[str | None]


class TaskPatch(TypedDict):
    """Changes to a task: a field that is not given stays. Null or an empty text clears title, callback_url, watermark,
    series, placement, options, inputs, slate or watch; for any other field null means that it is not given."""

    title: NotRequired[str | None]
    continue_strategy: NotRequired[Literal["at_break", "at_break_plus_elapsed"] | None]
    pre_download: NotRequired[bool | None]
    latency: NotRequired[Literal["low", "normal", "dense"] | None]
    codecs: NotRequired[Literal["any", "h264", "h264_if_needed"] | None]
    placement: NotRequired[list[str] | None]
    priority: NotRequired[int | None]
    loops: NotRequired[int | None]
    callback_url: NotRequired[str | None]
    watermark: NotRequired[WatermarkBody | None]
    series: NotRequired[SeriesBody | None]
    note: NotRequired[str | None]
    source_options: NotRequired[OptionsBody | None]
    destination_options: NotRequired[OptionsBody | None]
    destinations: NotRequired[list[ListedDestination] | None]
    inputs: NotRequired[list[InputBody] | None]
    slate: NotRequired[SlateBody | None]
    switching: NotRequired[SwitchingBody | None]
    watch: NotRequired[dict[str, RuleBody] | None]
    kind: NotRequired[Literal["live", "vod"] | None]
    sources: NotRequired[list[SourceBody] | None]
    destination: NotRequired[str | ServerBody | None]
    start_at: NotRequired[str | None]
    end_at: NotRequired[str | Literal["never"] | None]
    version: NotRequired[int | None]


class DestinationBody(TypedDict):
    """One of several destinations. In a change, what is not given stays; null clears latency, options and backup_of."""

    to: NotRequired[str | ServerBody | None]
    name: NotRequired[str | None]
    enabled: NotRequired[bool | None]
    latency: NotRequired[Literal["low", "normal", "dense"] | None]
    options: NotRequired[OptionsBody | None]
    backup_of: NotRequired[int | None]


class InsertRequest(TypedDict):
    """A file to be played over what is on air."""

    url: str
    start_s: NotRequired[float]
    end_s: NotRequired[float]
    at: NotRequired[str | None]
    after_item: NotRequired[bool]
