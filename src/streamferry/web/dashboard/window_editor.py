"""The part of the form that says when a task runs: once, without an end, or again and again."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from nicegui import ui

from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.texts import Translate
from streamferry.web.dashboard.window_values import PRESETS, Recurrence, WindowValues


class WindowEditor:
    """Drawn where it is made. ``read_now``: the time, as the server has it."""

    def __init__(self, t: Translate, fields: Fields, values: WindowValues, read_now: Callable[[], datetime]) -> None:
        self._t, self._fields, self._values, self._read_now = t, fields, values, read_now
        choices = {one: t(f"recurrence.{one.value}") for one in Recurrence}
        recurrence = ui.select(choices, value=values.recurrence, label=t("form.recurrence"))
        recurrence.props("outlined dense options-dense").classes("field")
        with ui.element("div").classes("pair"):
            start = self._text("start_at", "start", "form.start", values.start)
            start.props(f'type=datetime-local stack-label hint="{t("form.start_hint")}"')
            self._end = self._text("end_at", "end", "form.end", values.end)
            zone = str(values.zone)
            self._end.props(f'type=datetime-local stack-label hint="{t("form.end_hint", zone=zone)}"')
        self._doubts = ui.label().classes("soft").props("role=status")
        with ui.element("div").classes("stack") as self._series:
            self._draw_series()
        for one in (start, self._end):
            one.on_value_change(self._tell_doubts)
        recurrence.on_value_change(lambda event: self._choose(event.value))
        self._choose(values.recurrence)
        self._tell_doubts()

    def _draw_series(self) -> None:
        t, values = self._t, self._values
        with ui.element("div").classes("pair"):
            choices = {rule: t(f"rule.{name}") for name, rule in PRESETS.items()} | {"": t("rule.other")}
            preset = ui.select(choices, value=values.rule if values.rule in choices else "", label=t("form.preset"))
            preset.props("outlined dense options-dense").classes("field")
            rule = self._text("series.rule", "rule", "form.rule", values.rule)
            rule.classes("code").props(f'spellcheck=false hint="{t("form.rule_hint")}"')
        zone = self._text("series.time_zone", "time_zone", "form.time_zone", values.time_zone)
        zone.props(f'spellcheck=false hint="{t("form.time_zone_hint")}"')
        for name in ("exdates", "rdates"):
            made = self._text(f"series.{name}", name, f"form.{name}", getattr(values, name))
            made.classes("code").props('spellcheck=false placeholder="2026-12-24T20:00"')
        between = ui.switch(t("form.slate_between"), value=values.slate_between)
        between.on_value_change(lambda event: self._choose_between(event.value))
        self._fields.problem_line("series.slate_between", t("form.slate_between"))
        preset.on_value_change(lambda event: rule.set_value(event.value) if event.value else None)

    def _text(self, name: str, attribute: str, label: str, value: str) -> ui.input:
        return self._fields.text(name, self._t(label), value, partial(setattr, self._values, attribute))

    def _choose(self, recurrence: Recurrence) -> None:
        self._values.recurrence = recurrence
        self._end.set_visibility(recurrence is not Recurrence.NEVER_ENDS)
        self._series.set_visibility(recurrence is Recurrence.SERIES)
        self._fields.changed()

    def _choose_between(self, is_slate: bool) -> None:
        self._values.slate_between = is_slate
        self._fields.changed()

    def _tell_doubts(self) -> None:
        """Show how an ambiguous time is understood."""
        told = [
            self._t("form.twice", time=f"{at:%Y-%m-%d %H:%M}", offset=at.isoformat()[-6:])
            for at in self._values.find_doubtful(self._read_now())
        ]
        self._doubts.set_text(" ".join(told))
        self._doubts.set_visibility(bool(told))
