"""The watermark in the form: the picture at its position, moved by touch or mouse."""

import base64
import itertools
from functools import partial

from nicegui import events, ui

from streamferry.media.picture import MAX_PICTURE_BYTES, inspect_picture
from streamferry.reasons import InvalidValue
from streamferry.web.dashboard.form_values import FormValues, WatermarkValues
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import icon_button

_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
#: Margin between the picture and the edge, as a fraction of the video.
_MARGIN = 0.03


class MarkEditor:
    """``picture``: data URL of the task's current picture, when a task is being changed."""

    def __init__(self, who: Visitor, values: FormValues, picture: str) -> None:
        self._who, self._values, self._picture = who, values, picture
        self._problem = ""
        self._numbers: dict[str, ui.number] = {}
        self._slider: ui.slider | None = None
        self._img: ui.element | None = None
        self._place = ui.element("div").classes("mark-editor")
        self._upload = ui.upload(on_upload=self._take, auto_upload=True, max_file_size=MAX_PICTURE_BYTES)
        self._upload.on("rejected", lambda: self._refuse(who.t("form.mark_too_large")))
        self._upload.props('accept=".png,.jpg,.jpeg"').classes("unseen")
        self.draw()

    def draw(self) -> None:
        """Draw it again."""
        t, mark = self._who.t, self._values.mark
        self._place.clear()
        with self._place:
            if mark is None:
                choose = ui.button(t("form.mark_add"), icon="add_photo_alternate", on_click=self._pick, color=None)
                choose.props("flat dense no-caps")
            else:
                self._draw_stage(mark)
            if self._problem:
                ui.label(self._problem).classes("problem")

    def _draw_stage(self, mark: WatermarkValues) -> None:
        t = self._who.t
        with ui.element("div").classes("stage") as stage:
            style = f"left:{mark.x * 100}%;top:{mark.y * 100}%;width:{mark.ratio * 100}%"
            img = ui.element("img").props('draggable=false alt=""').style(style)
            img.props["src"] = mark.picture or self._picture
            self._img = img
        stage.on("placed", lambda event: self._put(event, mark), js_handler="(event) => emit(event.detail)")
        stage.on("vnodeMounted", js_handler=f"() => dashboard.placeMark(getHtmlElement({stage.id}))")
        with ui.element("div").classes("mark-tools"):
            ui.label(t("form.mark_hint")).classes("soft")
            with ui.element("div").classes("corners").props("role=group") as corners:
                corners.props["aria-label"] = t("form.mark_place")
                for row, column in itertools.product(range(3), range(3)):
                    words = t(f"corner.{_ROWS[row]}_{_COLUMNS[column]}")
                    icon_button("crop_square", words, partial(self._to_corner, row, column))
            with ui.element("div").classes("mark-numbers"):
                for name, words, most in (("x", "X", 99), ("y", "Y", 99), ("ratio", t("form.mark_size"), 100)):
                    number = ui.number(words, value=round(getattr(mark, name) * 100, 1), min=0, max=most, suffix="%")
                    number.props("outlined dense hide-bottom-space")
                    number.on_value_change(lambda event, name=name: self._type(name, event.value))
                    self._numbers[name] = number
            slider = ui.slider(min=0.02, max=1, step=0.01, value=mark.ratio)
            slider.props["aria-label"] = t("form.mark_size")
            slider.on_value_change(lambda event: self._type("ratio", float(event.value) * 100))
            self._slider = slider
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
        except InvalidValue as error:
            self._refuse(self._who.say(error.why))
            return
        mark = self._values.mark or WatermarkValues()
        mark.picture = f"data:{found.media_type};base64,{base64.b64encode(data).decode()}"
        self._values.mark, self._problem = mark, ""
        self.draw()

    def _refuse(self, words: str) -> None:
        self._problem = words
        self.draw()

    def _remove(self) -> None:
        self._values.mark, self._problem = None, ""
        self.draw()

    def _put(self, event: events.GenericEventArguments, mark: WatermarkValues) -> None:
        """The picture was dragged."""
        mark.x, mark.y = round(float(event.args["x"]), 4), round(float(event.args["y"]), 4)
        self._follow()

    def _type(self, name: str, percent: float | None) -> None:
        """A number was typed, or the slider moved; while the user types it may be missing."""
        mark = self._values.mark
        most = 1.0 if name == "ratio" else 0.99
        part = None if percent is None else round(percent / 100, 4)
        if mark is None or part is None or not 0 <= part <= most or (name == "ratio" and part == 0):
            return
        setattr(mark, name, part)
        self._follow()

    def _to_corner(self, row: int, column: int) -> None:
        """Move it to one of nine positions, with the usual margin. The position is that of the top left corner; the
        picture's height follows from its shape and that of the video, which is assumed to be 16 to 9."""
        mark = self._values.mark
        if mark is None:
            return
        high = min(1.0, mark.ratio * self._shape(mark) * 16 / 9)
        mark.x = _placed(column, mark.ratio)
        mark.y = _placed(row, high)
        self._follow()

    def _shape(self, mark: WatermarkValues) -> float:
        """Height of the picture divided by its width."""
        data = base64.b64decode((mark.picture or self._picture).partition(",")[2])
        try:
            found = inspect_picture(data)
        except ValueError:
            return 1.0
        return found.height / max(1, found.width)

    def _follow(self) -> None:
        """Show the form's values everywhere."""
        mark = self._values.mark
        if mark is None or self._img is None:
            return
        self._img.style(f"left:{mark.x * 100}%;top:{mark.y * 100}%;width:{mark.ratio * 100}%")
        for name, number in self._numbers.items():
            number.set_value(round(getattr(mark, name) * 100, 1))
        if self._slider is not None:
            self._slider.set_value(mark.ratio)


def _placed(third: int, length: float) -> float:
    """Where something of this length begins at the start, middle or end of 1."""
    room = max(0.0, 1 - length)
    return round(min(0.99, (min(_MARGIN, room), room / 2, max(0.0, room - _MARGIN))[third]), 4)
