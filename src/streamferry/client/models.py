"""Typed models of tasks, as an alternative to dicts: Python's names here, the API's on the wire."""

import base64
import mimetypes
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def _alias(name: str) -> str:
    return "CallbackURL" if name == "callback_url" else "".join(part.capitalize() for part in name.split("_"))


def _unix_seconds(at: datetime | int) -> int:
    return at if isinstance(at, int) else int(at.timestamp())


#: An aware datetime, or Unix seconds.
When = Annotated[int | datetime, PlainSerializer(_unix_seconds)]


class Model(BaseModel):
    """Base of all models: unknown fields from a newer service are ignored."""

    model_config = ConfigDict(alias_generator=_alias, populate_by_name=True, extra="ignore", defer_build=True)

    def to_body(self) -> dict[str, Any]:
        """The body as the API takes it; fields that were not set are left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class VodSource(Model):
    """One address of a VOD list; offsets in seconds from the file's start; an end of 0 is the file's end."""

    src_addr: str
    start_offset: float = 0.0
    end_offset: float = 0.0


class Watermark(Model):
    """A picture over the video. ``picture`` is a data URL; positions and ratio are fractions of the video's size."""

    picture: str
    relative_pos_x: float
    relative_pos_y: float
    ratio: float

    @classmethod
    def from_file(cls, path: str | Path, *, relative_pos_x: float, relative_pos_y: float, ratio: float) -> "Watermark":
        """From a PNG or JPEG file."""
        kind = mimetypes.guess_type(str(path))[0] or "image/png"
        data = base64.b64encode(Path(path).read_bytes()).decode()
        return cls(
            picture=f"data:{kind};base64,{data}",
            relative_pos_x=relative_pos_x,
            relative_pos_y=relative_pos_y,
            ratio=ratio,
        )


class Destination(Model):
    """One of several destinations of a task: streamferry's own addition to the API."""

    id: int | None = None
    dst_addr: str | None = None
    server: str | None = None
    key: str | None = Field(None, repr=False)
    name: str | None = None
    enabled: int | None = None
    latency: Literal["low", "normal", "dense"] | None = None
    backup_of: int | None = None
    run: "Run | None" = Field(None, exclude=True)


class InputOptions(Model):
    """How the server of a further input is reached, and what it is told; ``keep_drift``: 0 or 1."""

    proxy: str | None = None
    bind: str | None = None
    headers: dict[str, str] | None = None
    flash_ver: str | None = None
    tc_url: str | None = None
    swf_url: str | None = None
    page_url: str | None = None
    keep_drift: int | None = None
    segments_behind: int | None = None
    max_kbps: int | None = None


class Input(Model):
    """A further input: streamferry's own addition to the API. ``type``: 0 live in ``src_addr``, 1 a list of files."""

    type: int
    src_addr: str | None = None
    src_addr_s: list[str] | None = None
    warm: int | None = None
    options: InputOptions | None = None


class Slate(Model):
    """What is shown while no input sends anything: streamferry's own addition. ``kind``: ``card``, ``picture``,
    ``color``, ``clip`` or ``last_frame``; ``picture``: a data URL."""

    kind: str | None = None
    title: str | None = None
    text: str | None = None
    color: str | None = None
    picture: str | None = None
    clip: str | None = None


class Switching(Model):
    """When another input comes on air by itself, in seconds; ``returns`` 0: only by hand. ``normalize``: ``copy``,
    ``first`` or a size."""

    switch_after: float | None = None
    return_after: float | None = None
    returns: int | None = None
    normalize: str | None = None


class OnAir(Model):
    """What is on air: ``shown`` is ``input``, ``slate`` or ``insert``; inputs count from 0, the source. ``file``: the
    inserted file that the reason is about."""

    shown: str = ""
    input: int | None = None
    file: str = ""
    reason: str = ""


class _TaskFields(Model):
    title: str | None = None
    group_name: str | None = None
    src_addr: str | None = None
    src_addr_s: list[str] | None = None
    vod_src_addrs: list[VodSource] | None = None
    offset_s: list[float] | None = None
    offset: float | None = None
    cycle_mode: int | None = None
    play_times: int | None = None
    dst_addr: str | None = None
    destinations: list[Destination] | None = None
    domain: str | None = None
    app: str | None = None
    stream: str | None = None
    callback_url: str | None = None
    continue_strategy: int | None = None
    pre_download: int | None = None
    watermark: Watermark | None = None
    inputs: list[Input] | None = None
    slate: Slate | None = None
    switching: Switching | None = None


class NewTask(_TaskFields):
    """Body of CreatePullToPushTask. ``type``: 0 a live source in ``src_addr``, 1 a VOD list."""

    type: int
    start_time: When
    end_time: When


class TaskChange(_TaskFields):
    """Body of UpdatePullToPushTask: fields that are not set stay; ``clear`` names fields of the API to clear."""

    task_id: str
    type: int | None = None
    start_time: When | None = None
    end_time: When | None = None
    clear: list[Literal["Title", "CallbackURL", "Watermark", "Inputs", "Slate"]] | None = None


class Playhead(Model):
    """How far a VOD list has played: loop and item from 0, milliseconds from the item's start."""

    loop: int = 0
    item: int = 0
    position_ms: int = 0


class Run(Model):
    """What is happening to a task: streamferry's own addition to the API."""

    state: str = ""
    kbps_out: int = 0
    dropped_tags: int = 0
    retries: int = 0
    fault: str | None = None
    reason: str | None = None
    playhead: Playhead | None = None
    on_air: OnAir | None = None


class Task(Model):
    """An item of a list. Addresses come without their secrets. ``status`` is 停用, 未开始, 生效中 or 已结束."""

    task_id: str
    title: str = ""
    group_name: str = ""
    type: int
    status: str
    task_status: int | None = None
    start_time: datetime
    end_time: datetime
    src_addr: str | None = None
    src_addr_s: list[str] | None = None
    vod_src_addrs: list[VodSource] | None = None
    offset_s: list[float] | None = None
    cycle_mode: int | None = None
    play_times: int | None = None
    dst_addr: str = ""
    destinations: list[Destination] = Field(default_factory=list)
    dst_addr_type: int | None = None
    callback_url: str = ""
    continue_strategy: int | None = None
    pre_download: int | None = None
    watermark: Watermark | None = None
    inputs: list[Input] | None = None
    slate: Slate | None = None
    switching: Switching | None = None
    run: Run = Field(default_factory=Run)


class Pagination(Model):
    """Which page it is, and how many pages and tasks there are."""

    page_cur: int
    page_size: int
    page_total: int
    total_count: int


class TaskList(Model):
    """A page of tasks."""

    tasks: list[Task] = Field(alias="List")
    pagination: Pagination

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "TaskList":
        """The page in an answer of ``list_pull_to_push_task`` or ``list_pull_to_push_task_v2``."""
        return cls.model_validate(answer["Result"])
