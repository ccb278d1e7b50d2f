"""What is on air of a task with further inputs or a slate: which, why and since when; and the switch by hand."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from streamferry.reasons import Reason
from streamferry.relay.inputs.policy import SLATE, SWITCHING
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.show import connection_of, name_and_place
from streamferry.web.dashboard.texts import Translate
from streamferry.web.dashboard.widgets import attempt, card, time_at
from streamferry.web.views import SourceView, TaskView

#: What the rules say, among the choices.
_AUTO = "auto"
#: The number of an input, ``slate`` or ``auto``.
Choice = int | str


def choices_of(task: TaskView) -> list[Choice]:
    """What can be asked for by hand; nothing where there is nothing to choose."""
    if not task.inputs and task.slate is None:
        return []
    return [*range(len(task.inputs) + 1), *(["slate"] if task.slate is not None else []), _AUTO]


def name_of(choice: Choice, t: Translate) -> str:
    """Its name in words."""
    if isinstance(choice, str):
        return t(f"air.{choice}")
    return t("air.input", number=choice) if choice else t("air.first")


def name_of_told(told: object, t: Translate) -> str:
    """The same of what an event calls ``input 0``, ``slate`` or ``insert``."""
    kind, _, number = str(told).partition(" ")
    if kind == "input" and number.isdecimal():
        return name_of(int(number), t)
    return name_of(kind, t) if kind in ("slate", "insert") else str(told)


class AirView:
    """Made once per page; hidden for a task with one source and no slate."""

    def __init__(
        self, who: Visitor, page_actions: PageActions, task_id: str, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._who, self._page_actions, self._task_id, self._refresh = who, page_actions, task_id, refresh
        self._drawn: list[tuple[Choice, str]] = []
        self._chips: dict[Choice, ui.label] = {}
        self._buttons: dict[Choice, ui.button] = {}
        self._troubles: dict[Choice, ui.label] = {}
        with ui.element("div") as self._box, card(who.t("air.title")):
            with ui.element("div").classes("window soft"):
                self._why = ui.label()
                self._since = time_at("").props("seconds")
            self._lines = ui.column().classes("lines")

    def show(self, task: TaskView) -> None:
        """Show what is on air now."""
        choices = choices_of(task)
        self._box.set_visibility(bool(choices))
        if not choices:
            return
        t, on_air = self._who.t, task.run.on_air
        drawn = [(choice, self._about(task, choice)) for choice in choices]
        if drawn != self._drawn:
            self._drawn = drawn
            self._draw()
        self._why.set_visibility(on_air is not None)
        self._since.set_visibility(on_air is not None)
        shown: Choice | None = None
        if on_air is not None:
            shown = str(on_air.shown) if on_air.input is None else on_air.input
            why = Reason.of_told(on_air.model_dump())
            words = [name_of(shown, t), self._who.say(why) if why else "", on_air.file]
            self._why.set_text(" · ".join(filter(None, words)))
            self._since.props["at"] = on_air.since_at.isoformat()
        asked: Choice = _AUTO if task.pinned is None else task.pinned
        for choice, chip in self._chips.items():
            chip.set_visibility(choice == shown)
        unready: dict[Choice, Reason | None] = {one.input: Reason.of_told(one.model_dump()) for one in task.run.unready}
        for choice, label in self._troubles.items():
            why = unready.get(choice)
            label.set_visibility(why is not None)
            label.set_text(self._who.say(why) if why else "")
        for choice, button in self._buttons.items():
            button.set_visibility(choice != asked)

    def _about(self, task: TaskView, choice: Choice) -> str:
        if choice == _AUTO:
            rules = task.switching
            told = self._who.t("air.rules", down=f"{rules.switch_after_s:g}", back=f"{rules.return_after_s:g}")
            if rules.normalize == str(SWITCHING.normalize):
                return told
            named = {"first": self._who.t("air.form_of_first")}
            return f"{told} {self._who.t('air.one_form', form=named.get(rules.normalize, rules.normalize))}"
        if isinstance(choice, str):
            assert task.slate is not None
            return task.slate.title or self._who.t(f"slate.{task.slate.kind.value}")
        if not choice:
            return self._named(task.sources)
        one = task.inputs[choice - 1]
        return "\n".join([self._named(one.sources), *filter(None, [connection_of(one.options, self._who.t)])])

    def _named(self, sources: Sequence[SourceView]) -> str:
        name = name_and_place(sources[0].url)[0]
        return name if len(sources) == 1 else self._who.t("air.files", name=name, count=len(sources) - 1)

    def _draw(self) -> None:
        t = self._who.t
        self._chips.clear()
        self._buttons.clear()
        self._troubles.clear()
        self._lines.clear()
        with self._lines:
            for choice, about in self._drawn:
                with ui.element("div").classes("line item-line"):
                    with ui.element("div").classes("grow"):
                        ui.label(name_of(choice, t)).classes("wrap")
                        ui.label(about).classes("soft wrap note")
                        self._troubles[choice] = ui.label().classes("problem wrap note")
                    if choice != _AUTO:
                        self._chips[choice] = ui.label(t("air.now")).classes("chip s-streaming")
                    if self._who.session.can_write:
                        button = ui.button(t("air.show"), on_click=lambda chosen=choice: self._switch(chosen))
                        button.props["aria-label"] = f"{t('air.show')}: {name_of(choice, t)}"
                        self._buttons[choice] = button.props("flat dense no-caps")

    async def _switch(self, choice: Choice) -> None:
        which = {_AUTO: None, "slate": SLATE}[choice] if isinstance(choice, str) else choice
        done = self._who.t("air.done")
        if await attempt(self._who, lambda: self._page_actions.switch(self._who, self._task_id, which), done):
            await self._refresh()
