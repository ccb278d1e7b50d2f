"""The slate in the form: what kind, and the parts that this kind has."""

import base64
from functools import partial

from nicegui import events, ui

from streamferry.media.picture import inspect_picture
from streamferry.media.slate import MAX_TEXT_CHARS, MAX_TITLE_CHARS, SlateKind
from streamferry.reasons import InvalidValue
from streamferry.tasks.inputs import MAX_SLATE_PICTURE_BYTES
from streamferry.web.dashboard.air_values import SlateValues
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor


class SlateEditor:
    """``picture``: data URL of the present picture, when a task is being changed."""

    def __init__(self, who: Visitor, values: SlateValues, fields: Fields, picture: str) -> None:
        self._who, self._values, self._fields, self._picture = who, values, fields, picture
        t = who.t
        choices = {None: t("form.no_slate")} | {one: t(f"slate.{one}") for one in SlateKind}
        kind = ui.select(choices, value=values.kind, label=t("form.slate"))
        kind.props("outlined dense options-dense").classes("field")
        kind.on_value_change(lambda event: self._choose(event.value))
        self._place = ui.element("div").classes("stack")
        self._upload = ui.upload(on_upload=self._take, auto_upload=True, max_file_size=MAX_SLATE_PICTURE_BYTES)
        self._upload.on("rejected", lambda: self._refuse(t("form.slate_too_large", size=MAX_SLATE_PICTURE_BYTES >> 10)))
        self._upload.props('accept=".png,.jpg,.jpeg"').classes("unseen")
        self._draw()

    def _choose(self, kind: SlateKind | None) -> None:
        self._values.kind = kind
        self._draw()

    def _draw(self) -> None:
        t, values, fields = self._who.t, self._values, self._fields
        for name in ("title", "text", "color", "picture", "clip"):
            fields.forget(f"slate.{name}")
        self._place.clear()
        with self._place:
            if values.has_words:
                for name, most in (("title", MAX_TITLE_CHARS), ("text", MAX_TEXT_CHARS)):
                    write = partial(setattr, values, name)
                    words = fields.text(f"slate.{name}", t(f"form.slate_{name}"), getattr(values, name), write)
                    words.props(f"maxlength={most}")
                words.props["hint"] = t("form.slate_clock", zone=str(self._who.preferences.zone))
            if values.has_color:
                write = partial(setattr, values, "color")
                fields.text("slate.color", t("form.slate_color"), values.color, write).props("type=color stack-label")
            if values.kind is SlateKind.PICTURE:
                self._draw_picture()
            if values.kind is SlateKind.CLIP:
                write = partial(setattr, values.clip, "url")
                clip = fields.text("slate.clip", t("form.file_address"), values.clip.url, write)
                clip.classes("code").props("spellcheck=false autocapitalize=off")
        fields.changed()

    def _draw_picture(self) -> None:
        t, values = self._who.t, self._values
        if values.picture:
            with ui.element("div").classes("slate-picture"):
                img = ui.element("img").props('alt=""')
                img.props["src"] = self._picture if self._picture and ";sha256," in values.picture else values.picture
        words = "form.mark_other" if values.picture else "form.mark_add"
        choose = ui.button(t(words), icon="add_photo_alternate", on_click=self._pick, color=None)
        choose.props("flat dense no-caps").classes("start")
        self._fields.problem_line("slate.picture", t("slate.picture"))

    def _pick(self) -> None:
        self._upload.reset()
        self._upload.run_method("pickFiles")

    async def _take(self, event: events.UploadEventArguments) -> None:
        data = await event.file.read()
        try:
            found = inspect_picture(data)
        except InvalidValue as error:
            self._refuse(self._who.say(error.why))
            return
        self._values.picture = f"data:{found.media_type};base64,{base64.b64encode(data).decode()}"
        self._draw()

    def _refuse(self, words: str) -> None:
        ui.notify(words, type="negative", multi_line=True, close_button=self._who.t("close"), timeout=0)
