"""REST over a real store, called in-process with tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from signed_api import NO_LIMITS

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.net.folders import Folders
from streamferry.store import Store
from streamferry.store.records import KeyPair
from streamferry.web.compat.sample import write_body
from streamferry.web.rest.app import PREFIX, build_rest
from streamferry.web.rest.parts import RestSettings

FILES = Path("/media/films")
PLANTED = "planted-9b1f"


@dataclass
class Rest:
    """Calls REST. ``actions`` are those behind it, ``key`` may write and ``reader`` may not."""

    client: httpx.AsyncClient
    app: FastAPI
    actions: Actions
    key: KeyPair
    reader: KeyPair

    async def token(self, key: KeyPair) -> str:
        """A fresh token of a key."""
        body = {"access_key_id": key.access_key_id, "secret_access_key": key.secret}
        answer = await self.client.post("/tokens", json=body, headers={"authorization": ""})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def call(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The result of a call that must succeed, None for one without."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    async def refusal(self, status: int, method: str, path: str, body: object = None, **options: Any) -> dict[str, Any]:
        """The error of a call that must be refused with that status."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.status_code == status, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error

    async def create(self, **fields: object) -> dict[str, Any]:
        """A task, as it is shown."""
        shown: dict[str, Any] = await self.call("POST", "/tasks", new_task(**fields))
        return shown


def new_task(**fields: object) -> dict[str, object]:
    """An endless list of one file within the next hour, but for what is given. Its secrets are planted."""
    now = datetime.now(UTC)
    return {
        "kind": "vod",
        "sources": [{"url": f"https://h.example/a.mp4?token={PLANTED}"}],
        "destination": f"rtmp://push.example/live/{PLANTED}-{now.timestamp()}",
        "start_at": (now + timedelta(minutes=5)).isoformat(),
        "end_at": (now + timedelta(hours=1)).isoformat(),
        **fields,
    }


@asynccontextmanager
async def make_rest(store: Store, settings: RestSettings | None = None) -> AsyncIterator[Rest]:
    """Mounted as the service mounts it, without limits if no settings are given."""
    actions = Actions(store)
    key, reader = await actions.create_key(), await actions.create_key(read_only=True)
    settings = settings or RestSettings(
        sdk_body=write_body, rates=NO_LIMITS, address_rules=address_rules(Folders.of([FILES]))
    )
    rest = build_rest(actions, store, settings)
    app = FastAPI()
    app.mount(PREFIX, rest)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://rest{PREFIX}") as client:
        one = Rest(client, rest, actions, key, reader)
        client.headers["authorization"] = f"Bearer {await one.token(key)}"
        yield one
