"""The form: a new task, a copy of one, or a change of one. Shows only the fields that apply to what was chosen."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from nicegui import ui
from starlette.responses import Response

from streamferry.media.picture import inspect_picture
from streamferry.reasons import Code, Reason
from streamferry.relay.spec import Codecs, Latency
from streamferry.tasks.errors import ActionError, TaskNotFound
from streamferry.tasks.placement import LOWEST_PRIORITY
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard import not_found
from streamferry.web.dashboard.air_editor import AirEditor
from streamferry.web.dashboard.connection_editor import ConnectionEditor
from streamferry.web.dashboard.connection_values import ConnectionValues
from streamferry.web.dashboard.destination_editor import DestinationEditor
from streamferry.web.dashboard.destination_values import shown_field
from streamferry.web.dashboard.destinations_editor import DestinationsEditor
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.form_values import FormValues, typed_address
from streamferry.web.dashboard.frame import Page, Visitor, frame, visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.playlist_editor import PlaylistEditor
from streamferry.web.dashboard.show import title_of
from streamferry.web.dashboard.watch_editor import WatchEditor
from streamferry.web.dashboard.watermark_editor import MarkEditor
from streamferry.web.dashboard.widgets import card, empty
from streamferry.web.dashboard.window_editor import WindowEditor
from streamferry.web.views import Kind, Strategy, TaskView

_GROUPS = 500
#: A form is kept through a tunnel and a change of networks: made anew it would be empty. It takes 1.3 MiB.
_KEPT_S = 120.0


def register(page_actions: PageActions) -> None:
    """Make the pages."""

    @Page("/new", kept_s=_KEPT_S)
    async def new(file: str = "") -> None:
        who = visitor()
        values = FormValues.new(who.preferences.zone, await page_actions.reads.now())
        values.sources[0].url = typed_address(file[:1000])
        await _show(who, page_actions, values, who.t("form.new"), ("/tasks", who.t("nav.tasks")))

    @Page("/tasks/{task_id}/copy", kept_s=_KEPT_S)
    async def copy(task_id: str) -> Response | None:
        who = visitor()
        try:
            task = await page_actions.reads.task(task_id)
        except TaskNotFound:
            return not_found.show(who, "task.gone")
        pictures = await _pictures(page_actions, task)
        values = FormValues.copy(task, who.preferences.zone, await page_actions.reads.now(), *pictures)
        back = (f"/tasks/{task_id}", title_of(task, who.t))
        await _show(who, page_actions, values, who.t("form.copy"), back)
        return None

    @Page("/tasks/{task_id}/edit", kept_s=_KEPT_S)
    async def edit(task_id: str) -> Response | None:
        who = visitor()
        try:
            task = await page_actions.reads.task(task_id)
        except TaskNotFound:
            return not_found.show(who, "task.gone")
        values = FormValues.of(task, who.preferences.zone)
        pictures = await _pictures(page_actions, task)
        back = (f"/tasks/{task_id}", title_of(task, who.t))
        await _show(who, page_actions, values, who.t("form.edit"), back, pictures)
        return None


async def _pictures(page_actions: PageActions, task: TaskView) -> tuple[str, str]:
    """Of its watermark and of its slate, as data URLs; empty for none."""
    mark = await page_actions.reads.watermark(task.task_id)
    slate = await page_actions.reads.slate_picture(task.task_id)
    return _data_url(mark.picture) if mark else "", _data_url(slate) if slate else ""


def _data_url(picture: bytes) -> str:
    return f"data:{inspect_picture(picture).media_type};base64,{base64.b64encode(picture).decode()}"


async def _show(
    who: Visitor,
    page_actions: PageActions,
    values: FormValues,
    title: str,
    back: tuple[str, str],
    pictures: tuple[str, str] = ("", ""),
) -> None:
    with frame(who, title, place="/tasks", back=back):
        if not who.session.can_write:
            empty("lock", who.say(Reason.of(Code.ACTION_READ_ONLY)))
            return
        groups = [one.name for one in (await page_actions.reads.groups(size=_GROUPS)).groups]
        ahead = await page_actions.reads.now() - datetime.now(UTC)
        _Form(who, page_actions, values, groups, pictures, back[0], ahead)


class _Form:
    """``ahead``: how far the store's clock, by which tasks begin, is ahead of this machine's."""

    def __init__(
        self,
        who: Visitor,
        page_actions: PageActions,
        values: FormValues,
        groups: list[str],
        pictures: tuple[str, str],
        leave_to: str,
        ahead: timedelta,
    ) -> None:
        self._ahead = ahead
        self._who, self._page_actions, self._values, self._groups = who, page_actions, values, groups
        self._leave_to = leave_to
        self._fields = Fields(who.say, self._find_problems)
        self._vod_only: list[ui.element] = []
        t = who.t
        with ui.column().classes("form"):
            with card(t("form.source")):
                self._draw_kind()
                self._playlist = PlaylistEditor(who, page_actions, values, self._fields)
                with ui.element("div").classes("vod-only") as part:
                    self._draw_playing()
                self._vod_only.append(part)
                self._latency = self._draw_latency()
                self._draw_connection("source_options", values.source_connection)
                AirEditor(who, values.air, self._fields, pictures[1])
                WatchEditor(who, values.watch, self._fields)
            with card(t("form.destination")):
                DestinationEditor(who, "destination", values, self._fields)
                self._draw_codecs()
                self._draw_connection("destination_options", values.destination_connection)
                DestinationsEditor(who, values.destinations, self._fields)
            with card(t("form.window")):
                WindowEditor(self._who.t, self._fields, values.window, self._now)
            with card(t("form.about")):
                self._draw_about()
            with card(t("form.mark")):
                MarkEditor(who, values, pictures[0])
            self._trouble = ui.label().classes("problem")
            with ui.element("div").classes("form-foot"):
                ui.button(t("cancel"), on_click=self._leave, color=None).props("flat no-caps")
                words = t("form.save") if values.seen else t("form.create")
                ui.button(words, on_click=self._submit).props("unelevated no-caps")
        self._apply_kind()

    def _draw_connection(self, end: str, one: ConnectionValues) -> None:
        ConnectionEditor(self._who, end, one, self._fields, lambda: self._values.usable_options[end])

    def _draw_kind(self) -> None:
        t = self._who.t
        choices = {Kind.VOD: t("form.kind_vod"), Kind.LIVE: t("form.kind_live")}
        kind = ui.toggle(choices, value=self._values.kind, on_change=lambda event: self._choose_kind(event.value))
        kind.props("no-caps unelevated dense spread toggle-color=primary").classes("kind")

    def _choose_kind(self, kind: Kind) -> None:
        self._values.kind = kind
        self._playlist.draw()
        self._apply_kind()

    def _apply_kind(self) -> None:
        for one in self._vod_only:
            one.set_visibility(self._values.kind is Kind.VOD)
        self._latency.set_visibility(self._values.kind is Kind.LIVE)
        self._fields.changed()

    def _draw_latency(self) -> ui.select:
        t, values = self._who.t, self._values
        choices = {one: t(f"latency.{one.value}") for one in Latency}
        latency = ui.select(choices, value=values.latency, label=t("form.latency"))
        latency.props("outlined dense options-dense").classes("field")
        latency.on_value_change(lambda event: setattr(values, "latency", event.value))
        return latency

    def _draw_codecs(self) -> None:
        t, values = self._who.t, self._values
        choices = {one: t(f"codecs.{one.value}") for one in Codecs}
        codecs = ui.select(choices, value=values.codecs, label=t("form.codecs"))
        codecs.props("outlined dense options-dense").classes("field")
        codecs.on_value_change(lambda event: setattr(values, "codecs", event.value))

    def _draw_playing(self) -> None:
        t, values = self._who.t, self._values
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                endless = ui.switch(t("form.endless"), value=values.is_endless)
                loops = self._fields.number("loops", t("form.loops"), values.loops, self._set("loops"))
                loops.bind_visibility_from(endless, "value", value=False)
                endless.on_value_change(lambda event: setattr(values, "is_endless", event.value))
            with ui.element("div").classes("stack"):
                keep = ui.switch(t("form.keep"), value=values.pre_download)
                keep.on_value_change(lambda event: setattr(values, "pre_download", event.value))
        choices = {one: t(f"strategy.{one.value}") for one in Strategy}
        strategy = ui.select(choices, value=values.strategy, label=t("form.strategy"))
        strategy.props("outlined dense options-dense").classes("field")
        strategy.on_value_change(lambda event: setattr(values, "strategy", event.value))

    def _draw_about(self) -> None:
        t, values = self._who.t, self._values
        with ui.element("div").classes("pair"):
            self._text("title", "form.title", values.title).props(f'maxlength=20 hint="{t("form.title_hint")}"')
            group = ui.select(self._groups, value=values.group if values.group in self._groups else None)
            group.props(f'outlined dense options-dense label="{t("form.group")}"').classes("field")
            group.on_value_change(lambda event: setattr(values, "group", event.value)).set_enabled(values.seen is None)
        with ui.element("div").classes("pair"):
            where = self._text("placement", "form.placement", values.placement)
            where.props(f'spellcheck=false autocapitalize=off hint="{t("form.placement_hint")}"')
            write = self._set("priority")
            first = self._fields.number("priority", t("form.priority"), values.priority, write, least=LOWEST_PRIORITY)
            first.props(f'hint="{t("form.priority_hint")}"')
        callback = self._text("callback_url", "form.callback", values.callback_url)
        callback.classes("code").props('spellcheck=false autocapitalize=off placeholder="https://"')
        for name, rule in TEXTS.items():
            write = partial(values.texts.__setitem__, name)
            made = self._fields.text(name, t(f"form.{name}"), values.texts[name], write)
            made.props(f"type=textarea autogrow maxlength={rule.max_chars}")

    def _text(self, name: str, label: str, value: str, attribute: str = "") -> ui.input:
        return self._fields.text(name, self._who.t(label), value, self._set(attribute or name))

    def _set(self, attribute: str) -> Callable[[object], None]:
        return lambda value: setattr(self._values, attribute, value)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _find_problems(self) -> dict[str, Reason]:
        return self._values.find_problems(self._page_actions.probing.rules, self._now())

    async def _submit(self) -> None:
        self._trouble.set_text("")
        if not self._fields.judge_all():
            return
        now = self._now()
        seen = self._values.seen
        try:
            if seen is None:
                task_id = await self._page_actions.create(self._who, self._values.new_task(now))
            else:
                task_id = seen.task_id
                await self._page_actions.update(self._who, task_id, self._values.changes(now), seen.version)
        except ActionError as error:
            rest = self._fields.refuse(shown_field(error.field or ""), error.why)
            self._trouble.set_text(rest or "")
        else:
            ui.navigate.to(f"/tasks/{task_id}")

    def _leave(self) -> None:
        ui.navigate.to(f"{self._leave_to}")
