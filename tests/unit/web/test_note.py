"""The note of a task: ours alone, for people, of no effect on what runs."""

import json
from datetime import UTC, datetime

from rest_api import make_rest
from signed_api import NO_LIMITS, make_api
from task_samples import make_spec

from streamferry.store import Store
from streamferry.store.spec_json import parse_spec, serialize_spec
from streamferry.web.compat.routes import ApiSettings

NOTE = "Which match, and whom to call:\n\tAnna, 周一 – 12 €"


async def test_a_note_is_shown_as_it_was_written_until_it_is_cleared(store: Store) -> None:
    """An update that does not give it leaves it, also one by the cloud's API, which neither shows nor takes it."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client, make_rest(store) as rest:
        made = await rest.create(note=NOTE)
        path = f"/tasks/{made['task_id']}"
        assert made["note"] == NOTE
        assert (await rest.call("PATCH", path, {"title": "a"}))["note"] == NOTE
        target = {"TaskId": made["task_id"], "Title": "b", "Note": "x", "note": "x"}
        await api.call("UpdatePullToPushTask", target)
        assert (await rest.call("GET", path))["note"] == NOTE
        assert "whom to call" not in json.dumps(await api.call("ListPullToPushTask", {}))
        assert (await rest.call("GET", f"{path}/request"))["rest_body"]["note"] == NOTE
        for nothing in ("", None):
            assert (await rest.call("PATCH", path, {"note": NOTE}))["note"] == NOTE
            assert (await rest.call("PATCH", path, {"note": nothing}))["note"] == ""
        assert (await rest.call("GET", path))["run"]["epoch"] == made["run"]["epoch"]


async def test_a_note_that_is_none_is_refused_by_name(store: Store) -> None:
    """501 characters, and what a terminal would obey."""
    async with make_rest(store) as rest:
        made = await rest.create(note="n" * 500)
        for note in ("n" * 501, "a\x1b[2J", 5):
            refusal = await rest.refusal(422, "PATCH", f"/tasks/{made['task_id']}", {"note": note})
            assert refusal["field"] == "note"
            assert "\x1b" not in refusal["message"]


def test_rows_without_a_note_are_as_before() -> None:
    """Old rows open, and what has no note can be read by an older version that runs beside a newer one."""
    spec, noted = make_spec(), make_spec(note=NOTE)
    text = serialize_spec(spec)
    assert "note" not in json.loads(text)
    now = datetime.now(UTC)
    for one in (spec, noted):
        again = parse_spec(serialize_spec(one), group="default", start_at=now, end_at=now, picture=None)
        assert again.note == one.note
