"""What a task is found by without opening its spec: columns of its row, in which addresses are keyed digests."""

import json

from streamferry.media.url import MediaUrl
from streamferry.store.seal import Seal
from streamferry.tasks.model import TaskKind, TaskSpec
from streamferry.tasks.placement import labels_text
from streamferry.tasks.times import to_ms


def destination_digest(seal: Seal, destination: MediaUrl) -> str:
    """Equal for all spellings of an address, see ``MediaUrl.canonical``.

    Addresses of one stream may still differ: the query counts, since it may name a virtual host, like ``?vhost=`` of
    SRS, or hold the stream key itself. So two addresses that differ only in the query may be two streams.
    """
    return seal.digest(f"destination {destination.canonical}")


def stream_digest(seal: Seal, app: str, stream: str) -> str:
    """Equal for equal applications and stream names, on whatever host; a query belongs to neither."""
    return seal.digest(f"stream {app}/{stream}")


def _source_digest(seal: Seal, spec: TaskSpec) -> str | None:
    """Equal for live sources that are pulled in the same way."""
    if spec.kind is not TaskKind.LIVE:
        return None
    options = json.dumps(spec.source_options.to_json(), sort_keys=True)
    return seal.digest(f"source {spec.items[0].url.canonical} {options}")


def _app_and_stream(destination: MediaUrl) -> tuple[str, str]:
    app, _, stream = destination.path.strip("/").rpartition("/")
    return app, stream


def searched(seal: Seal, spec: TaskSpec) -> dict[str, object]:
    """Values of a task row that lists, checks and placement look for."""
    return {
        "group_name": spec.group,
        "title_folded": spec.title.casefold(),
        "start_ms": to_ms(spec.start_at),
        "end_ms": to_ms(spec.end_at),
        "moves_on_ms": to_ms(spec.end_at) if spec.series else None,
        "opens_ms": to_ms(spec.opens_at) if spec.series and spec.series.slate_between else None,
        "destination_digest": destination_digest(seal, spec.destination) if spec.destination_enabled else "",
        "stream_digest": stream_digest(seal, *_app_and_stream(spec.destination)),
        "placement": labels_text(spec.placement),
        "priority": spec.priority,
        "encodes": spec.encodes,
        "overlaps": spec.overlaps,
        "source_digest": _source_digest(seal, spec),
    }
