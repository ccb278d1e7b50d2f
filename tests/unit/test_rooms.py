"""Words of the cloud's API stay in the rooms that speak it: ``web/compat`` and ``client``."""

import re
from pathlib import Path

import pytest

import streamferry
from streamferry.web.compat.callback_body import CallbackBody
from streamferry.web.compat.field_names import NAMES
from streamferry.web.compat.operations import OPERATIONS
from streamferry.web.compat.task_bodies import STATUS_WORDS

ROOMS = ("tasks", "store", "control", "web", "service", "relay", "worker", "cli")
SPEAKS_IT = "web/compat/"
# Stored rows have had these words since the first version, and old ones have to open.
STORED = {("store/spec_json.py", word) for word in ("SrcAddr", "SrcAddrS", "VodSrcAddrs")}
# The example that users paste is a call of the client; the README of quickstart names it, too.
NAMED = {("web/request_sample.py", "CreatePullToPushTask")}


def cloud_words() -> set[str]:
    """Names of actions and fields that are no words of ours in another sense: made of several words, in PascalCase."""
    names = {*OPERATIONS, *CallbackBody.model_fields, *NAMES.values()}
    names |= {name for one in OPERATIONS.values() for name in one.body.model_fields}
    names |= {name for one in OPERATIONS.values() for name in one.body.model_json_schema().get("$defs", {})}
    return {word for name in names for word in name.split(".") if re.fullmatch(r"(?:[A-Z][a-z]+){2,}[A-Z]*", word)}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_but_the_compatible_one_speaks_the_clouds_words(room: str) -> None:
    """As a word of the code, whatever it stands for; in a sentence of a comment it may be told."""
    root = Path(streamferry.__file__).parent
    words = cloud_words()
    assert {"StartTime", "VodSrcAddrs", "RelativePosX", "TaskId"} <= words
    found = set()
    for path in (root / room).rglob("*.py"):
        name = path.relative_to(root).as_posix()
        if not name.startswith(SPEAKS_IT):
            quoted = re.findall(r"""["'](\w+)["']""", path.read_text())
            # Who reads the dashboard in Chinese reads some of the API's words there.
            told = words if "/texts/" in name else {*words, *STATUS_WORDS.values()}
            found |= {(name, word) for word in quoted if word in told}
    assert found - STORED - NAMED == set()
