"""Answers of REST that stream, and whom they stream to."""

import asyncio

import pytest
from rest_api import PREFIX, Rest
from starlette.types import Message, Scope

from streamferry.web.rest import token_gate


@pytest.fixture(autouse=True)
def _prove_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_gate, "PROVE_EVERY_S", 0.0)


@pytest.mark.both_databases
async def test_events_went_on_for_a_key_that_was_disabled(rest: Rest) -> None:
    """The stream of a token ends with the token, and what happens behind that is not told."""
    sent: asyncio.Queue[Message] = asyncio.Queue()
    is_over = asyncio.Event()

    async def receive() -> Message:
        await is_over.wait()
        return {"type": "http.disconnect"}

    token = await rest.token(rest.reader)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        streaming = group.create_task(rest.app(_scope(token), receive, sent.put))
        assert (await sent.get())["status"] == 200
        assert b"retry:" in (await sent.get())["body"]
        await rest.create()
        told = await sent.get()
        assert b"created" in told["body"]
        await rest.actions.disable_key(rest.reader.access_key_id)
        await rest.create()
        assert await sent.get() == {**told, "body": b"", "more_body": False}
        # As a server says it once an answer has ended.
        is_over.set()
        await streaming
    assert sent.empty()


def _scope(token: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "root_path": PREFIX,
        "path": f"{PREFIX}/events/stream",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
