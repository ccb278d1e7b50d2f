"""When a task runs and what it plays next, or at a time, on its page; what it has played, as a file; its calendar."""

import contextlib
from datetime import UTC, datetime

from nicegui import ui

from streamferry.reasons import Code
from streamferry.tasks.errors import InvalidField, TaskNotFound
from streamferry.web.dashboard.calendar_dialog import show_calendar
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.show import name_and_place
from streamferry.web.dashboard.widgets import time_at
from streamferry.web.dashboard.window_values import read_local_time
from streamferry.web.views import Kind, TaskView

#: How many windows and how many items are shown.
_WINDOWS, _ITEMS = 5, 8
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleView:
    """Drawn where it is made."""

    def __init__(self, who: Visitor, page_actions: PageActions, task: TaskView) -> None:
        self._who, self._t, self._page_actions, self._task = who, who.t, page_actions, task
        self._schedules = page_actions.schedules
        self._drawn: object = None
        #: What plays from then on is shown; None: from now on.
        self._since: datetime | None = None
        t = self._t
        with ui.element("div").classes("stack"):
            self._windows = ui.element("div").classes("stack").props("role=list")
            self._windows.props["aria-label"] = t("schedule.windows")
            with ui.element("div").classes("stack") as self._guide:
                hint = t("schedule.at_hint", zone=str(who.preferences.zone))
                self._at = ui.input(t("schedule.at"), on_change=self._choose_time)
                self._at.props(f'outlined dense clearable type=datetime-local stack-label hint="{hint}"')
                self._at.classes("field")
                self._items = ui.element("div").classes("stack items").props("role=list tabindex=0")
                self._items.props["aria-label"] = t("schedule.next")
            with ui.element("div").classes("toolbar"):
                for words, icon, act in (
                    ("schedule.played", "download", self._download),
                    ("calendar.title", "event", self._show_calendar),
                ):
                    ui.button(t(words), icon=icon, on_click=act, color=None).props("flat no-caps dense")

    async def refresh(self, task: TaskView) -> None:
        """Show the windows of a series and the next items of a list; nothing is drawn again that has not changed.

        Raises TaskNotFound.
        """
        self._task = task
        windows = (await self._schedules.windows(task.task_id, limit=_WINDOWS)).upcoming if task.series else []
        is_list = task.kind is Kind.VOD
        self._guide.set_visibility(is_list)
        guide = await self._schedules.guide(task.task_id, since=self._since, limit=_ITEMS) if is_list else None
        items = guide.entries if guide else []
        # The times of a list that plays move by milliseconds.
        drawn = ([*windows], [(one.loop, one.item, round(one.start_at.timestamp(), -1)) for one in items])
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._windows.clear()
        with self._windows:
            if windows:
                ui.label(self._t("schedule.windows")).classes("soft")
            for window in windows:
                self._row(window.start_at, window.end_at, "")
        self._items.clear()
        with self._items:
            ui.label(self._t("schedule.next" if items else "schedule.nothing")).classes("soft")
            for item in items:
                what = self._t("air.slate") if item.slate else name_and_place(item.source)[0]
                self._row(item.start_at, item.end_at, what, is_exact=True)

    def _row(self, start_at: datetime, end_at: datetime | None, what: str, *, is_exact: bool = False) -> None:
        """``is_exact``: with seconds, since files may be short."""
        seconds = "seconds" if is_exact else ""
        with ui.element("div").classes("window").props("role=listitem"):
            time_at(start_at.isoformat()).props(seconds).classes("num")
            ui.label("→").props("aria-hidden=true")
            if end_at is None:
                ui.label(self._t("schedule.unknown")).classes("soft")
            else:
                time_at(end_at.isoformat()).props(seconds).classes("num")
            ui.label(what).classes("mono wrap")

    async def _choose_time(self) -> None:
        typed, since = self._at.value or "", None
        self._at.error = None
        try:
            if typed:
                since = read_local_time(typed, self._who.preferences.zone)
                if since < await self._page_actions.reads.now():
                    raise InvalidField("at", Code.FIELD_IN_THE_PAST)
        except InvalidField as error:
            self._at.error = self._who.say(error.why)
            return
        self._since = since
        # Of a task that is gone the page is left at its next refresh.
        with contextlib.suppress(TaskNotFound):
            await self.refresh(self._task)

    async def _download(self) -> None:
        with contextlib.suppress(TaskNotFound):
            lines = self._schedules.as_run(self._task.task_id, since=_FIRST, until=await self._page_actions.reads.now())
            text = "".join([line async for line in lines])
            ui.download.content(text, f"as-run-{self._task.task_id[:8]}.csv", "text/csv")

    async def _show_calendar(self) -> None:
        await show_calendar(self._who, self._page_actions, self._task.group)
