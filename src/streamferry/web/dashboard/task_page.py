"""The page of a task: its picture, its numbers, its history, and the actions on it."""

from collections.abc import Callable

from nicegui import ui
from starlette.responses import Response

from streamferry.relay.status import State
from streamferry.tasks.errors import TaskNotFound
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard import not_found, show
from streamferry.web.dashboard.air_view import AirView
from streamferry.web.dashboard.charts import Charts
from streamferry.web.dashboard.destination_list import DestinationList
from streamferry.web.dashboard.frame import Page, Visitor, frame, leave, live, visitor
from streamferry.web.dashboard.history import History
from streamferry.web.dashboard.insert_list import InsertList
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.playlist_view import PlaylistView
from streamferry.web.dashboard.request_view import show_request
from streamferry.web.dashboard.schedule_view import ScheduleView
from streamferry.web.dashboard.session_gate import BASE
from streamferry.web.dashboard.widgets import attempt, card, is_sure, set_chip, state_chip, time_at
from streamferry.web.views import Kind, Status, TaskView

_REFRESH_S = 2.0
#: Actions that need a confirmation, and those that are dangerous.
_ASKED = {"stop": False, "relaunch": False, "delete": True}
_FACTS = ("out", "media_time", "sent", "retries", "lost", "repairs")
_ICONS = {"stop": "stop", "continue": "play_arrow", "relaunch": "restart_alt", "delete": "delete"}


def register(page_actions: PageActions) -> None:
    """Make the page."""

    @Page("/tasks/{task_id}")
    async def one(task_id: str) -> Response | None:
        who = visitor()
        try:
            task = await page_actions.reads.task(task_id)
        except TaskNotFound:
            return not_found.show(who, "task.gone")
        with frame(who, show.title_of(task, who.t), place="/tasks", back=("/tasks", who.t("nav.tasks"))):
            content = _Content(who, page_actions, task)
            await content.build()
            live(who, _REFRESH_S, content.refresh)
        return None


class _Content:
    def __init__(self, who: Visitor, page_actions: PageActions, task: TaskView) -> None:
        self._who, self._page_actions, self._task = who, page_actions, task
        self._facts: dict[str, ui.label] = {}
        self._buttons: dict[str, ui.button] = {}

    async def build(self) -> None:
        """Build the page."""
        t, task = self._who.t, self._task
        with ui.element("div").classes("task-head"):
            self._chip = state_chip(*show.chip_of(task, t))
            ui.label(f"{t(f'kind.{task.kind.value}')} · {task.group}").classes("soft")
            ui.label(task.task_id).classes("soft mono wide-only")
            with ui.element("div").classes("deeds"):
                self._draw_deeds()
        self._texts = {name: ui.label().classes("note") for name in TEXTS}
        with ui.element("div").classes("problem-bar").props("role=status") as self._problem:
            self._problem_words = ui.label().classes("grow")
            with ui.element("div").classes("trouble-since num") as self._in_trouble:
                ui.label(t("trouble.since"))
                self._since = time_at("").props("seconds")
                self._tries = ui.label()
        self._callbacks = ui.label().classes("problem").props("role=status")
        self._found = ui.label().classes("problem").props("role=status")
        with ui.element("div").classes("task-columns"):
            with ui.element("div").classes("stack"):
                with card(t("task.seen")):
                    self._view = ui.element("live-view")
                    self._view.props(f'preview="{self._path("preview")}" thumbnail="{self._path("thumbnail")}"')
                    for name in ("watch", "pause", "off", "ended", "broken", "unable"):
                        self._view.props[f"words-{name}"] = t(f"view.{name}")
                self._draw_facts()
                with card(t("task.hour")):
                    self._charts = Charts(self._who, is_live=task.kind is Kind.LIVE)
            with ui.element("div").classes("stack"):
                with card(t("task.source" if task.kind is Kind.LIVE else "task.list")):
                    self._list = PlaylistView(self._who)
                    self._source_connection = ui.label().classes("soft note connection")
                self._air = AirView(self._who, self._page_actions, task.task_id, self.refresh)
                self._inserts = InsertList(self._who, self._page_actions, self.refresh)
                with card(t("form.destination")):
                    self._destinations = DestinationList(self._who, self._page_actions, self.refresh)
                    self._codecs = ui.label().classes("soft note connection")
                    self._destination_connection = ui.label().classes("soft note connection")
                    self._placement = ui.label().classes("soft note")
                    with ui.element("div").classes("window soft"):
                        self._start, arrow, self._end = time_at(""), ui.label("→"), time_at("")
                        arrow.props("aria-hidden=true")
                        self._recurs = ui.label()
                with card(t("schedule.title")):
                    self._schedule = ScheduleView(self._who, self._page_actions, task)
                with card():
                    self._history = History(self._who, self._page_actions, task.task_id)
        await self._show()

    async def refresh(self) -> None:
        """Read it again, and show what has changed."""
        try:
            self._task = await self._page_actions.reads.task(self._task.task_id)
            await self._show()
        except TaskNotFound:
            leave("/tasks")

    async def _show(self) -> None:
        t, task, run = self._who.t, self._task, self._task.run
        state = show.state_of(task)
        set_chip(self._chip, *show.chip_of(task, t))
        trouble, problem = show.trouble_of(task), show.problem_of(task, t, self._who.say)
        self._problem.set_visibility(problem != "")
        self._problem_words.set_text(problem)
        self._in_trouble.set_visibility(trouble is not None)
        if trouble is not None:
            self._since.props["at"] = trouble.since_at.isoformat()
            self._tries.set_text(t("trouble.tries", tries=trouble.tries) if trouble.tries else "")
        for name, label in self._texts.items():
            label.set_visibility(getattr(task, name) != "")
            label.set_text(getattr(task, name))
        callbacks = show.callback_trouble_of(task, t)
        self._callbacks.set_visibility(callbacks != "")
        self._callbacks.set_text(callbacks)
        found = show.content_of(task, self._who.say)
        self._found.set_visibility(found != "")
        self._found.set_text(found)
        is_seen = state in (State.STREAMING, State.STALLED)
        if self._view.props.get("active") != str(is_seen).lower():
            self._view.props["active"] = str(is_seen).lower()
        facts = {
            "out": show.kbps(run.kbps_out),
            "in": show.kbps(run.kbps_in),
            "media_time": show.span(run.media_time_s),
            "sent": show.size(run.bytes_out),
            "retries": str(run.retries),
            "lost": show.lost(run.lost_s) + (t("fact.packets", count=run.lost_packets) if run.lost_packets else ""),
            "repairs": str(run.repairs),
            "drift": show.drift(run.sound_drift_s),
        }
        for name, label in self._facts.items():
            label.set_text(facts[name])
        self._list.show(task)
        self._air.show(task)
        self._inserts.show(task)
        self._destinations.show(task)
        codecs = show.codecs_of(task, t)
        self._codecs.set_text(codecs)
        self._codecs.set_visibility(codecs != "")
        for label, options in (
            (self._source_connection, task.source_options),
            (self._destination_connection, task.destination_options),
        ):
            label.set_text(show.connection_of(options, t))
            label.set_visibility(bool(options))
        placement = show.placement_of(task, t)
        self._placement.set_text(placement)
        self._placement.set_visibility(placement != "")
        self._start.props["at"] = task.start_at.isoformat()
        self._end.props["at"] = "" if task.end_at == "never" else task.end_at.isoformat()
        self._recurs.set_text(show.recurrence_of(task, t))
        self._allow(task.status)
        samples = self._page_actions.reads.samples(task.task_id).samples
        self._charts.show(samples, is_running=task.status is Status.ACTIVE)
        await self._schedule.refresh(task)
        await self._history.refresh()

    def _draw_facts(self) -> None:
        t = self._who.t
        names = _FACTS if self._task.kind is Kind.VOD else ("in", *_FACTS, "drift")
        # Full rows: six or eight.
        with ui.element("div").classes(f"facts of-{len(names)}"):
            for name in names:
                with ui.element("div").classes("fact"):
                    self._facts[name] = ui.label().classes("fact-value")
                    ui.label(t(f"fact.{name}")).classes("soft")

    def _draw_deeds(self) -> None:
        """Buttons for frequent actions, a menu for the rest."""
        t, task_id = self._who.t, self._task.task_id
        if self._who.session.can_write:
            for name in ("stop", "continue"):
                self._buttons[name] = self._deed(name).props("outline no-caps")
            edit = ui.button(t("do.edit"), icon="edit", on_click=lambda: ui.navigate.to(f"/tasks/{task_id}/edit"))
            edit.props("unelevated no-caps")
        more = ui.button(icon="more_vert", color=None).props(f'flat round aria-label="{t("do.more")}"')
        with more, ui.menu():
            if self._who.session.can_write:
                for name in ("relaunch", "copy", "delete"):
                    ui.menu_item(t(f"do.{name}"), self._chosen(name))
            ui.menu_item(t("do.request"), self._chosen("request"))

    def _deed(self, name: str) -> ui.button:
        return ui.button(self._who.t(f"do.{name}"), icon=_ICONS[name], on_click=lambda: self._do(name))

    def _chosen(self, name: str) -> Callable[[], object]:
        if name == "copy":
            return lambda: ui.navigate.to(f"/tasks/{self._task.task_id}/copy")
        if name == "request":
            return lambda: show_request(self._who, self._task, self._page_actions.sdk_body)
        return lambda: self._do(name)

    def _allow(self, status: Status) -> None:
        """Show only the actions that are possible now."""
        if self._buttons:
            self._buttons["stop"].set_visibility(status in (Status.ACTIVE, Status.NOT_STARTED))
            self._buttons["continue"].set_visibility(status is Status.DISABLED)

    async def _do(self, name: str) -> None:
        t, task_id = self._who.t, self._task.task_id
        if name in _ASKED:
            title, is_on_air = show.title_of(self._task, t), show.is_on_air(self._task)
            if not await is_sure(
                self._who,
                t(f"task.{name}_question", name=title),
                t(f"do.{name}"),
                about=[f"{show.chip_of(self._task, t)[1]} → {self._task.destination}"],
                detail=t(f"task.{name}_detail"),
                dangerous=_ASKED[name],
                typed=title if name == "delete" and is_on_air else "",
            ):
                return
        if not await attempt(
            self._who, lambda: self._page_actions.do(self._who, name, task_id), t(f"task.{name}_done")
        ):
            return
        if name == "delete":
            leave("/tasks")
        else:
            await self.refresh()

    def _path(self, what: str) -> str:
        return f"{BASE}/tasks/{self._task.task_id}/{what}"
