"""The workers: what each one is, has and has room for; and what an operator wants of it."""

from nicegui import ui

from streamferry.web.dashboard import show
from streamferry.web.dashboard.frame import Page, Visitor, frame, live, visitor
from streamferry.web.dashboard.keyed import KeyedLines, Show
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.texts import Translate
from streamferry.web.dashboard.widgets import attempt, bar, card, empty, is_sure, set_chip, state_chip, time_at
from streamferry.web.operation_views import WorkerState, WorkerView
from streamferry.web.writes import WorkerVerb

_REFRESH_S = 2.0
#: State -> the style of its chip.
_STYLES = {
    WorkerState.OPEN: "streaming",
    WorkerState.CORDONED: "stopped",
    WorkerState.DRAINING: "retrying",
    WorkerState.DRAINED: "stopped",
    WorkerState.LEAVING: "ended",
    WorkerState.GONE: "ended",
}
#: States in which each of the buttons is shown.
_BUTTONS = {
    WorkerVerb.CORDON: (WorkerState.OPEN,),
    WorkerVerb.DRAIN: (WorkerState.OPEN, WorkerState.CORDONED),
    WorkerVerb.UNCORDON: (WorkerState.CORDONED, WorkerState.DRAINING, WorkerState.DRAINED),
}


def register(page_actions: PageActions) -> None:
    """Make the page."""

    @Page("/workers")
    async def workers() -> None:
        who = visitor()
        with frame(who, who.t("nav.workers"), place="/workers"):
            content = _Content(who, page_actions)
            await content.refresh()
            live(who, _REFRESH_S, content.refresh)


class _Content:
    def __init__(self, who: Visitor, page_actions: PageActions) -> None:
        self._who, self._page_actions = who, page_actions
        with card(), ui.column().classes("lines") as lines:
            self._none = empty("warning", who.t("overview.no_workers"))
        self._lines = KeyedLines(lines, self._make)

    async def refresh(self) -> None:
        """Read them again, and show them: those that run first."""
        workers = (await self._page_actions.reads.workers()).workers
        self._lines.show((one.worker_id, one) for one in sorted(workers, key=lambda one: not one.is_alive))
        self._none.set_visibility(not any(one.is_alive for one in workers))

    def _make(self, first: WorkerView) -> tuple[ui.element, Show[WorkerView]]:
        t, worker_id = self._who.t, first.worker_id
        buttons: dict[WorkerVerb, ui.button] = {}
        with ui.element("div").classes("line worker-line") as line:
            with ui.element("div").classes("grow"):
                with ui.element("div").classes("worker-head"):
                    ui.label(worker_id).classes("line-title mono")
                    chip = state_chip("", "")
                    since = time_at("").classes("soft")
                load = bar(0, worker_id)
                about = ui.label().classes("soft num")
                labels = ui.label().classes("soft mono wrap")
            if self._who.session.can_write:
                with ui.element("div").classes("worker-deeds"):
                    for verb in _BUTTONS:
                        buttons[verb] = self._button(verb, worker_id)

        def follow(one: WorkerView) -> None:
            set_chip(chip, _STYLES[one.state], t(f"worker.{one.state.value}"))
            since.props["at"] = one.since_at.isoformat()
            load.set_value(one.tasks / max(1, one.capacity))
            about.set_text(" · ".join(facts_of(one, t)))
            labels.set_text("  ".join(one.labels))
            labels.set_visibility(bool(one.labels))
            for verb, button in buttons.items():
                button.set_visibility(one.state in _BUTTONS[verb])

        follow(first)
        return line, follow

    def _button(self, verb: WorkerVerb, worker_id: str) -> ui.button:
        words = self._who.t(f"worker.{verb.value}")
        button = ui.button(words, on_click=lambda: self._ask(verb, worker_id)).props("outline no-caps dense")
        button.props["aria-label"] = f"{words}: {worker_id}"
        return button

    async def _ask(self, verb: WorkerVerb, worker_id: str) -> None:
        t, who = self._who.t, self._who
        if verb is WorkerVerb.DRAIN and not await is_sure(
            who, t("worker.drain_question", name=worker_id), t("worker.drain"), detail=t("worker.drain_detail")
        ):
            return
        await attempt(who, lambda: self._page_actions.ask_worker(who, worker_id, verb), t(f"worker.{verb.value}_done"))
        await self.refresh()


def facts_of(one: WorkerView, t: Translate) -> list[str]:
    """What it has of each measure, what it uses, and its version."""
    words = [t("overview.load", tasks=one.tasks, capacity=one.capacity)]
    if one.kbps is not None and one.capacity_kbps is not None:
        words.append(t("overview.cache_use", size=show.kbps(one.kbps), limit=show.kbps(one.capacity_kbps)))
    if one.encodes is not None and one.capacity_encodes is not None:
        words.append(t("worker.encodes", encodes=one.encodes, capacity=one.capacity_encodes))
    if one.health is not None:
        words.append(t("overview.cpu", percent=round(one.health.cpu_percent)))
        words.append(show.size(one.health.memory_bytes))
    return [*words, one.version] if one.version else words
