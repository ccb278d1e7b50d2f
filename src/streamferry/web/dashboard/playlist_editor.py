"""The list of addresses in the form: typed, dragged into order, inspected, or taken from the library."""

from functools import partial

from nicegui import events, ui

from streamferry.media.url import REDACTED
from streamferry.reasons import Reason
from streamferry.relay.spec import MAX_ITEMS
from streamferry.tasks.errors import ActionError, NoProber
from streamferry.web.dashboard import show
from streamferry.web.dashboard.file_choice import choose_file
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.form_values import FormValues, SourceValues
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import icon_button
from streamferry.web.operation_views import ProbeView
from streamferry.web.views import Kind


class PlaylistEditor:
    """One address for a live task, up to 30 for a list."""

    def __init__(self, who: Visitor, page_actions: PageActions, values: FormValues, fields: Fields) -> None:
        self._who, self._page_actions, self._values, self._fields = who, page_actions, values, fields
        self._list = ui.column().classes("playlist")
        self._list.make_sortable(handle=".grip", on_end=self._reorder)
        self._buttons = ui.element("div").classes("toolbar")
        self.draw()

    def draw(self) -> None:
        """Draw the list again, after a change of kind, order or length."""
        t, is_list = self._who.t, self._values.kind is Kind.VOD
        self._fields.forget("sources")
        self._list.clear()
        with self._list:
            for index, one in enumerate(self._values.sources if is_list else self._values.sources[:1]):
                self._draw_item(index, one, is_list)
        self._buttons.clear()
        with self._buttons:
            if is_list and len(self._values.sources) < MAX_ITEMS:
                more = (("form.add_address", "add", self._add), ("form.library", "video_library", self._choose_file))
                for words, icon, act in more:
                    button = ui.button(t(words), icon=icon, on_click=act, color=None)
                    button.props("flat dense no-caps")
        self._fields.changed()

    def _draw_item(self, index: int, one: SourceValues, is_list: bool) -> None:
        t, fields, name = self._who.t, self._fields, f"sources[{index}]"
        with ui.element("div").classes("item") as line:
            if is_list:
                # Alt and an arrow: the focused element is drawn again, so the page is told where it moved.
                line.on("keydown.alt.up.prevent", lambda: self._move(index, -1))
                line.on("keydown.alt.down.prevent", lambda: self._move(index, 1))
                with ui.element("div").classes("order"):
                    ui.icon("drag_indicator").classes("grip").tooltip(t("form.drag"))
                    last = len(self._values.sources) - 1
                    for icon, words, step, can in (
                        ("keyboard_arrow_up", "form.up", -1, index > 0),
                        ("keyboard_arrow_down", "form.down", 1, index < last),
                    ):
                        if last:
                            move = icon_button(icon, f"{t(words)}: {index + 1}", partial(self._move, index, step))
                            move.props("size=sm").set_enabled(can)
            with ui.element("div").classes("grow item-fields"):
                label = t("form.file_address" if is_list else "form.live_address")
                url = fields.text(f"{name}.url", label, one.url, lambda text: setattr(one, "url", text))
                url.classes("code").props("spellcheck=false autocapitalize=off")
                if is_list:
                    with ui.element("div").classes("offsets"):
                        start, end = t("form.from"), t("form.to")
                        fields.text(f"{name}.start_s", start, one.start, lambda text: setattr(one, "start", text))
                        fields.text(f"{name}.end_s", end, one.end, lambda text: setattr(one, "end", text))
                        ui.space()
                        look = ui.button(t("form.probe"), icon="troubleshoot", color=None).props("flat dense no-caps")
                    found = ui.element("div").classes("probe")
                    found.set_visibility(False)
                    look.on_click(lambda: self._probe(one, look, found))
                    # It is about the previous address.
                    url.on_value_change(lambda: found.set_visibility(False))
            if is_list and len(self._values.sources) > 1:
                icon_button("close", f"{t('form.remove')}: {index + 1}", lambda: self._remove(one))

    def _add(self) -> None:
        if self._values.sources[-1].url or len(self._values.sources) == 1:
            self._values.sources.append(SourceValues())
            self.draw()

    async def _choose_file(self) -> None:
        """Take a file from the library, into the last line if that is still empty."""
        url = await choose_file(self._who, self._page_actions)
        if url:
            if self._values.sources[-1].url:
                self._values.sources.append(SourceValues())
            self._values.sources[-1].url = url
            self.draw()

    def _remove(self, one: SourceValues) -> None:
        self._values.sources = [other for other in self._values.sources if other is not one]
        self.draw()

    def _move(self, index: int, step: int) -> None:
        """Move one line up or down, with the focus."""
        sources, other = self._values.sources, index + step
        if 0 <= other < len(sources):
            sources[index], sources[other] = sources[other], sources[index]
            self.draw()
            ui.run_javascript(f"dashboard.focusItem(getHtmlElement({self._list.id}), {other})")

    def _reorder(self, event: events.SortableEventArguments) -> None:
        sources = self._values.sources
        sources.insert(event.new_index, sources.pop(event.old_index))
        self.draw()

    async def _probe(self, one: SourceValues, button: ui.button, found: ui.element) -> None:
        t = self._who.t
        found.clear()
        found.set_visibility(True)
        with found:
            if REDACTED in one.url:
                ui.label(t("form.probe_secret")).classes("soft")
                return
            ui.spinner(size="18px")
        button.disable()
        told: ProbeView | str
        try:
            told = await self._page_actions.probe(self._who, one.address)
        except NoProber:
            told = self._who.t("form.no_probe")
        except ActionError as error:
            told = self._who.say(error.why)
        # The list was drawn again meanwhile.
        if found.is_deleted:
            return
        button.enable()
        found.clear()
        with found:
            if isinstance(told, str):
                ui.label(told).classes("problem")
            else:
                self._tell(told)

    def _tell(self, seen: ProbeView) -> None:
        t, words = self._who.t, []
        if seen.video is not None:
            words.append(f"{seen.video.codec} {seen.video.width}×{seen.video.height}, {seen.video.frame_rate:g} fps")
        if seen.audio is not None:
            words.append(f"{seen.audio.codec} {seen.audio.rate_hz} Hz × {seen.audio.channels}")
        words += [show.span(seen.seconds), show.kbps(seen.kbps)]
        ui.label(" · ".join(words)).classes("num")
        ui.label(t("form.encoded" if seen.encodes else "form.copied")).classes("soft")
        for told in seen.warning_reasons:
            with ui.element("div").classes("warning"):
                ui.icon("warning_amber")
                ui.label(self._who.say(Reason.from_json(told)))
