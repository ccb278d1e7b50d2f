"""How the peers of one end are reached, in the form: folded, since most tasks need none of it."""

from collections.abc import Callable, Collection
from functools import partial

from nicegui import ui

from streamferry.media.peer_options import CONNECT_PARAMETERS, MAX_HEADERS
from streamferry.web.dashboard.connection_values import CONNECT_LABELS, NUMBERS, ConnectionValues, HeaderValues
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import icon_button


class ConnectionEditor:
    """``end``: ``source_options``, or the options of a further input or of a destination. Shows what is ``usable`` on
    the addresses as they are typed; all of it is hidden for files of this machine."""

    def __init__(
        self,
        who: Visitor,
        end: str,
        one: ConnectionValues,
        fields: Fields,
        usable: Callable[[], Collection[str]],
    ) -> None:
        self._who, self._end, self._one, self._fields, self._usable = who, end, one, fields, usable
        self._parts: dict[str, ui.element] = {}
        t = who.t
        is_source = end == "source_options" or end.startswith("inputs")
        hint = t("form.connection_of_source" if is_source else "form.connection_of_destination")
        self._fold = ui.expansion(t("form.connection"), caption=hint, value=one.is_set).classes("fold")
        with self._fold:
            with ui.element("div").classes("pair") as self._parts["proxy"]:
                self._text("proxy", t("form.proxy"), one.proxy, self._write("proxy"))
                self._text("bind", t("form.bind"), one.bind, self._write("bind"))
            with ui.element("div").classes("stack") as self._parts["headers"]:
                ui.label(t("form.headers")).classes("soft")
                self._headers = ui.element("div").classes("stack")
                fields.problem_line(f"{end}.headers", t("form.headers_name"))
                self._more = ui.button(t("form.add_header"), icon="add", on_click=self._add, color=None)
                self._more.props("flat dense no-caps").classes("start")
                self._draw_headers()
            with ui.element("div").classes("stack") as self._parts["tc_url"]:
                ui.label(t("form.connect")).classes("soft")
                with ui.element("div").classes("pair"):
                    for name in CONNECT_PARAMETERS:
                        self._text(name, CONNECT_LABELS[name], one.connect[name], self._write_connect(name))
            self._switch("keep_drift", one.keep_drift)
            for name in NUMBERS:
                write, value = partial(setattr, one, name), getattr(one, name)
                self._parts[name] = fields.number(f"{end}.{name}", t(f"form.{name}"), value, write)
            self._switch("overlap", one.overlap)
        fields.fold(end, self._fold)
        fields.follow(end, self._follow)
        self._follow()

    def _follow(self) -> None:
        usable = self._usable()
        for name, part in self._parts.items():
            part.set_visibility(name in usable)
        self._fold.set_visibility(bool(usable))

    def _text(self, name: str, label: str, value: str, write: Callable[[str], None]) -> None:
        made = self._fields.text(f"{self._end}.{name}", label, value, write)
        made.classes("code").props("spellcheck=false autocapitalize=off autocomplete=off")

    def _switch(self, name: str, value: bool) -> None:
        made = self._parts[name] = ui.switch(self._who.t(f"form.{name}"), value=value)
        made.on_value_change(lambda event: setattr(self._one, name, event.value))

    def _draw_headers(self) -> None:
        t, one = self._who.t, self._one
        for index in range(len(one.headers) + 1):
            self._fields.forget(f"{self._end}.headers[{index}]")
        self._headers.clear()
        with self._headers:
            for index, header in enumerate(one.headers):
                with ui.element("div").classes("header-line"):
                    name = f"headers[{index}]"
                    self._text(f"{name}.name", t("form.header_name"), header.name, _write_to(header, "name"))
                    self._text(f"{name}.value", t("form.header_value"), header.value, _write_to(header, "value"))
                    icon_button("close", f"{t('form.remove')}: {index + 1}", self._remover(header))
        self._more.set_visibility(len(one.headers) < MAX_HEADERS)

    def _add(self) -> None:
        self._one.headers.append(HeaderValues())
        self._draw_headers()

    def _remover(self, header: HeaderValues) -> Callable[[], None]:
        def remove() -> None:
            self._one.headers = [other for other in self._one.headers if other is not header] or [HeaderValues()]
            self._draw_headers()

        return remove

    def _write(self, name: str) -> Callable[[str], None]:
        return lambda text: setattr(self._one, name, text)

    def _write_connect(self, name: str) -> Callable[[str], None]:
        return lambda text: self._one.connect.__setitem__(name, text)


def _write_to(header: HeaderValues, name: str) -> Callable[[str], None]:
    return lambda text: setattr(header, name, text)
