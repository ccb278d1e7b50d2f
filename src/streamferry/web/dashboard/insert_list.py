"""Files that are played once over what is on air of a task: which wait, and how one is added, taken back or ended."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from nicegui import ui

from streamferry.relay.status import Shown
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.insert_dialog import InsertDialog
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.show import is_on_air, name_and_place, part
from streamferry.web.dashboard.widgets import attempt, card, icon_button, time_at
from streamferry.web.views import InsertView, Kind, Status, TaskView

#: A second click within this time is not another order to skip.
_ONE_CLICK_S = 1.0


class InsertList:
    """Made once per page."""

    def __init__(self, who: Visitor, page_actions: PageActions, refresh: Callable[[], Awaitable[None]]) -> None:
        self._who, self._page_actions, self._refresh = who, page_actions, refresh
        self._task: TaskView | None = None
        self._drawn: list[object] | None = None
        t = who.t
        with ui.element("div"), card(t("insert.title")):
            self._plays = ui.label(t("air.insert")).classes("chip s-streaming start")
            self._none = ui.label(t("insert.none")).classes("soft")
            self._lines = ui.column().classes("lines").props("role=list")
            self._lines.props["aria-label"] = t("insert.waiting")
            self._deeds = ui.element("div").classes("toolbar")
            self._skip: ui.button | None = None
            if who.session.can_write:
                self._skip = self._draw_deeds()

    def show(self, task: TaskView) -> None:
        """Show what waits now."""
        self._task = task
        on_air = task.run.on_air
        plays_insert = is_on_air(task) and on_air is not None and on_air.shown is Shown.INSERT
        self._plays.set_visibility(plays_insert)
        self._none.set_visibility(not task.inserts and not plays_insert)
        now = datetime.now(UTC)
        drawn: list[object] = [(one, _is_due(one, now)) for one in task.inserts]
        if drawn != self._drawn:
            self._drawn = drawn
            self._draw(task, now)
        self._deeds.set_visibility(self._skip is not None and task.status is not Status.ENDED)
        if self._skip is not None:
            self._skip.set_visibility(is_on_air(task) and (plays_insert or _plays_list(task)))
            self._skip.set_text(self._who.t("insert.end" if plays_insert else "insert.skip"))

    def _draw_deeds(self) -> ui.button:
        """Those of visitors who may write; returns the one that skips."""
        with self._deeds:
            add = ui.button(self._who.t("insert.add"), icon="add", on_click=self._ask_for_one, color=None)
            skip = ui.button(icon="skip_next", color=None)
        skip.on("click", self._skip_item, throttle=_ONE_CLICK_S, trailing_events=False)
        for button in (add, skip):
            button.props("flat dense no-caps")
        return skip

    def _draw(self, task: TaskView, now: datetime) -> None:
        t = self._who.t
        self._lines.clear()
        with self._lines:
            for one in task.inserts:
                name, where = name_and_place(one.url)
                with ui.element("div").classes("line item-line").props("role=listitem"):
                    with ui.element("div").classes("grow"):
                        ui.label(name).classes("item-name wrap")
                        ui.label(where).classes("soft mono wrap")
                        if piece := part(one.start_s, one.end_s):
                            ui.label(piece).classes("soft num")
                        if one.at is None or _is_due(one, now):
                            ui.label(t("when.after_item" if one.at is None else "insert.due")).classes("soft")
                        else:
                            time_at(one.at.isoformat()).props("seconds").classes("soft num")
                    if self._who.session.can_write:
                        cancel = partial(self._cancel, one.number)
                        icon_button("close", t("insert.cancel", name=name), cancel)

    async def _ask_for_one(self) -> None:
        assert self._task is not None
        if await InsertDialog(self._who, self._page_actions, self._task).ask():
            await self._refresh()

    async def _cancel(self, number: int) -> None:
        await self._do(lambda task_id: self._page_actions.cancel_insert(self._who, task_id, number), "insert.canceled")

    async def _skip_item(self) -> None:
        await self._do(lambda task_id: self._page_actions.skip(self._who, task_id), "insert.skipped")

    async def _do(self, act: Callable[[str], Awaitable[None]], done: str) -> None:
        assert self._task is not None
        task_id = self._task.task_id
        await attempt(self._who, lambda: act(task_id), self._who.t(done))
        await self._refresh()


def _is_due(one: InsertView, now: datetime) -> bool:
    """Whether its time has come: then it waits for its file to be ready, or for another one to end."""
    return one.at is not None and one.at <= now


def _plays_list(task: TaskView) -> bool:
    """Whether what is on air is a list."""
    on_air = task.run.on_air
    if on_air is None or on_air.input == 0:
        return task.kind is Kind.VOD
    number = on_air.input
    return number is not None and number <= len(task.inputs) and task.inputs[number - 1].kind is Kind.VOD
