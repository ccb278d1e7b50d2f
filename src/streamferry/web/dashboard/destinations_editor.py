"""All destinations of a task beside the address of the first, in the form: folded, since most tasks have one."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import ui

from streamferry.relay.spec import MAX_DESTINATIONS, Latency
from streamferry.tasks.destinations import NAME
from streamferry.web.dashboard.connection_editor import ConnectionEditor
from streamferry.web.dashboard.destination_editor import DestinationEditor
from streamferry.web.dashboard.destination_values import (
    DestinationsValues,
    FurtherDestination,
    RoleValues,
    usable_at,
)
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import icon_button

_FIELD = "destinations"


class DestinationsEditor:
    """Drawn where it is made, and again when one is added or removed."""

    def __init__(self, who: Visitor, values: DestinationsValues, fields: Fields) -> None:
        self._who, self._values, self._fields = who, values, fields
        t = who.t
        self._fold = ui.expansion(t("form.destinations"), caption=t("form.destinations_hint"), value=values.is_told)
        with self._fold.classes("fold"):
            self._list = ui.element("div").classes("stack")
            self._more = ui.button(t("destinations.add"), icon="add", on_click=self._add, color=None)
            self._more.props("flat dense no-caps").classes("start")
        self._draw()

    def _draw(self) -> None:
        fields, values = self._fields, self._values
        fields.forget(_FIELD)
        fields.fold(_FIELD, self._fold)
        self._list.clear()
        with self._list:
            fields.problem_line(_FIELD, self._who.t("form.destinations"))
            self._draw_one(0, values.first)
            for index, one in enumerate(values.others, start=1):
                self._draw_one(index, one)
        self._more.set_visibility(len(values.others) + 1 < MAX_DESTINATIONS)
        fields.changed()

    def _draw_one(self, index: int, one: RoleValues) -> None:
        t, name = self._who.t, f"{_FIELD}[{index}]"
        with ui.element("div").classes("part").props("role=group") as group:
            group.props["aria-label"] = self._title(index)
            with ui.element("div").classes("grow item-fields"):
                with ui.element("div").classes("item-title"):
                    ui.label(self._title(index)).classes("item-name")
                    on = ui.switch(t("form.push_to"), value=one.enabled)
                    on.on_value_change(lambda event: setattr(one, "enabled", event.value))
                with ui.element("div").classes("pair"):
                    made = self._fields.text(
                        f"{name}.name", t("form.destination_name"), one.name, _write_to(one, "name")
                    )
                    made.props(f"maxlength={NAME.max_chars}")
                    choices: dict[Any, str] = {None: t("form.latency_of_task")}
                    choices |= {each: t(f"latency.{each.value}") for each in Latency}
                    self._choice(f"{name}.latency", "form.latency_name", choices, one, "latency")
                if isinstance(one, FurtherDestination):
                    self._draw_rest(index, name, one)
            if isinstance(one, FurtherDestination):
                icon_button("close", f"{t('form.remove')}: {index + 1}", partial(self._remove, one))

    def _draw_rest(self, index: int, name: str, one: FurtherDestination) -> None:
        DestinationEditor(self._who, name, one, self._fields)
        before: list[RoleValues] = [self._values.first, *self._values.others[: index - 1]]
        choices: dict[Any, str] = {None: self._who.t("form.no_backup")}
        choices |= {each.id: self._title(place) for place, each in enumerate(before)}
        one.backup_of = one.backup_of if one.backup_of in choices else None
        self._choice(f"{name}.backup_of", "form.backup_of", choices, one, "backup_of")
        usable = partial(usable_at, one)
        ConnectionEditor(self._who, f"{name}.options", one.connection, self._fields, usable)

    def _choice(self, name: str, label: str, choices: dict[Any, str], one: RoleValues, attribute: str) -> None:
        made = ui.select(choices, value=getattr(one, attribute), label=self._who.t(label))
        made.props("outlined dense options-dense hide-bottom-space").classes("field")
        made.on_value_change(lambda event: setattr(one, attribute, event.value))
        self._fields.add(name, made, self._who.t(label))

    def _title(self, index: int) -> str:
        return self._who.t("form.destination_number", number=index + 1)

    def _add(self) -> None:
        self._values.add()
        self._draw()

    def _remove(self, one: FurtherDestination) -> None:
        self._values.remove(one)
        self._draw()


def _write_to(one: RoleValues, name: str) -> Callable[[str], None]:
    return lambda text: setattr(one, name, text)
