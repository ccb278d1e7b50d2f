"""The rates of the settings, each key for itself, as a client of the service's app meets them."""

import json
from pathlib import Path

import httpx
import pytest
from signed_api import KEY, Api

from streamferry.client import Credentials
from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.service.assembly import _build_app
from streamferry.store import Store
from streamferry.worker.processes import WorkerProcesses

#: So slow that no call comes back while the test runs.
SLOW = "0.001"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_the_rates_of_the_settings_hold_for_each_key(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first list passes, the second does not; writes, usage and another key are counted apart."""
    for kind, rate in {"LIST": SLOW, "WRITE": SLOW, "USAGE": "0"}.items():
        monkeypatch.setenv(f"STREAMFERRY_{kind}_RATE", rate)
    actions = Actions(store)
    await actions.import_key(KEY)
    another = await actions.create_key()
    app = _build_app(Settings(data_dir=tmp_path), store, actions, _no_processes(), Pulse(store), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        api = Api(client, actions)
        other = Api(client, actions, Credentials(another.access_key_id, another.secret))
        await api.call("ListPullToPushTask", {})
        for action in ("ListPullToPushTask", "ListPullToPushTaskV2"):
            assert await refused(api, action, {}) == (429, 100027)
        await api.call("CreatePullToPushGroup", {"Name": "one", "ProjectName": "p"})
        assert await refused(api, "CreatePullToPushGroup", {"Name": "two", "ProjectName": "p"}) == (429, 100027)
        found = (await other.call("ListPullToPushGroup", {"PageNum": 1, "PageSize": 10}))["List"]
    assert [one["Name"] for one in found] == ["default", "one"]


async def refused(api: Api, action: str, body: dict[str, object]) -> tuple[int, int]:
    """The status and the number of its error."""
    answer = await api.raw(action, json.dumps(body).encode())
    return answer.status_code, answer.json()["ResponseMetadata"]["Error"]["CodeN"]


def _no_processes() -> WorkerProcesses:
    async def nothing(_: str) -> None:
        """To do about a worker that died."""

    return WorkerProcesses(0, lambda _: (), {}, nothing, silence_s=1.0)
