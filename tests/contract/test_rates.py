"""The rates of the settings, each key for itself, as a client meets them."""

import json
import subprocess
from pathlib import Path

import pytest

from kit.relay_program import STREAMFERRY
from kit.service_program import ServiceProgram
from streamferry.client import LiveService, RateLimited

#: So slow that no call comes back while the test runs.
RATES = {"STREAMFERRY_LIST_RATE": "0.001", "STREAMFERRY_WRITE_RATE": "0.001", "STREAMFERRY_USAGE_RATE": "0"}
KEY_ID, SECRET = "AKLTrates", "secret-of-the-rates"
KEYS = {"STREAMFERRY_ACCESS_KEY_ID": KEY_ID, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}


def test_the_rates_of_the_settings_hold_for_each_key(tmp_path: Path) -> None:
    """The first list passes, the second does not; writes, usage and another key are counted apart."""
    with ServiceProgram(tmp_path / "served", environment={**RATES, **KEYS}) as service:
        service.wait_ready()
        words = [STREAMFERRY, "key", "create", "--json", "--data-dir", service.data]
        made = json.loads(subprocess.run(words, capture_output=True, timeout=30, check=True).stdout)
        another = (made["access_key_id"], made["secret_access_key"])
        with LiveService(service.url, KEY_ID, SECRET) as live, LiveService(service.url, *another) as other:
            live.list_pull_to_push_task()
            for again in (live.list_pull_to_push_task, live.list_pull_to_push_task_v2):
                with pytest.raises(RateLimited) as caught:
                    again()
            assert (caught.value.status, caught.value.code_n) == (429, 100027)
            live.create_pull_to_push_group({"Name": "one", "ProjectName": "p"})
            with pytest.raises(RateLimited):
                live.create_pull_to_push_group({"Name": "two", "ProjectName": "p"})
            found = other.list_pull_to_push_group({"PageNum": 1, "PageSize": 10})["Result"]["List"]
        assert [one["Name"] for one in found] == ["default", "one"]
