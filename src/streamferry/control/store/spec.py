"""TaskSpec to and from the text that is sealed. What lists search by has columns of its own and is kept there."""

import json
from datetime import datetime
from typing import Any

from streamferry.control.model import ContinueStrategy, SourceForm, TaskItem, TaskKind, TaskSpec
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark


def serialize_spec(spec: TaskSpec) -> str:
    """Everything but the window, the group and the watermark's picture, secrets revealed: for ``Seal`` only."""
    watermark = spec.watermark
    return json.dumps(
        {
            "kind": int(spec.kind),
            "items": [[item.url.reveal(), item.start_s, item.end_s] for item in spec.items],
            "destination": spec.destination.reveal(),
            "title": spec.title,
            "source_form": spec.source_form.value,
            "loops": spec.loops,
            "cycle_mode": spec.cycle_mode,
            "play_times": spec.play_times,
            "continue_strategy": int(spec.continue_strategy),
            "pre_download": spec.pre_download,
            "callback_url": spec.callback_url,
            "watermark": None if watermark is None else [watermark.pos_x, watermark.pos_y, watermark.ratio],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def parse_spec(text: str, *, group: str, start_at: datetime, end_at: datetime, picture: bytes | None) -> TaskSpec:
    """The spec again."""
    values: dict[str, Any] = json.loads(text)
    watermark = None
    if values["watermark"] is not None and picture is not None:
        watermark = Watermark(picture, *values["watermark"])
    return TaskSpec(
        kind=TaskKind(values["kind"]),
        items=tuple(TaskItem(MediaUrl.parse(url), start_s, end_s) for url, start_s, end_s in values["items"]),
        destination=MediaUrl.parse(values["destination"]),
        start_at=start_at,
        end_at=end_at,
        title=values["title"],
        group=group,
        source_form=SourceForm(values["source_form"]),
        loops=values["loops"],
        cycle_mode=values["cycle_mode"],
        play_times=values["play_times"],
        continue_strategy=ContinueStrategy(values["continue_strategy"]),
        pre_download=values["pre_download"],
        callback_url=values["callback_url"],
        watermark=watermark,
    )
