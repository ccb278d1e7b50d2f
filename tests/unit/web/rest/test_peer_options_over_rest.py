"""Options of sources and destination over REST: kept, cleared and refused by their names, and never shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from rest_api import PLANTED, Rest, new_task
from signed_api import NO_LIMITS, make_api

from streamferry.control.relay_specs import relay_spec_of
from streamferry.relay.status import START
from streamferry.store import Store
from streamferry.web.compat.routes import ApiSettings

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)

SOURCE = {
    "proxy": f"socks5h://{PLANTED}-user:{PLANTED}-pw@proxy.example",
    "bind": "192.0.2.7",
    "headers": {"User-Agent": "Player/1.0", "Cookie": f"c={PLANTED}", "Authorization": f"Bearer {PLANTED}"},
}
DESTINATION = {
    "proxy": f"http://{PLANTED}-user:{PLANTED}-pw@proxy.example:3128",
    "flash_ver": "FMLE/3.0 (compatible; FMSc/1.0)",
    "tc_url": f"rtmp://cdn.example/live?t={PLANTED}",
    "swf_url": "https://site.example/player.swf",
    "page_url": f"https://site.example/?p={PLANTED}",
}


def files_with_it(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and PLANTED.encode() in one.read_bytes()]


async def spec_of(rest: Rest, made: dict[str, Any]) -> Any:
    return (await rest.actions.get_task(made["task_id"])).spec


async def test_planted_secrets_are_nowhere(rest: Rest, store: Store, tmp_path: Path, caplog: Any) -> None:
    """In no answer of either API, no event, no sample request, no log, and not in the file of the store; the relay has
    all of them."""
    caplog.set_level("DEBUG")
    made = await rest.create(source_options=SOURCE, destination_options=DESTINATION)
    path = f"/tasks/{made['task_id']}"
    shown = (path, "/tasks", f"{path}/events", f"{path}/request", "/events")
    told = [made, *[await rest.call("GET", one) for one in shown]]
    told.append(await rest.call("PATCH", path, {"title": "a"}))
    told.append(await rest.refusal(422, "PATCH", path, {"source_options": {"headers": {"Host": PLANTED}}}))
    told.append(await rest.refusal(422, "PATCH", path, {"source_options": {"proxy": f"x://{PLANTED}"}}))
    told.append(await rest.refusal(422, "PATCH", path, {"source_options": {"headers": {"X": [PLANTED]}}}))
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        told.append(await api.call("ListPullToPushTask", {}))
    assert PLANTED not in json.dumps(told)
    assert PLANTED not in caplog.text
    assert not files_with_it(tmp_path)
    spec = relay_spec_of(await spec_of(rest, made), START)
    assert spec.source_options.to_json() == SOURCE
    assert spec.destination_options.to_json() == DESTINATION
    assert made["source_options"]["headers"] == {"User-Agent": "Player/1.0", "Cookie": "***", "Authorization": "***"}


async def test_a_sample_request_has_server_and_key_apart(rest: Rest) -> None:
    """It made one address of them, which other servers read otherwise. Once filled in it makes the same task."""
    given = {"server": "rtmps://live.example/app/", "key": f"{PLANTED}?a=b"}
    made = await rest.create(destination=given, destination_options=DESTINATION)
    sample = (await rest.call("GET", f"/tasks/{made['task_id']}/request"))["rest_body"]
    assert sample["destination"] == {"server": given["server"], "key": "***"}
    secrets = {"sources": new_task()["sources"], "destination_options": DESTINATION}
    again = await rest.call("POST", "/tasks", {**sample, **secrets, "destination": {**given, "key": f"{PLANTED}2?a=b"}})
    assert (await spec_of(rest, again)).destination.apart == (given["server"], f"{PLANTED}2?a=b")


async def test_an_update_with_what_was_shown_changes_nothing(rest: Rest) -> None:
    """The whole view, sent back, keeps every secret; so does an update that does not name them."""
    made = await rest.create(source_options=SOURCE, destination_options=DESTINATION)
    path, before = f"/tasks/{made['task_id']}", await spec_of(rest, made)
    for change in (
        {"title": "b"},
        {name: made[name] for name in ("source_options", "destination_options", "sources", "destination")},
        {"source_options": {}},
        {"source_options": {"bind": "192.0.2.7"}},
    ):
        await rest.call("PATCH", path, change)
        after = await spec_of(rest, made)
        assert after.source_options == before.source_options
        assert after.destination_options == before.destination_options


async def test_options_are_changed_and_cleared_one_by_one(rest: Rest) -> None:
    """An empty value clears one, headers replace all that there are, null clears all of an end."""
    made = await rest.create(source_options=SOURCE, destination_options=DESTINATION)
    path = f"/tasks/{made['task_id']}"
    headers = {"cookie": "***", "Referer": "https://other.example/"}
    await rest.call("PATCH", path, {"source_options": {"proxy": "", "headers": headers}})
    spec = await spec_of(rest, made)
    assert spec.source_options.to_json() == {
        "bind": "192.0.2.7",
        "headers": {"cookie": f"c={PLANTED}", "Referer": "https://other.example/"},
    }
    changed = await rest.call("PATCH", path, {"source_options": None, "destination_options": {"tc_url": ""}})
    assert changed["source_options"] == {}
    assert "tc_url" not in changed["destination_options"]
    assert changed["destination_options"]["swf_url"] == DESTINATION["swf_url"]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("source_options.proxy", {"source_options": {"proxy": "https://h:1"}}),
        ("source_options.proxy", {"source_options": {"proxy": "http://***@h:1"}}),
        ("source_options.bind", {"source_options": {"bind": "eth0"}}),
        ("source_options.headers", {"source_options": {"headers": {"Host": "x"}}}),
        ("source_options.headers", {"source_options": {"headers": {"Cookie": "***"}}}),
        ("source_options.headers", {"source_options": {"headers": {"X": "a\nb"}}}),
        ("source_options.tc_url", {"source_options": {"tc_url": "rtmp://h/a"}}),
        ("destination_options.headers", {"destination_options": {"headers": {"X": "y"}}}),
        (
            "destination_options.proxy",
            {"destination": "srt://h.example:9000", "destination_options": {"proxy": "http://p:1"}},
        ),
        ("destination_options.flash_ver", {"destination_options": {"flash_ver": "a\u0007"}}),
        ("destination.server", {"destination": {"server": "srt://h:9000", "key": "k"}}),
        ("destination.key", {"destination": {"server": "rtmp://h.example", "key": " "}}),
        ("destination.key", {"destination": {"server": "rtmp://h.example/live", "key": "***"}}),
    ],
)
async def test_a_bad_option_is_refused_by_its_name(rest: Rest, field: str, fields: dict[str, Any]) -> None:
    """The field is the one to be changed, and the sentence says to what."""
    refusal = await rest.refusal(422, "POST", "/tasks", new_task(**fields))
    assert refusal["field"] == field
    assert PLANTED not in json.dumps(refusal)


async def test_headers_that_are_secret_do_not_move_to_another_server(rest: Rest) -> None:
    """Who changes where a source is has to give them again, and who does not know them does not learn them so."""
    made = await rest.create(source_options=SOURCE)
    path = f"/tasks/{made['task_id']}"
    elsewhere = [{"url": "https://elsewhere.example/a.mp4"}]
    for options in ({}, {"source_options": {"headers": {"Cookie": "***"}}}):
        refusal = await rest.refusal(422, "PATCH", path, {"sources": elsewhere, **options})
        assert refusal["field"] == "source_options.headers"
    same = [{"url": "https://h.example/b.mp4"}]
    await rest.call("PATCH", path, {"sources": same})
    given = {"source_options": {"headers": {"Cookie": "new", "User-Agent": "x"}}}
    await rest.call("PATCH", path, {"sources": elsewhere, **given})
    assert dict((await spec_of(rest, made)).source_options.headers) == {"Cookie": "new", "User-Agent": "x"}


async def test_server_and_key_over_rest(rest: Rest) -> None:
    """Shown without the key; the key stays with its server, and a new one takes its place."""
    made = await rest.create(destination={"server": "rtmps://h.example:443/rtmp/", "key": f"{PLANTED}/你?a=b"})
    path = f"/tasks/{made['task_id']}"
    assert made["destination_server"] == "rtmps://h.example:443/rtmp/"
    assert PLANTED not in json.dumps(made)
    url = (await spec_of(rest, made)).destination
    assert (*url.app_and_key, url.tc_url) == ("rtmp", f"{PLANTED}/你?a=b", "rtmps://h.example:443/rtmp")
    for same in ({"server": made["destination_server"], "key": "***"}, made["destination"]):
        await rest.call("PATCH", path, {"destination": same})
        assert (await spec_of(rest, made)).destination == url
    await rest.refusal(422, "PATCH", path, {"destination": {"server": "rtmp://other.example/rtmp", "key": "***"}})
    changed = await rest.call("PATCH", path, {"destination": {"server": made["destination_server"], "key": "new"}})
    assert (await spec_of(rest, made)).destination.app_and_key == ("rtmp", "new")
    whole = await rest.call("PATCH", path, {"destination": "rtmp://h.example/live/k"})
    assert (changed["destination_server"] is None, whole["destination_server"]) == (False, None)


async def test_secrets_do_not_go_to_another_server_or_through_another_proxy(rest: Rest) -> None:
    """Who may change a task and does not know them does not learn them so."""
    made = await rest.create(
        sources=[{"url": "http://h.example/a.mp4"}],
        source_options={"headers": {"Cookie": f"c={PLANTED}"}},
        destination=f"rtmp://push.example/live/{PLANTED}",
        destination_options={"tc_url": f"rtmp://push.example/live?t={PLANTED}"},
    )
    path = f"/tasks/{made['task_id']}"
    elsewhere = [{"url": "http://elsewhere.example/a.mp4"}]
    for field, change in (
        ("source_options.headers", {"sources": elsewhere, "source_options": {"headers": {"cookie": "***"}}}),
        ("source_options.headers", {"source_options": {"proxy": "http://p.example:1"}, "sources": elsewhere}),
        ("destination_options.proxy", {"destination_options": {"proxy": "socks5://p.example:1"}}),
        (
            "destination_options.proxy",
            {"destination": made["destination"], "destination_options": {"proxy": "http://p.example:1"}},
        ),
        ("destination_options.tc_url", {"destination": "rtmp://elsewhere.example/live/k"}),
    ):
        refusal = await rest.refusal(422, "PATCH", path, change)
        assert refusal["field"] == field
        assert PLANTED not in json.dumps(refusal)
    proxied = {"proxy": "http://p.example:1", "tc_url": "rtmp://push.example/live"}
    known = {"destination": f"rtmp://push.example/live/{PLANTED}", "destination_options": proxied}
    assert (await rest.call("PATCH", path, known))["destination_options"]["proxy"] == "http://p.example:1"


async def test_what_live_hls_is_played_is_set_kept_and_cleared(rest: Rest) -> None:
    told = {"segments_behind": 6, "max_kbps": 2500}
    source = {"kind": "live", "sources": [{"url": "https://cam.example/live.m3u8"}]}
    made = await rest.create(**source, source_options=told)
    path = f"/tasks/{made['task_id']}"
    assert (await rest.call("PATCH", path, {"title": "a"}))["source_options"] == told
    options = relay_spec_of(await spec_of(rest, made), START).source_options
    assert (options.segments_behind, options.max_kbps) == (6, 2500)
    refused = await rest.refusal(422, "PATCH", path, {"source_options": {"segments_behind": 101}})
    assert "segments_behind" in json.dumps(refused)
    assert (await rest.call("PATCH", path, {"source_options": dict.fromkeys(told, 0)}))["source_options"] == {}


async def test_drift_and_rotation_are_set_kept_and_cleared(rest: Rest) -> None:
    """Also by a change of something else; each is refused at the other end, by its name."""
    live = {"kind": "live", "sources": [{"url": "rtmp://cam.example/live/1"}]}
    made = await rest.create(
        **live,
        source_options={"keep_drift": True},
        destination_options={**DESTINATION, "rotate_s": 3600, "overlap": True},
    )
    path = f"/tasks/{made['task_id']}"
    assert (await rest.call("PATCH", path, {"title": "a"}))["source_options"] == {"keep_drift": True}
    spec = relay_spec_of(await spec_of(rest, made), START)
    assert (spec.source_options.keep_drift, spec.destination_options.rotate_s) == (True, 3600)
    assert spec.destination_options.overlap
    for field, told, words in (
        ("source_options", {"rotate_s": 3600}, "is for destinations"),
        ("source_options", {"overlap": True}, "is for destinations"),
        ("destination_options", {"keep_drift": True}, "is for live sources"),
        ("destination_options", {"rotate_s": 5}, "must be 0, or 60 to 604800 seconds"),
    ):
        (name,) = told
        refused = await rest.refusal(422, "PATCH", path, {field: told})
        assert f"{field}.{name}" in json.dumps(refused)
        assert words in json.dumps(refused)
    cleared = {"source_options": {"keep_drift": False}, "destination_options": {"rotate_s": 0, "overlap": False}}
    changed = await rest.call("PATCH", path, cleared)
    assert changed["source_options"] == {}
    assert {"rotate_s", "overlap"}.isdisjoint(changed["destination_options"])
