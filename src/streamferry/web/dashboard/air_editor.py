"""What is shown when the source cannot be, in the form: folded, since most tasks have one source."""

from functools import partial

from nicegui import ui

from streamferry.relay.spec import MAX_INPUTS, MAX_ITEMS
from streamferry.web.dashboard.air_values import AirValues, InputValues
from streamferry.web.dashboard.connection_editor import ConnectionEditor
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.slate_editor import SlateEditor
from streamferry.web.dashboard.source_values import SourceValues
from streamferry.web.dashboard.widgets import icon_button
from streamferry.web.views import Kind

# Offered besides the form of the first input: what platforms ask for.
_SIZES = ("1280x720", "1920x1080", "720x1280", "1080x1920")


class AirEditor:
    """Drawn where it is made; the inputs again when one is added or removed. ``picture``: the slate's, a data URL."""

    def __init__(self, who: Visitor, values: AirValues, fields: Fields, picture: str) -> None:
        self._who, self._values, self._fields = who, values, fields
        t = who.t
        self._fold = ui.expansion(t("form.air"), caption=t("form.air_hint"), value=values.is_set).classes("fold")
        with self._fold:
            self._list = ui.element("div").classes("stack")
            self._more = ui.button(t("form.add_input"), icon="add", on_click=self._add, color=None)
            self._more.props("flat dense no-caps").classes("start")
            SlateEditor(who, values.slate, fields, picture)
            self._draw_rules()
        for part in ("slate", "switching"):
            fields.fold(part, self._fold)
        self._draw_inputs()

    def _draw_rules(self) -> None:
        t, values = self._who.t, self._values
        with ui.element("div").classes("pair"):
            for name in ("switch_after_s", "return_after_s"):
                write = partial(setattr, values, name)
                made = self._fields.number(
                    f"switching.{name}", t(f"form.{name}"), getattr(values, name), write, least=0
                )
                made.props["hint"] = t(f"form.{name}_hint")
        choices = {True: t("returns.auto"), False: t("returns.manual")}
        returns = ui.select(choices, value=values.returns, label=t("form.returns"))
        returns.props("outlined dense options-dense").classes("field")
        returns.on_value_change(lambda event: setattr(values, "returns", event.value))
        forms = {"copy": t("normalize.copy"), "first": t("normalize.first"), **{size: size for size in _SIZES}}
        forms.setdefault(values.normalize, values.normalize)
        normalize = ui.select(forms, value=values.normalize, label=t("form.normalize"))
        normalize.props("outlined dense options-dense").classes("field")
        normalize.props["hint"] = t("form.normalize_hint")
        normalize.on_value_change(lambda event: setattr(values, "normalize", event.value))

    def _draw_inputs(self) -> None:
        fields, inputs = self._fields, self._values.inputs
        fields.forget("inputs")
        fields.fold("inputs", self._fold)
        self._list.clear()
        with self._list:
            fields.problem_line("inputs", self._who.t("form.air"))
            for index, one in enumerate(inputs):
                self._draw_input(index, one)
        # The source is one of them.
        self._more.set_visibility(len(inputs) + 1 < MAX_INPUTS)
        fields.changed()

    def _draw_input(self, index: int, one: InputValues) -> None:
        t, name = self._who.t, f"inputs[{index}]"
        title = t("air.input", number=index + 1)
        with ui.element("div").classes("part").props("role=group") as group:
            group.props["aria-label"] = title
            with ui.element("div").classes("grow item-fields"):
                with ui.element("div").classes("item-title"):
                    ui.label(title).classes("item-name")
                    if one.kind is Kind.LIVE:
                        warm = ui.switch(t("form.warm"), value=one.warm)
                        warm.on_value_change(lambda event: setattr(one, "warm", event.value))
                choices = {Kind.LIVE: t("form.kind_live"), Kind.VOD: t("form.kind_vod")}
                kind = ui.toggle(choices, value=one.kind, on_change=lambda event: self._choose(one, event.value))
                kind.props("no-caps unelevated dense spread toggle-color=primary").classes("kind")
                for place, source in enumerate(one.listed):
                    self._draw_source(f"{name}.sources[{place}]", place, one, source)
                self._fields.problem_line(f"{name}.sources", title)
                if one.kind is Kind.VOD and len(one.sources) < MAX_ITEMS:
                    more = ui.button(
                        t("form.add_address"), icon="add", color=None, on_click=partial(self._lengthen, one)
                    )
                    more.props("flat dense no-caps").classes("start")
                ConnectionEditor(self._who, f"{name}.options", one.connection, self._fields, lambda: one.usable)
            icon_button("close", f"{t('form.remove')}: {title}", partial(self._remove, one))

    def _draw_source(self, name: str, place: int, one: InputValues, source: SourceValues) -> None:
        t, fields, is_list = self._who.t, self._fields, one.kind is Kind.VOD
        label = t("form.file_address" if is_list else "form.live_address")
        url = fields.text(f"{name}.url", label, source.url, partial(setattr, source, "url"))
        url.classes("code").props("spellcheck=false autocapitalize=off")
        if is_list:
            with ui.element("div").classes("offsets"):
                for attribute, field, words in (("start", "start_s", "form.from"), ("end", "end_s", "form.to")):
                    write = partial(setattr, source, attribute)
                    fields.text(f"{name}.{field}", t(words), getattr(source, attribute), write)
                ui.space()
                if len(one.sources) > 1:
                    icon_button("close", f"{t('form.remove')}: {place + 1}", partial(self._shorten, one, source))

    def _add(self) -> None:
        self._values.inputs.append(InputValues())
        self._draw_inputs()

    def _remove(self, one: InputValues) -> None:
        self._values.inputs = [other for other in self._values.inputs if other is not one]
        self._draw_inputs()

    def _choose(self, one: InputValues, kind: Kind) -> None:
        one.kind = kind
        self._draw_inputs()

    def _lengthen(self, one: InputValues) -> None:
        one.sources.append(SourceValues())
        self._draw_inputs()

    def _shorten(self, one: InputValues, gone: SourceValues) -> None:
        one.sources = [other for other in one.sources if other is not gone]
        self._draw_inputs()
