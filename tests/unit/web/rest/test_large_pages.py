"""Lists of tasks with as many and as long addresses as are allowed: bounded in bytes, on both databases."""

import pytest
from rest_api import Rest
from task_samples import make_spec

from streamferry.media.url import MediaUrl
from streamferry.store import Seal
from streamferry.tasks.checks import MAX_ADDRESS_CHARS
from streamferry.tasks.model import SourceForm, TaskItem
from streamferry.web.rest import routes


async def _make(rest: Rest, count: int) -> list[str]:
    """Tasks of 30 addresses of 1000 characters, oldest first."""
    made = []
    for task in range(count):
        urls = [f"http://files.example/{task}-{item}/".ljust(MAX_ADDRESS_CHARS - 4, "x") + ".mp4" for item in range(30)]
        spec = make_spec(
            items=tuple(TaskItem(MediaUrl.parse(url)) for url in urls),
            source_form=SourceForm.RANGES,
            destination=MediaUrl.parse(f"rtmp://push.example/live/{task}"),
        )
        made.append(await rest.actions.create_task(spec))
    return made


async def test_a_page_is_bounded_in_bytes_and_no_task_is_missed(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is refused before anything is unsealed, with the size that fits; by that size each task is listed once."""
    made = await _make(rest, 7)
    limit = 100_000
    monkeypatch.setattr(routes, "MAX_LIST_BYTES", limit)
    opened: list[bytes] = []
    open_value = Seal.open
    monkeypatch.setattr(Seal, "open", lambda seal, sealed: opened.append(sealed) or open_value(seal, sealed))
    before = len(opened)
    refused = await rest.refusal(422, "GET", "/tasks", params={"size": 500})
    # The key of the caller is one that is opened.
    assert sum(len(one) for one in opened[before:]) < 1000
    assert refused["field"] == "size"
    assert refused["message"].endswith("ask for at most 3")
    listed = []
    for page in (1, 2, 3):
        found = await rest.call("GET", "/tasks", params={"size": 3, "page": page})
        assert sum(len(source["url"]) for task in found["tasks"] for source in task["sources"]) <= limit
        listed += [task["task_id"] for task in found["tasks"]]
    assert listed == made[::-1]


async def test_one_task_is_always_shown(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its addresses are: there is no smaller page to ask for."""
    made = await _make(rest, 2)
    monkeypatch.setattr(routes, "MAX_LIST_BYTES", 1000)
    assert (await rest.refusal(422, "GET", "/tasks"))["message"].endswith("at most 1")
    found = await rest.call("GET", "/tasks", params={"size": 1})
    assert [task["task_id"] for task in found["tasks"]] == made[1:]
