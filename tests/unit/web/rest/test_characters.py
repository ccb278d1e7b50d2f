"""Bytes out are bytes in: addresses with characters that some layer could decode once too often, on every way in."""

from pathlib import Path
from random import Random

import pytest
from cryptography.fernet import Fernet
from rest_api import make_rest, new_task
from signed_api import FILES, NO_LIMITS, make_api

from streamferry.cli.task_body import plain_fields
from streamferry.client import NewTask
from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.net.folders import Folders
from streamferry.store import Seal, Store, migrate, sqlite_url
from streamferry.store.dump import dump, load, read_head
from streamferry.web.compat.routes import ApiSettings
from streamferry.wire.rtmp.session import ClientSession, PublishRequested, Purpose, ServerSession

#: What is something else once it is decoded, escaped or normalised once more.
PIECES = [
    *("p%40ss%25", "a+b", "%2B", "&amp;", "你", "%E4%BD%A0", "é", "e\u0301", "😀", "'", '"', "\\\\", "|", "{}", "~"),
    *("%%", "%", "%zz", "=", "&a=b", "$HOME", "`id`", "<b>", "(x)", ";", ",", "!", "@", ":", "*x", "[1]", "^", "%00"),
]


def keys() -> list[str]:
    """Keys that have every piece."""
    pieces = list(PIECES)
    Random(13).shuffle(pieces)
    return ["".join(pieces[at : at + 6]) for at in range(0, len(pieces), 6)]


def destination(way: str, number: int, key: str) -> str:
    """A piece in the key, and in the query that belongs to it."""
    return f"rtmp://push.example/live-{way}-{number}/k{key}k?sign={key}"


def key_on_the_wire(session: ClientSession) -> tuple[str, str]:
    """Application and key as a server reads them from the bytes of a publish."""
    server = ServerSession(random=b"seed")
    for _ in range(10):
        for event in server.receive(session.data_to_send()):
            if isinstance(event, PublishRequested):
                return event.app, event.key
            if type(event).__name__ == "ConnectRequested":
                server.accept()
        session.receive(server.data_to_send())
    raise AssertionError("it did not publish")


@pytest.fixture
async def store(tmp_path: Path):
    one = Store(sqlite_url(tmp_path / "store.db"), Seal(Fernet.generate_key().decode()))
    await migrate(one)
    yield one
    await one.aclose()


async def test_bytes_out_are_bytes_in(store: Store, tmp_path: Path) -> None:
    """Over the API, the SDK, REST and the command line, after an update that changes nothing, a backup and a restore:
    what a server is asked to publish is what was given, character for character.
    """
    given: dict[str, str] = {}
    rules = address_rules(Folders.of([FILES]))
    api = await make_api(store, ApiSettings(rates=NO_LIMITS, address_rules=rules))
    async with api.client, make_rest(store) as rest:
        for number, key in enumerate(keys()):
            common = {"type": 0, "start_time": 4_000_000_000, "end_time": 4_000_003_600, "cycle_mode": -1}
            sdk = NewTask(src_addr="rtmp://h.example/a/b", dst_addr=destination("sdk", number, key), **common)
            made = await api.call("CreatePullToPushTask", sdk.to_body())
            given[made["TaskId"]] = destination("sdk", number, key)
            body = {**sdk.to_body(), "DstAddr": destination("api", number, key)}
            made = await api.call("CreatePullToPushTask", body)
            given[made["TaskId"]] = destination("api", number, key)
            shown = await rest.create(destination=destination("rest", number, key))
            given[shown["task_id"]] = destination("rest", number, key)
            typed = plain_fields(to=destination("cli", number, key))
            shown = await rest.call("POST", "/tasks", {**new_task(), **typed})
            given[shown["task_id"]] = destination("cli", number, key)
        for task_id in given:
            shown = await rest.call("GET", f"/tasks/{task_id}")
            # As shown, with stars for its secrets: that is no change.
            await rest.call("PATCH", f"/tasks/{task_id}", {"destination": shown["destination"], "title": "t"})
    lines = iter([line async for line in dump(store)])
    revision, seal_key = read_head(lines)
    other = Store(sqlite_url(tmp_path / "restored.db"), Seal(seal_key))
    await load(other, lines, revision)
    actions = Actions(other)
    for task_id, address in given.items():
        url = (await actions.get_task(task_id)).spec.destination
        app, key = address.removeprefix("rtmp://push.example/").split("/", 1)
        assert url.reveal() == address
        assert key_on_the_wire(ClientSession(url, Purpose.PUBLISH, random=b"seed")) == (app, key)
    await other.aclose()
