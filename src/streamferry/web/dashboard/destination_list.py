"""The destinations of a task on its page: how each is doing, its switch, and how one is added and taken away."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from streamferry.relay.spec import MAX_DESTINATIONS
from streamferry.tasks.destinations import DestinationDraft, DestinationEdit, ServerAndKey
from streamferry.tasks.draft import TaskDraft
from streamferry.web.dashboard import show
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import (
    answer_to,
    attempt,
    icon_button,
    is_sure,
    named_dialog,
    set_chip,
    state_chip,
)
from streamferry.web.views import DestinationView, Kind, Status, TaskView


class DestinationList:
    """Made once per page; the lines are drawn again only when the destinations themselves have changed."""

    def __init__(self, who: Visitor, page_actions: PageActions, refresh: Callable[[], Awaitable[None]]) -> None:
        self._who, self._page_actions, self._refresh = who, page_actions, refresh
        self._task: TaskView | None = None
        self._drawn: list[object] = []
        self._lines = ui.column().classes("lines").props("role=list")
        self._lines.props["aria-label"] = who.t("destinations.all")
        self._places: list[tuple[ui.label, ui.label, ui.label]] = []
        self._add = ui.button(who.t("destinations.add"), icon="add", on_click=self._ask_for_one, color=None)
        self._add.props("flat no-caps").classes("start")

    def show(self, task: TaskView) -> None:
        """Show how each is doing now."""
        self._task = task
        drawn: list[object] = [(one.id, one.to, one.name, one.enabled, one.backup_of) for one in task.destinations]
        if drawn != self._drawn:
            self._draw(task)
            self._drawn = drawn
        is_alone = len(task.destinations) == 1
        for one, (chip, numbers, problem) in zip(task.destinations, self._places, strict=True):
            words = ""
            chip.set_visibility(not is_alone)
            if not one.enabled:
                set_chip(chip, "stopped", self._who.t("destinations.off"))
            elif one.run is not None and task.status is Status.ACTIVE:
                set_chip(chip, one.run.state.value, self._who.t(f"state.{one.run.state.value}"))
                lost = one.run.dropped_tags
                parts = [show.kbps(one.run.kbps_out), self._who.t("destinations.retries", count=one.run.retries)]
                words = " · ".join([*parts, *([self._who.t("destinations.dropped", count=lost)] if lost else [])])
            else:
                set_chip(chip, *show.chip_of(task, self._who.t))
            numbers.set_text(words)
            numbers.set_visibility(words != "")
            why = show.destination_problem_of(one, self._who.say)
            problem.set_text(why)
            problem.set_visibility(why != "")
        can_add = self._who.session.can_write and task.kind is Kind.LIVE
        self._add.set_visibility(can_add and len(task.destinations) < MAX_DESTINATIONS)

    def _draw(self, task: TaskView) -> None:
        self._places.clear()
        self._lines.clear()
        is_alone = len(task.destinations) == 1
        with self._lines:
            for one in task.destinations:
                with ui.element("div").classes("line item-line").props("role=listitem"):
                    with ui.element("div").classes("grow"):
                        with ui.element("div").classes("destination-head"):
                            chip = state_chip("waiting", "")
                            if one.name:
                                ui.label(one.name).classes("item-name")
                            if one.backup_of is not None:
                                ui.label(self._who.t("destinations.backup", name=self._name_of(task, one.backup_of)))
                        ui.label(one.to).classes("mono wrap")
                        numbers = ui.label().classes("soft num")
                        problem = ui.label().classes("problem")
                    if self._who.session.can_write and not is_alone:
                        self._draw_deeds(task, one)
                self._places.append((chip, numbers, problem))

    def _draw_deeds(self, task: TaskView, one: DestinationView) -> None:
        t, number = self._who.t, one.id
        name = self._name_of(task, number)
        switch = ui.switch(value=one.enabled, on_change=lambda event: self._switch(number, event.value))
        switch.props["aria-label"] = t("destinations.switch", name=name)
        icon_button("delete", t("destinations.remove", name=name), lambda: self._remove(number, name))

    @staticmethod
    def _name_of(task: TaskView, number: int) -> str:
        return next((one.name for one in task.destinations if one.id == number and one.name), str(number))

    async def _switch(self, number: int, enabled: bool) -> None:
        done = self._who.t("destinations.is_on" if enabled else "destinations.is_off")
        if not await self._change(DestinationEdit(number, DestinationDraft(number, enabled=enabled)), done):
            # The switch goes back.
            self._drawn = []
        await self._refresh()

    async def _remove(self, number: int, name: str) -> None:
        t = self._who.t
        question = t("destinations.remove_question", name=name)
        detail = t("destinations.remove_detail")
        if await is_sure(self._who, question, t("destinations.remove_it"), detail=detail, dangerous=True):
            await self._change(DestinationEdit(number), t("destinations.removed"))
            await self._refresh()

    async def _ask_for_one(self) -> None:
        t = self._who.t
        with named_dialog(t("destinations.add")) as dialog, ui.card().classes("dialog"):
            ui.label(t("destinations.add")).classes("dialog-title")
            ui.label(t("destinations.add_detail")).classes("soft")
            name = ui.input(t("destinations.name")).props("outlined dense maxlength=50").classes("field")
            server = ui.input(t("destinations.server")).props("outlined dense spellcheck=false autocapitalize=off")
            server.classes("field code").props('placeholder="rtmps://host/app"')
            key = ui.input(t("form.key"), password=True, password_toggle_button=True).classes("field code")
            # Not a password of this site: browsers would offer to keep it.
            key.props("outlined dense spellcheck=false autocapitalize=off autocomplete=new-password")
            with ui.row().classes("dialog-buttons"):
                ui.button(t("cancel"), on_click=lambda: dialog.submit(False)).props("flat no-caps")
                ui.button(t("destinations.add_it"), on_click=lambda: dialog.submit(True)).props("unelevated no-caps")
        if not await answer_to(dialog):
            return
        typed = (server.value or "").strip()
        to = ServerAndKey(typed, key.value) if key.value else typed
        draft = DestinationDraft(to=to, name=name.value or None)
        await self._change(DestinationEdit(None, draft), t("destinations.added"))
        await self._refresh()

    async def _change(self, edit: DestinationEdit, done: str) -> bool:
        task = self._task
        assert task is not None
        draft = TaskDraft(destination_edit=edit)
        return await attempt(
            self._who, lambda: self._page_actions.update(self._who, task.task_id, draft, task.version), done
        )
