"""When a task runs and what it plays next, on its page; and what it has played, as a file."""

from datetime import UTC, datetime

from nicegui import ui

from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.show import name_and_place
from streamferry.web.dashboard.widgets import time_at
from streamferry.web.schedules import Schedules
from streamferry.web.views import Kind, TaskView

#: How many windows and how many items are shown.
_SHOWN = 5
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleView:
    """Drawn where it is made."""

    def __init__(self, who: Visitor, schedules: Schedules, task: TaskView) -> None:
        self._t, self._schedules, self._task_id = who.t, schedules, task.task_id
        self._drawn: object = None
        with ui.element("div").classes("stack"):
            self._rows = ui.element("div").classes("stack").props("role=list")
            played = ui.button(self._t("schedule.played"), icon="download", on_click=self._download, color=None)
            played.props("flat no-caps dense").classes("self-start")

    async def refresh(self, task: TaskView) -> None:
        """Show the windows of a series and the next items of a list; nothing is drawn again that has not changed."""
        windows = (await self._schedules.windows(self._task_id, limit=_SHOWN)).upcoming if task.series else []
        is_list = task.kind is Kind.VOD
        items = (await self._schedules.guide(self._task_id, since=None, limit=_SHOWN)).entries if is_list else []
        # The times of a list that plays move by milliseconds.
        drawn = ([*windows], [(one.loop, one.item, round(one.start_at.timestamp(), -1)) for one in items])
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._rows.clear()
        with self._rows:
            if windows:
                ui.label(self._t("schedule.windows")).classes("soft")
            for window in windows:
                self._row(window.start_at, window.end_at, "")
            if items:
                ui.label(self._t("schedule.next")).classes("soft")
            for item in items:
                self._row(item.start_at, item.end_at, name_and_place(item.source)[0])

    def _row(self, start_at: datetime, end_at: datetime | None, what: str) -> None:
        with ui.element("div").classes("window").props("role=listitem"):
            time_at(start_at.isoformat()).classes("num")
            ui.label("→").props("aria-hidden=true")
            if end_at is None:
                ui.label(self._t("schedule.unknown")).classes("soft")
            else:
                time_at(end_at.isoformat()).classes("num")
            ui.label(what).classes("mono wrap")

    async def _download(self) -> None:
        lines = self._schedules.as_run(self._task_id, since=_FIRST, until=datetime.now(UTC))
        text = "".join([line async for line in lines])
        ui.download.content(text, f"as-run-{self._task_id[:8]}.csv", "text/csv")
