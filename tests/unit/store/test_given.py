"""Rows given to one statement: one that no database takes must not cost a worker its lease, and all streams."""

from dataclasses import replace

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, Reason
from streamferry.relay.status import RelayStatus, State
from streamferry.store import Store
from streamferry.worker import Report

pytestmark = pytest.mark.both_databases
RETRYING = RelayStatus(State.RETRYING, fault=Fault.USER_DESTINATION)


@pytest.mark.parametrize(
    "odd",
    [
        *({"why": Reason.of(Code.FIELD_NAMED, field="x", why=words)} for words in ("a\x00b", "\ud800", "\udfff😀\x00")),
        *({"rtt_ms": value} for value in (float("inf"), float("-inf"), float("nan"))),
    ],
    ids=repr,
)
async def test_an_odd_value_stops_no_report(store: Store, odd: dict[str, object]) -> None:
    """What cannot be stored is left out of it, and everything beside it is there."""
    actions, ledger = Actions(store), StoreLedger(store, "w", capacity=9)
    await ledger.register()
    addresses = [MediaUrl.parse(f"rtmp://p.example/live/{number}") for number in range(2)]
    ids = [await actions.create_task(make_spec(destination=address)) for address in addresses]
    await ledger.poll(0, 9)
    statuses = (replace(RETRYING, **odd), RelayStatus(State.STREAMING, media_time_ms=10, bytes_out=10))
    reports = [Report(one, 1, 1, status, (), {}, None, None) for one, status in zip(ids, statuses, strict=True)]
    assert await ledger.report(reports, 2, None) == set()
    assert [(await actions.get_task(one)).state for one in ids] == [State.RETRYING, State.STREAMING]
