"""The API over a real store, called in-process with signed requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from streamferry.client import Credentials
from streamferry.client.signing import canonical_query, sign_request
from streamferry.control.actions import Actions
from streamferry.store import Store
from streamferry.store.records import KeyPair
from streamferry.web.compat.operations import VERSION
from streamferry.web.compat.routes import ApiSettings, build_router
from streamferry.web.rate_limits import Rates

KEY = KeyPair("AKLTtest", "secret-of-the-test")
FILES = Path("/media/films")
NO_LIMITS = Rates(0, 0, 0)


@dataclass
class Api:
    """Calls actions; ``credentials`` may be replaced."""

    client: httpx.AsyncClient
    actions: Actions
    credentials: Credentials = field(default_factory=lambda: Credentials(KEY.access_key_id, KEY.secret))

    async def raw(
        self, action: str, content: bytes, *, method: str = "POST", query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a body as it is."""
        everything = {"Action": action, "Version": VERSION, **(query or {})}
        headers = sign_request(
            self.credentials,
            method=method,
            host="api",
            query=everything,
            body=content,
            region="cn-north-1",
            now=datetime.now(UTC),
        )
        url = f"http://api/?{canonical_query(everything)}"
        return await self.client.request(method, url, headers=headers, content=content)

    async def call(self, action: str, body: Mapping[str, Any]) -> Any:
        """The result of an action that must succeed."""
        response = await self.raw(action, json.dumps(body).encode())
        assert response.status_code == 200, response.text
        return response.json().get("Result")

    async def refusal(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The error of an action that must be refused as the caller's fault."""
        response = await self.raw(action, json.dumps(body).encode())
        assert 400 <= response.status_code < 500, response.text
        error: dict[str, Any] = response.json()["ResponseMetadata"]["Error"]
        return error

    async def task(self, task_id: str) -> dict[str, Any]:
        """A task as the list shows it."""
        found = await self.call("ListPullToPushTask", {"Size": 500})
        return next(item for item in found["List"] if item["TaskId"] == task_id)


async def make_api(store: Store, settings: ApiSettings) -> Api:
    actions = Actions(store)
    await actions.import_key(KEY)
    app = FastAPI()
    app.include_router(build_router(actions, settings))
    return Api(httpx.AsyncClient(transport=httpx.ASGITransport(app)), actions)
