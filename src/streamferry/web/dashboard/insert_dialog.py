"""The dialog that asks which file is to be inserted, and when. Stays open until the file is taken, or it is closed."""

from datetime import datetime
from functools import partial

from nicegui import ui

from streamferry.reasons import Reason
from streamferry.tasks.errors import ActionError
from streamferry.web.dashboard.file_choice import choose_file
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.insert_values import InsertValues, When
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import answer_to, named_dialog
from streamferry.web.views import Kind, TaskView


class InsertDialog:
    """Made for one question."""

    def __init__(self, who: Visitor, page_actions: PageActions, task: TaskView) -> None:
        self._who, self._page_actions, self._task = who, page_actions, task
        self._values = InsertValues(who.preferences.zone)
        self._fields = Fields(who.say, self._find_problems)

    async def ask(self) -> bool:
        """Open it. Returns whether a file was taken."""
        t, values, fields = self._who.t, self._values, self._fields
        with named_dialog(t("insert.add")) as self._dialog, ui.card().classes("dialog"):
            ui.label(t("insert.add")).classes("dialog-title")
            ui.label(t("insert.add_detail")).classes("soft")
            self._url = fields.text("file.url", t("form.file_address"), "", partial(setattr, values.source, "url"))
            self._url.classes("code").props("spellcheck=false autocapitalize=off autofocus")
            choose = ui.button(t("form.library"), icon="video_library", on_click=self._choose_file, color=None)
            choose.props("flat dense no-caps").classes("start")
            with ui.element("div").classes("offsets"):
                for name, label in (("start", "form.from"), ("end", "form.to")):
                    made = fields.text(f"file.{name}_s", t(label), "", partial(setattr, values.source, name))
                    made.props('placeholder="0:00"')
            choices = {one: t(f"when.{one.value}") for one in When if self._can_be(one)}
            when = ui.select(choices, value=values.when, label=t("insert.when"))
            when.props("outlined dense options-dense hide-bottom-space").classes("field")
            fields.add("when", when, t("insert.when"))
            at = fields.text("at", t("insert.at"), "", partial(setattr, values, "at"))
            hint = t("insert.at_hint", zone=str(values.zone))
            at.props(f'type=datetime-local stack-label hint="{hint}"')
            at.bind_visibility_from(when, "value", value=When.AT_TIME)
            when.on_value_change(lambda event: setattr(values, "when", event.value))
            self._trouble = ui.label().classes("problem").props("role=alert")
            with ui.row().classes("dialog-buttons"):
                ui.button(t("cancel"), on_click=lambda: self._dialog.submit(False)).props("flat no-caps")
                self._yes = ui.button(t("insert.add_it"), on_click=self._submit).props("unelevated no-caps")
        return bool(await answer_to(self._dialog))

    def _can_be(self, when: When) -> bool:
        return when is not When.AFTER_ITEM or self._task.kind is Kind.VOD

    def _find_problems(self) -> dict[str, Reason]:
        return self._values.find_problems(self._page_actions.probing.rules)

    async def _choose_file(self) -> None:
        url = await choose_file(self._who, self._page_actions)
        if url:
            self._url.set_value(url)

    async def _submit(self) -> None:
        self._trouble.set_text("")
        if not self._fields.judge_all():
            return
        values = self._values
        at: datetime | None = values.read_at()
        is_after = values.when is When.AFTER_ITEM
        # A second click would play it twice.
        self._yes.disable()
        try:
            await self._page_actions.insert(self._who, self._task.task_id, values.draft(), at, after_item=is_after)
        except ActionError as error:
            rest = self._fields.refuse(values.place_of(error.field or ""), error.why)
            self._trouble.set_text(rest or "")
            self._yes.enable()
        else:
            ui.notify(self._who.t("insert.added"), type="positive")
            self._dialog.submit(True)
