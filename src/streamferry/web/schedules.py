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
        streamed without a break, in parts where a file was inserted; and each of those files. As long as events are
        kept. Raises TaskNotFound before the first line."""
        record = await self._actions.get_task(check_task_id(task_id))
        sources = [show_source(item.url) for item in record.spec.items]
        yield _line(_COLUMNS)
        played = _Played(sources, is_live=record.spec.kind is TaskKind.LIVE)
        after = 0
        while found := await self._actions.list_feed(task_id, after=after, limit=_PAGE):
            after = found[-1].id
            for event in found:
                row = played.take(event)
                if row is not None and since <= row[0] < until:
                    yield _as_run_line(row)
            if found[-1].at >= until + timedelta(days=1):
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

    def __init__(self, sources: Sequence[str], *, is_live: bool) -> None:
        self._sources = sources
        self._is_live = is_live
        self.running: _Row | None = None
        # What the file that plays was inserted over; None: nothing, or none plays.
        self._parted: _Row | None = None

    def take(self, event: EventRecord) -> _Row | None:
        """The row that is complete with this event, if any."""
        place = event.detail.get("playhead")
        loop, item = (place.get("loop"), place.get("item")) if isinstance(place, dict) else (None, None)
        running = self.running
        if event.kind == CallbackEvent.SWITCHED.value:
            return self._take_switch(event)
        if event.kind == State.STREAMING.value and (shown := event.detail.get("on_air")) is not None:
            # The slate, or an inserted file, until something else is on air.
            if shown == Shown.INSERT.value and running is None:
                self.running = _insert_row(event)
            return None
        if event.kind == ItemStep.STARTED.value or (event.kind == State.STREAMING.value and item is None):
            if running is not None and event.kind == State.STREAMING.value:
                return None
            self.running = (event.at, None, loop, item, self._source(item), "", "")
            return _ended(running, event, "next")
        if event.kind in _ITEM_ENDS:
            if running is None or (running[2], running[3]) != (loop, item):
                # It failed before it began.
                return (event.at, event.at, loop, item, self._source(item), _ITEM_ENDS[event.kind], _why(event))
            self.running = None
            return _ended(running, event, _ITEM_ENDS[event.kind])
        if event.kind in _STOPS and running is not None:
            self.running = self._parted = None
            return _ended(running, event, event.kind)
        return None

    def _take_switch(self, event: EventRecord) -> _Row | None:
        """A window is over, and the slate is on air; or a live source comes on air after it; or a file is inserted."""
        running, shown, before = self.running, event.detail.get("to"), event.detail.get("from")
        has_failed = event.detail.get("reason_code") == Code.ON_AIR_INSERT_FAILED
        if has_failed and before == shown:
            # It never came on air.
            return _ended(_insert_row(event), event, "failed")
        if shown == Shown.INSERT.value:
            plays_insert = before == shown
            self._parted = self._parted if plays_insert else running
            self.running = _insert_row(event)
            return _ended(running, event, "next" if plays_insert else "insert")
        if before == Shown.INSERT.value:
            self.running, parted, self._parted = None, self._parted, None
            if running is not None and (shown != Shown.SLATE.value or not self._is_live):
                if parted is not None:
                    self.running = (event.at, *parted[1:])
                elif self._is_live:
                    self.running = (event.at, None, None, None, self._source(None), "", "")
            return _ended(running, event, "failed" if has_failed else "finished")
        if event.detail.get("reason_code") == Code.ON_AIR_BETWEEN:
            self.running = None
            return _ended(running, event, "window_over")
        if self._is_live and running is None and event.detail.get("from") == Shown.SLATE.value:
            self.running = (event.at, None, None, None, self._source(None), "", "")
        return None

    def _source(self, item: object) -> str:
        """As the task has it now: an event knows its index only."""
        index = item if isinstance(item, int) else 0
        return self._sources[index] if index < len(self._sources) else ""


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
