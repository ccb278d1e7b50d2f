"""The list of a playing task: which file is playing, its position, and how far the next one is prepared."""

from nicegui import ui

from streamferry.web.dashboard import show
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import bar
from streamferry.web.views import Kind, SourceView, TaskView


class PlaylistView:
    """Made once per page; ``show`` draws the lines again only when the list itself has changed."""

    def __init__(self, who: Visitor) -> None:
        self._who = who
        self._drawn: list[SourceView] = []
        self._lines = ui.column().classes("lines items").props("tabindex=0 role=list")
        self._lines.props["aria-label"] = who.t("task.list")
        self._shown_item: int | None = None
        self._about = ui.label().classes("soft")
        self._places: list[tuple[ui.element, ui.linear_progress, ui.label]] = []

    def show(self, task: TaskView) -> None:
        """Show what is playing now."""
        if task.sources != self._drawn:
            self._draw(task)
        head, run = task.run.playhead, task.run
        for index, (line, progress, words) in enumerate(self._places):
            is_on = head is not None and index == head.item and task.kind is Kind.VOD
            line.classes(replace="line item-line on" if is_on else "line item-line")
            progress.set_visibility(is_on)
            words.set_visibility(is_on)
            if not is_on or head is None:
                continue
            if index != self._shown_item:
                self._shown_item = index
                ui.run_javascript(f"dashboard.scrollTo(getHtmlElement({line.id}))")
            if run.preparing_percent is not None:
                progress.set_value(run.preparing_percent / 100)
                words.set_text(self._who.t("task.preparing", percent=round(run.preparing_percent)))
            else:
                start_s, end_s = task.sources[index].start_s, task.sources[index].end_s or head.item_end_s
                played_s = max(0.0, head.position_s - start_s)
                progress.set_value(min(1.0, played_s / (end_s - start_s)) if end_s and end_s > start_s else 0)
                words.set_text(f"{show.span(head.position_s)} / {show.span(end_s)}")
        self._about.set_text(self._loops(task))
        self._about.set_visibility(task.kind is Kind.VOD)

    def _draw(self, task: TaskView) -> None:
        self._drawn, self._shown_item = task.sources, None
        self._places.clear()
        self._lines.clear()
        with self._lines:
            for index, one in enumerate(task.sources):
                with ui.element("div").classes("line item-line").props("role=listitem") as line:
                    if task.kind is Kind.VOD:
                        ui.label(str(index + 1)).classes("soft num item-number")
                    with ui.element("div").classes("grow"):
                        name, where = show.name_and_place(one.url)
                        with ui.element("div").classes("wrap"):
                            ui.label(name).classes("item-name")
                            ui.label(where).classes("soft mono item-where")
                        if part := show.part(one.start_s, one.end_s):
                            ui.label(part).classes("soft num")
                        progress = bar(0, name, "4px").props("instant-feedback")
                        words = ui.label().classes("soft num")
                self._places.append((line, progress, words))

    def _loops(self, task: TaskView) -> str:
        t, head = self._who.t, task.run.playhead
        loop = (head.loop if head else 0) + 1
        return t("task.loop_endless", loop=loop) if task.loops == -1 else t("task.loop", loop=loop, loops=task.loops)
