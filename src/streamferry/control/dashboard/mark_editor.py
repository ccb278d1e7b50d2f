"""The watermark in the form: a picture laid where it will be, moved with the finger or the mouse."""

import base64

from nicegui import events, ui

from streamferry.control.dashboard.draft import Draft, DraftMark
from streamferry.control.dashboard.frame import Visitor
from streamferry.media.picture import MAX_PICTURE_BYTES, inspect_picture


class MarkEditor:
    """``picture``: data URL of the one that the task has, for one that is being changed."""

    def __init__(self, who: Visitor, draft: Draft, picture: str) -> None:
        self._who, self._draft, self._picture = who, draft, picture
        self._problem = ""
        self._place = ui.element("div").classes("mark-editor")
        self._upload = ui.upload(on_upload=self._take, auto_upload=True, max_file_size=MAX_PICTURE_BYTES)
        self._upload.on("rejected", lambda: self._refuse(who.t("form.mark_too_large")))
        self._upload.props('accept=".png,.jpg,.jpeg"').classes("unseen")
        self.draw()

    def draw(self) -> None:
        """Draw it anew."""
        t, mark = self._who.t, self._draft.mark
        self._place.clear()
        with self._place:
            if mark is None:
                choose = ui.button(t("form.mark_add"), icon="add_photo_alternate", on_click=self._pick, color=None)
                choose.props("flat dense no-caps")
            else:
                self._draw_stage(mark)
            if self._problem:
                ui.label(self._problem).classes("problem")

    def _draw_stage(self, mark: DraftMark) -> None:
        t = self._who.t
        with ui.element("div").classes("stage") as stage:
            style = f"left:{mark.x * 100}%;top:{mark.y * 100}%;width:{mark.ratio * 100}%"
            img = ui.element("img").props('draggable=false alt=""').style(style)
            img.props["src"] = mark.picture or self._picture
        stage.on("placed", lambda event: self._put(event, mark), js_handler="(event) => emit(event.detail)")
        stage.on("vnodeMounted", js_handler=f"() => dashboard.placeMark(getHtmlElement({stage.id}))")
        with ui.element("div").classes("mark-tools"):
            ui.label(t("form.mark_hint")).classes("soft")
            ui.label(t("form.mark_size"))
            slider = ui.slider(min=0.02, max=1, step=0.01, value=mark.ratio)
            slider.on_value_change(lambda event: self._scale(event.value, mark, img))
            with ui.element("div").classes("toolbar"):
                for words, act in (("form.mark_other", self._pick), ("form.mark_remove", self._remove)):
                    ui.button(t(words), on_click=act, color=None).props("flat dense no-caps")

    def _pick(self) -> None:
        self._upload.reset()
        self._upload.run_method("pickFiles")

    async def _take(self, event: events.UploadEventArguments) -> None:
        data = await event.file.read()
        try:
            found = inspect_picture(data)
        except ValueError as error:
            self._refuse(self._who.reasons(str(error)))
            return
        mark = self._draft.mark or DraftMark()
        mark.picture = f"data:{found.media_type};base64,{base64.b64encode(data).decode()}"
        self._draft.mark, self._problem = mark, ""
        self.draw()

    def _refuse(self, words: str) -> None:
        self._problem = words
        self.draw()

    def _remove(self) -> None:
        self._draft.mark, self._problem = None, ""
        self.draw()

    def _put(self, event: events.GenericEventArguments, mark: DraftMark) -> None:
        mark.x, mark.y = round(float(event.args["x"]), 4), round(float(event.args["y"]), 4)

    def _scale(self, ratio: float, mark: DraftMark, img: ui.element) -> None:
        mark.ratio = round(float(ratio), 4)
        img.style(f"left:{mark.x * 100}%;top:{mark.y * 100}%;width:{mark.ratio * 100}%")
