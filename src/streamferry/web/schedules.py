"""When tasks run and what plays when, as lists, as a calendar (RFC 5545) and as a log of what was played (CSV)."""

import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from streamferry.control.actions import Actions
from streamferry.reasons import Code
from streamferry.relay.status import ItemStep, Shown, State
from streamferry.store.records import EventRecord, TaskRecord
from streamferry.store.recurring import MOVED_ON
from streamferry.tasks.checks import check_task_id
from streamferry.tasks.guide import guide
from streamferry.tasks.model import CallbackEvent, TaskKind, TaskSpec
from streamferry.tasks.series import Window
from streamferry.web.addresses import show_source
from streamferry.web.schedule_views import Guide, GuideEntry, PastWindowView, WindowList, WindowView

if TYPE_CHECKING:
    from icalendar import Event

#: A calendar shows windows that begin up to this long from now.
CALENDAR = timedelta(days=100)
#: Most windows in it, and most of one task.
_MOST, _MOST_OF_TASK = 5000, 500
_PAGE = 500
_COLUMNS = ("start", "end", "seconds", "loop", "item", "source", "ended_by", "reason")
_ITEM_ENDS = {ItemStep.FINISHED.value: "finished", ItemStep.FAILED.value: "failed"}


class Schedules:
    """See the module."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions

    async def windows(self, task_id: str, *, limit: int) -> WindowList:
        """Past and upcoming windows of a task, at most ``limit`` of each. Raises TaskNotFound."""
        record = await self._actions.get_task(check_task_id(task_id))
        past = await self._actions.list_latest_events(task_id, limit=limit, kinds=[MOVED_ON])
        return WindowList(
            past=[_show_past(one) for one in past],
            upcoming=[
                WindowView(start_at=one.start_at, end_at=one.end_at)
                for one in islice(_windows(record.spec, record.read_at), limit)
            ],
        )

    async def guide(self, task_id: str, *, since: datetime | None, limit: int) -> Guide:
        """What plays at ``since`` (None: now) and after that, at most ``limit`` entries. Raises TaskNotFound."""
        record = await self._actions.get_task(check_task_id(task_id))
        return Guide(entries=list(islice(_guide(record, max(since or record.read_at, record.read_at)), limit)))

    async def calendar(self, groups: Sequence[str] = ()) -> bytes:
        """The windows of all tasks that have not ended, or of those in some groups, that begin within ``CALENDAR``."""
        # A tenth of what a service imports, and seldom asked for (decision 0039).
        from icalendar import Calendar

        calendar = Calendar()
        calendar.add("prodid", "-//streamferry//tasks//EN")
        calendar.add("version", "2.0")
        calendar.add("x-wr-calname", "streamferry")
        shown = 0
        async for record in self._all(groups):
            until = record.read_at + CALENDAR
            for window in islice(_windows(record.spec, record.read_at), _MOST_OF_TASK):
                if window.start_at >= until or shown >= _MOST or not record.enabled:
                    break
                calendar.add_component(_event(record, Window(window.start_at, min(window.end_at, until))))
                shown += 1
        return bytes(calendar.to_ical())

    async def as_run(self, task_id: str, *, since: datetime, until: datetime) -> AsyncIterator[str]:
        """What was played, as lines of CSV with a head: of a list each item, of a live source each time that it
        streamed without a break, of a further input each time that it was shown instead, in parts where a file was
        inserted; and each of those files. As long as events are kept. Raises TaskNotFound before the first line."""
        record = await self._actions.get_task(check_task_id(task_id))
        sources, *inputs = (
            [show_source(item.url) for item in items]
            for items in (record.spec.items, *(one.items for one in record.spec.inputs))
        )
        yield _line(_COLUMNS)
        played = _Played(sources, inputs, is_live=record.spec.kind is TaskKind.LIVE)
        after = 0
        while found := await self._actions.list_feed(task_id, after=after, limit=_PAGE):
            after = found[-1].id
            for event in found:
                row = played.take(event)
                if row is not None and since <= row[0] < until:
                    yield _as_run_line(row)
            if found[-1].at - until >= timedelta(days=1):
                break
        if (row := played.running) is not None and since <= row[0] < until:
            yield _as_run_line(row)

    async def _all(self, groups: Sequence[str]) -> AsyncIterator[TaskRecord]:
        page = 1
        while True:
            found = await self._actions.list_tasks(groups=groups, page=page, size=_PAGE)
            for record in found.records:
                yield record
            if page * _PAGE >= found.total:
                return
            page += 1


def _windows(spec: TaskSpec, now: datetime) -> Iterator[Window]:
    if spec.series is not None:
        yield from spec.series.windows(now)
    elif spec.end_at > now:
        yield Window(spec.start_at, spec.end_at)


def _guide(record: TaskRecord, since: datetime) -> Iterator[GuideEntry]:
    spec = record.spec
    if record.finished or not record.enabled:
        return
    for one in guide(spec, record.item_ends_ms, record.playhead, record.playhead_at, record.read_at, since):
        source = "" if one.is_slate else show_source(spec.items[one.item or 0].url)
        yield GuideEntry(
            start_at=one.start_at,
            end_at=one.end_at,
            item=one.item,
            loop=one.loop,
            source=source,
            slate=one.is_slate,
        )


def _show_past(event: EventRecord) -> PastWindowView:
    detail = event.detail

    def number(name: str) -> int:
        value = detail.get(name, 0)
        return value if isinstance(value, int) else 0

    return PastWindowView(
        start_at=datetime.fromtimestamp(number("start"), event.at.tzinfo),
        end_at=datetime.fromtimestamp(number("end"), event.at.tzinfo),
        state=str(detail.get("state", "")),
        media_time_s=number("media_time_ms") / 1000,
        bytes_out=number("bytes_out"),
        lost_s=number("lost_ms") / 1000,
        dropped_tags=number("dropped_tags"),
        retries=number("retries"),
    )


def _event(record: TaskRecord, window: Window) -> "Event":
    from icalendar import Event

    event = Event()
    event.add("uid", f"{record.task_id}-{int(window.start_at.timestamp())}@streamferry")
    event.add("dtstamp", record.created_at)
    event.add("dtstart", window.start_at)
    event.add("dtend", window.end_at)
    event.add("summary", record.spec.title or record.task_id)
    event.add("categories", [record.spec.group])
    return event


#: Start, end, loop, item, source, how it ended and why.
_Row = tuple[datetime, datetime | None, int | None, int | None, str, str, str]


class _Played:
    """Makes rows of the events of one task, which it is given in order."""

    def __init__(self, sources: Sequence[str], inputs: Sequence[Sequence[str]], *, is_live: bool) -> None:
        """``inputs``: the further ones, by their addresses."""
        self._sources = sources
        self._inputs = inputs
        self._is_live = is_live
        self.running: _Row | None = None
        # What is on air, as events name it; of a list that is not, what goes on when it is again.
        self._on_air = _FIRST_INPUT
        self._aside: _Row | None = None

    def take(self, event: EventRecord) -> _Row | None:
        """The row that is complete with this event, if any."""
        place = event.detail.get("playhead")
        loop, item = (place.get("loop"), place.get("item")) if isinstance(place, dict) else (None, None)
        running = self.running
        if event.kind == "claimed":
            self._on_air = _FIRST_INPUT
            return None
        if event.kind == CallbackEvent.SWITCHED.value:
            return self._take_switch(event)
        if event.kind == State.STREAMING.value:
            if (shown := event.detail.get("on_air")) is not None:
                # The slate, or an inserted file, until something else is on air.
                self._on_air = str(shown)
            if running is None and (item is None or self._on_air != _FIRST_INPUT):
                self.running = self._begin(event)
            return None
        if event.kind == ItemStep.STARTED.value:
            self.running = (event.at, None, loop, item, self._source(item), "", "")
            return _ended(running, event, "next")
        if event.kind in _ITEM_ENDS:
            if running is None or (running[2], running[3]) != (loop, item):
                # It failed before it began.
                return (event.at, event.at, loop, item, self._source(item), _ITEM_ENDS[event.kind], _why(event))
            self.running = None
            return _ended(running, event, _ITEM_ENDS[event.kind])
        if event.kind in _STOPS and running is not None:
            self.running = self._aside = None
            return _ended(running, event, event.kind)
        return None

    def _take_switch(self, event: EventRecord) -> _Row | None:
        """Something else is on air; or a file that was to be inserted never came there."""
        running, shown, before = self.running, event.detail.get("to"), event.detail.get("from")
        code = event.detail.get("reason_code")
        if code == Code.ON_AIR_INSERT_FAILED and before == shown:
            return _ended(_insert_row(event), event, "failed")
        if before == _FIRST_INPUT:
            self._aside = running
        self._on_air = str(shown)
        # Before it streams nothing of it is seen: it will be told that it does.
        is_seen = event.detail.get("state", State.STREAMING.value) == State.STREAMING.value
        self.running = self._begin(event) if is_seen else None
        if code == Code.ON_AIR_BETWEEN:
            return _ended(running, event, "window_over")
        if before == Shown.INSERT.value and shown != before:
            return _ended(running, event, "failed" if code == Code.ON_AIR_INSERT_FAILED else "finished")
        if shown == Shown.INSERT.value:
            return _ended(running, event, "next" if before == shown else "insert")
        return _ended(running, event, "switch")

    def _begin(self, event: EventRecord) -> _Row | None:
        """The row of what is on air from now on; None for the slate."""
        if self._on_air == Shown.SLATE.value:
            return None
        if self._on_air == Shown.INSERT.value:
            return _insert_row(event)
        if self._on_air != _FIRST_INPUT:
            return (event.at, None, None, None, self._further(self._on_air), "", "")
        if self._is_live:
            return (event.at, None, None, None, self._source(None), "", "")
        # A list goes on where it was.
        return (event.at, *self._aside[1:]) if self._aside is not None else None

    def _source(self, item: object) -> str:
        """As the task has it now: an event knows its index only."""
        index = item if isinstance(item, int) else 0
        return self._sources[index] if index < len(self._sources) else ""

    def _further(self, name: str) -> str:
        """The addresses of a further input, as the task has it now: of a list nobody tells which of them."""
        number = name.removeprefix("input ")
        index = int(number) - 1 if number.isdecimal() else len(self._inputs)
        return " ".join(self._inputs[index]) if index < len(self._inputs) else ""


#: As events name it.
_FIRST_INPUT = "input 0"
_STOPS = frozenset(one.value for one in State if one not in (State.STREAMING, State.CONNECTING, State.PREPARING)) | {
    "lost"
}


def _insert_row(event: EventRecord) -> _Row:
    return event.at, None, None, None, str(event.detail.get("file", "")), "", ""


def _ended(row: _Row | None, event: EventRecord, how: str) -> _Row | None:
    return None if row is None else (row[0], event.at, *row[2:5], how, _why(event))


def _why(event: EventRecord) -> str:
    return str(event.detail.get("reason", ""))


def _as_run_line(row: _Row) -> str:
    start_at, end_at, loop, item, source, how, why = row
    length = "" if end_at is None else f"{(end_at - start_at).total_seconds():.1f}"
    shown = [start_at.isoformat(timespec="milliseconds"), end_at.isoformat(timespec="milliseconds") if end_at else ""]
    return _line((*shown, length, "" if loop is None else loop, "" if item is None else item, source, how, why))


def _line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
