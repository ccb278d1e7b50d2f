"""What is on air, and what is wrong with it, from the worker's report to whoever is called back."""

from datetime import UTC, datetime, timedelta

import pytest
from rest_api import Rest

from streamferry.control.callbacks import Callbacks
from streamferry.control.store_ledger import StoreLedger
from streamferry.reasons import Code, Reason
from streamferry.relay import Found, OnAir, RelayStatus, Shown, State, Switch
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.status import Sense, Unready, Unseen
from streamferry.store import Store
from streamferry.web.compat.callback_body import body_of
from streamferry.worker import Change, Report

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


async def test_switches_and_what_is_found_are_told_by_callbacks(rest: Rest, store: Store) -> None:
    """From what to what and why; which fault, and that it is over. What cannot be watched, and an
    input that is not there, are shown and no callback."""
    since = datetime.now(UTC)
    made = await rest.create(callback_url="http://calls.example/", start_at=(since - timedelta(minutes=1)).isoformat())
    ledger = StoreLedger(store, "w", capacity=5)
    await ledger.register()
    await ledger.poll(0, 5)
    (held,) = (await ledger.assignments({})).values()
    assert held is not None
    first = OnAir(Shown.INPUT, since, Reason.of(Code.ON_AIR_FIRST), 0)
    slate = OnAir(Shown.SLATE, since, Reason.of(Code.ON_AIR_DOWN, input=0, seconds=3.0))
    black = Found(ContentFault.BLACK, since, Reason.of(Code.CONTENT_BLACK))
    mute = Unseen(Sense.SOUND, since, Reason.of(Code.CONTENT_SOUND_UNSEEN, why=Reason.of(Code.CONTENT_NO_AAC)))
    away = Unready(1, Reason.of(Code.SOURCE_SILENT, seconds=5.0))
    status = RelayStatus(State.STREAMING, on_air=slate, found=(black,), unseen=(mute,), unready=(away,))
    changes = (
        Change(status, 0.0, switch=Switch(first, slate)),
        Change(status, 0.0, content=black),
        Change(status, 0.0, content=black, is_over=True),
    )
    await ledger.report([Report(held.task_id, held.epoch, held.version, status, changes, {}, None, None)], 1, None)
    page = await Callbacks(store).list_deliveries(task_id=made["task_id"], size=10)
    told = [body_of(record) for record in reversed(page.records)]
    assert [one.Event for one in told] == ["switched", "content_found", "content_over"]
    assert (told[0].From, told[0].To, told[0].Reason) == ("input 0", "slate", "input 0 has sent no media for 3 s")
    assert [(one.Content, one.From) for one in told[1:]] == [("black", None)] * 2
    run = (await rest.call("GET", f"/tasks/{made['task_id']}"))["run"]
    assert (run["on_air"]["shown"], [one["fault"] for one in run["found"]]) == ("slate", ["black"])
    (unseen,) = run["unseen"]
    (unready,) = run["unready"]
    assert (unready["input"], unready["reason_code"]) == (1, "source.silent")
    assert (unseen["sense"], unseen["reason"]) == ("sound", "the sound cannot be watched: no AAC")
