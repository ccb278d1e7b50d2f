"""The destination in the form: one address, or the server and the stream key that platforms show."""

from collections.abc import Callable

from nicegui import ui

from streamferry.media.url import REDACTED
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.form_values import FormValues
from streamferry.web.dashboard.frame import Visitor


class DestinationEditor:
    """What was typed in one form stays there while the other is shown."""

    def __init__(self, who: Visitor, values: FormValues, fields: Fields) -> None:
        self._who, self._values, self._fields = who, values, fields
        t = who.t
        choices = {False: t("form.one_address"), True: t("form.server_and_key")}
        choice = ui.toggle(choices, value=values.is_apart, on_change=lambda event: self._choose(event.value))
        choice.props("no-caps unelevated dense spread toggle-color=primary").classes("kind")
        self._place = ui.element("div").classes("stack")
        self._draw()

    def _choose(self, is_apart: bool) -> None:
        self._values.is_apart = is_apart
        self._draw()

    def _draw(self) -> None:
        t, values, fields = self._who.t, self._values, self._fields
        fields.forget("destination")
        self._place.clear()
        with self._place:
            if not values.is_apart:
                address = fields.text(
                    "destination", t("form.push_address"), values.destination, self._write("destination")
                )
                address.classes("code").props('spellcheck=false autocapitalize=off placeholder="rtmp://host/app/key"')
            else:
                server = fields.text("destination.server", t("form.server"), values.server, self._write("server"))
                server.classes("code").props('spellcheck=false autocapitalize=off placeholder="rtmps://host/app"')
                words, hides = t("form.key"), {"password": True, "password_toggle_button": True}
                key = fields.text("destination.key", words, values.key, self._write("key"), **hides)
                # Not a password of this site: browsers would offer to keep it.
                key.classes("code").props("spellcheck=false autocapitalize=off autocomplete=new-password")
                if values.key == REDACTED:
                    key.props(f'hint="{t("form.key_kept")}"')
                fields.problem_line("destination", t("form.destination"))
        fields.changed()

    def _write(self, name: str) -> Callable[[str], None]:
        return lambda text: setattr(self._values, name, text)
