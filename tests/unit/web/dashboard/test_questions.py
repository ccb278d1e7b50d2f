"""Questions that pages ask."""

import asyncio
import time
from typing import Any

import pytest
from nicegui import Client, core, ui

from kit.waiting import PATIENCE_S
from streamferry.web.dashboard.frame import Page, Visitor
from streamferry.web.dashboard.preferences import Preferences
from streamferry.web.dashboard.sessions import Sessions
from streamferry.web.dashboard.texts import sayer, translator
from streamferry.web.dashboard.widgets import is_sure


async def test_a_page_was_left_with_a_question_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not answered with yes; the log had a traceback, for the dialog was deleted once more."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
    sessions = Sessions()
    session = sessions.find(sessions.begin("AK", can_write=True, now=time.monotonic()), time.monotonic())
    assert session is not None
    who = Visitor(session, Preferences(), translator("en"), sayer("en"))
    client: Any = Client(Page("/asked"))

    async def ask() -> bool:
        with client:
            return await is_sure(who, "Delete it?", "Delete")

    asked = asyncio.create_task(ask())
    async with asyncio.timeout(PATIENCE_S):
        while not any(isinstance(one, ui.dialog) and one.value for one in client.elements.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        client.delete()
        assert await asked is False
