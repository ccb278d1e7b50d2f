"""A destination in the form: one address, or the server and the stream key that platforms show."""

from collections.abc import Callable

from nicegui import ui

from streamferry.media.url import REDACTED
from streamferry.web.dashboard.destination_values import TypedAddress
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.platforms import PLATFORMS, Platform, platform_at


class DestinationEditor:
    """What was typed in one form stays there while the other is shown. ``name``: of the destination, in errors."""

    def __init__(self, who: Visitor, name: str, one: TypedAddress, fields: Fields) -> None:
        self._who, self._name, self._one, self._fields = who, name, one, fields
        self._platform = platform_at(one.server)
        t = who.t
        choices = {False: t("form.one_address"), True: t("form.server_and_key")}
        choice = ui.toggle(choices, value=one.is_apart, on_change=lambda event: self._choose(event.value))
        choice.props("no-caps unelevated dense spread toggle-color=primary").classes("kind")
        self._place = ui.element("div").classes("stack")
        self._draw()

    def _choose(self, is_apart: bool) -> None:
        self._one.is_apart = is_apart
        self._draw()

    def _draw(self) -> None:
        t, one, fields, name = self._who.t, self._one, self._fields, self._name
        for part in ("", ".server", ".key"):
            fields.forget(name + part, parts=False)
        self._place.clear()
        with self._place:
            if not one.is_apart:
                address = fields.text(name, t("form.push_address"), one.destination, self._write("destination"))
                address.classes("code").props('spellcheck=false autocapitalize=off placeholder="rtmp://host/app/key"')
            else:
                self._draw_platforms()
                platform = self._platform
                server = fields.text(f"{name}.server", t("form.server"), one.server, self._write("server"))
                shape = platform.shape if platform is not None and platform.shape else "rtmps://host/app"
                server.classes("code").props(f'spellcheck=false autocapitalize=off placeholder="{shape}"')
                words, hides = t("form.key"), {"password": True, "password_toggle_button": True}
                key = fields.text(f"{name}.key", words, one.key, self._write("key"), **hides)
                # Not a password of this site: browsers would offer to keep it.
                key.classes("code").props("spellcheck=false autocapitalize=off autocomplete=new-password")
                if one.key == REDACTED:
                    key.props["hint"] = t("form.key_kept")
                elif platform is not None:
                    key.props["hint"] = t(f"platform_key.{platform.name}")
                fields.problem_line(name, t("form.destination"))
        fields.changed()

    def _draw_platforms(self) -> None:
        t = self._who.t
        choices = {None: t("platform.other")} | {one: t(f"platform.{one.name}") for one in PLATFORMS}
        made = ui.select(choices, value=self._platform, label=t("form.platform"))
        made.props("outlined dense options-dense").classes("field")
        made.on_value_change(lambda event: self._take(event.value))

    def _take(self, platform: Platform | None) -> None:
        """Fill in what the platform documents; the key is to be typed."""
        self._platform = platform
        if platform is not None:
            self._one.server, self._one.key = platform.server, ""
        self._draw()

    def _write(self, name: str) -> Callable[[str], None]:
        return lambda text: setattr(self._one, name, text)
