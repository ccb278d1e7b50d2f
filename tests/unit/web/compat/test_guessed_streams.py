"""Whether a stream key can be guessed by asking for the usage of its stream."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from signed_api import Api
from task_samples import make_spec

from streamferry.client import Credentials
from streamferry.media.url import MediaUrl
from streamferry.web.compat.guesses import MISSES_AT_ONCE

ACTIONS = ["DescribeLivePullToPushData", "DescribeLivePullToPushBandwidthData"]


def asked(stream: str) -> dict[str, object]:
    """A day's usage of one stream."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = {"StartTime": (now - timedelta(hours=5)).isoformat(), "EndTime": now.isoformat()}
    return {**times, "App": "live", "Stream": stream}


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_key_that_may_only_read_guessed_stream_keys(api: Api, action: str) -> None:
    """A right guess was told from a wrong one; such a key, which is shown no stream key, may not ask by one."""
    key = await api.actions.create_key(read_only=True)
    api.credentials = Credentials(key.access_key_id, key.secret)
    refused = await api.refusal(action, asked("guess"))
    assert refused["Code"] == "AccessDenied"
    assert "App, Stream" in refused["Message"]
    assert "guess" not in refused["Message"]
    everything = {name: value for name, value in asked("").items() if name not in ("App", "Stream")}
    await api.call(action, everything)
    # The same in the query, and with half of it.
    for half in ("App", "Stream"):
        assert (await api.refusal(action, {**everything, half: "live"}))["Code"] == "AccessDenied"


@pytest.mark.both_databases
async def test_guesses_of_streams_are_few(api: Api) -> None:
    """A key that may write names streams that there are as often as it likes, and made-up ones a few times."""
    destination = MediaUrl.parse("rtmp://push.example/live/there-is")
    await api.actions.create_task(make_spec(destination=destination))
    misses = [await api.raw(ACTIONS[n % 2], json.dumps(asked(f"guess-{n}")).encode()) for n in range(MISSES_AT_ONCE)]
    assert [one.status_code for one in misses] == [200] * MISSES_AT_ONCE
    for stream in ("another", "there-is"):
        # The right one, too: else it would be told from the wrong ones by not being refused.
        assert (await api.refusal(ACTIONS[0], asked(stream)))["Code"] == "AccountFlowLimitExceeded"
    other = await api.actions.create_key()
    api.credentials = Credentials(other.access_key_id, other.secret)
    for _ in range(2 * MISSES_AT_ONCE):
        await api.call(ACTIONS[0], asked("there-is"))
