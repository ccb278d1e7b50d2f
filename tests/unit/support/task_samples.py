"""Tasks for tests."""

from datetime import UTC, datetime, timedelta

from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

PLANTED_KEY = "planted-stream-key-7f3a"


def make_spec(**values: object) -> TaskSpec:
    """An endless list of one file, from a minute ago for an hour, but for what is given."""
    now = datetime.now(UTC).replace(microsecond=0)
    given: dict[str, object] = {
        "kind": TaskKind.VOD,
        "items": (TaskItem(MediaUrl.parse("http://files.example/a.mp4?token=t")),),
        "destination": MediaUrl.parse(f"rtmp://push.example/live/{PLANTED_KEY}"),
        "start_at": now - timedelta(minutes=1),
        "end_at": now + timedelta(hours=1),
        **values,
    }
    return TaskSpec(**given)  # type: ignore[arg-type]
