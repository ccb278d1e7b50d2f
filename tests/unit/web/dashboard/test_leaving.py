"""A live page that sends its visitor elsewhere."""

import asyncio

import pytest
from nicegui import Client, core

from streamferry.web.dashboard.frame import Page, leave


async def test_a_page_is_left_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that was deleted was left again with each refresh, which broke off the page that the browser was loading:
    where that took longer than a refresh, it never came."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
    client, other = Client(Page("/left")), Client(Page("/left"))
    for one in (client, client, other):
        with one:
            leave("/tasks")
    for one in (client, other):
        opened = [detail["path"] for _, kind, detail in one.outbox.messages if kind == "open"]
        assert opened == ["/tasks"]
        one.delete()
