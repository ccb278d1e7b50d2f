"""The first page: what is wrong, then what there is: streams by state, workers, cache."""

from nicegui import ui

from streamferry.store.records import TaskCount
from streamferry.web.dashboard import show
from streamferry.web.dashboard.filters import FILTERS
from streamferry.web.dashboard.frame import Page, Visitor, frame, live, visitor
from streamferry.web.dashboard.keyed import KeyedLines, Show
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import bar, card, empty, set_chip, state_chip, time_at
from streamferry.web.dashboard.workers_page import facts_of
from streamferry.web.event_views import Overview
from streamferry.web.operation_views import CacheView, WorkerState, WorkerView
from streamferry.web.views import TaskPage, TaskView

_REFRESH_S = 3.0
_PROBLEMS = 12


def register(page_actions: PageActions) -> None:
    """Make the page."""

    @Page("/")
    async def overview() -> None:
        who = visitor()
        with frame(who, who.t("nav.overview"), place="/"):
            content = await _Content(who, page_actions).build()
            live(who, _REFRESH_S, content.refresh)


class _Content:
    """Made once per page; what has changed is shown on the elements that are there (``keyed``)."""

    def __init__(self, who: Visitor, page_actions: PageActions) -> None:
        self._who = who
        self._page_actions = page_actions

    async def build(self) -> "_Content":
        t = self._who.t
        with ui.element("div").classes("tiles"):
            # Always a tile for each filter of the list, with the number of tasks that it lists.
            self._tiles = {
                name: _Tile(name, t(f"filter.{name}"), f"?state={name}") for name in FILTERS if name != "all"
            }
            self._tiles["out"] = _Tile("out", t("overview.out"), "?state=streaming")
            self._tiles["free"] = _Tile("free", t("overview.free"), "")
        with card(t("overview.problems")):
            with ui.column().classes("lines") as lines:
                self._no_problems = empty("check_circle", t("overview.no_problems"))
                self._all_problems = ui.link(target="/tasks?state=trouble")
            self._problems = KeyedLines(lines, self._make_problem)
        with ui.element("div").classes("halves"):
            with card(t("overview.workers")):
                with ui.column().classes("lines") as lines:
                    self._no_workers = empty("warning", t("overview.no_workers"))
                self._workers = KeyedLines(lines, self._make_worker)
            with (
                card(t("overview.cache")),
                ui.column().classes("lines"),
                ui.element("div").classes("line"),
                ui.element("div").classes("grow"),
            ):
                self._cache_size = ui.label().classes("line-title")
                self._cache_use = bar(0, t("overview.cache"))
                self._cache_files = ui.label().classes("soft num")
        await self.refresh()
        return self

    async def refresh(self) -> None:
        """Read it again, and show it."""
        reads, numbers = self._page_actions.reads, self._page_actions.numbers
        counts, overview = await numbers.counts(), await numbers.overview()
        troubled = await FILTERS["trouble"].page(reads, size=_PROBLEMS)
        # Always the number of the list below it: the counts may be older.
        self._show_numbers(overview, counts, troubled.total)
        self._show_problems(troubled)
        self._show_workers((await reads.workers()).workers)
        self._show_cache(await reads.cache())

    def _show_numbers(self, overview: Overview, counts: list[TaskCount], in_trouble: int) -> None:
        for name, one in FILTERS.items():
            if name != "all":
                self._tiles[name].show(str(in_trouble if name == "trouble" else one.count(counts)))
        self._tiles["out"].show(show.kbps(overview.kbps_out))
        self._tiles["free"].show(str(overview.room))

    def _show_problems(self, page: TaskPage) -> None:
        self._problems.show((task.task_id, task) for task in sorted(page.tasks, key=show.urgency))
        self._no_problems.set_visibility(not page.tasks)
        self._all_problems.set_text(self._who.t("overview.all_problems", count=page.total))
        self._all_problems.set_visibility(page.total > len(page.tasks))

    def _make_problem(self, first: TaskView) -> tuple[ui.element, Show[TaskView]]:
        t = self._who.t
        with ui.link(target=f"/tasks/{first.task_id}").classes("line problem-line") as line:
            chip = state_chip(*show.chip_of(first, t))
            with ui.element("div").classes("grow"):
                title = ui.label().classes("line-title")
                problem = ui.label().classes("soft wrap")
            with ui.element("div").classes("soft nowrap num") as since:
                ui.label(t("trouble.since"))
                at = time_at("")
            ui.icon("chevron_right").classes("soft")

        def follow(task: TaskView) -> None:
            set_chip(chip, *show.chip_of(task, t))
            title.set_text(show.title_of(task, t))
            problem.set_text(show.problem_of(task, t, self._who.say))
            since.set_visibility(task.run.trouble is not None)
            if task.run.trouble is not None:
                at.props["at"] = task.run.trouble.since_at.isoformat()

        follow(first)
        return line, follow

    def _show_workers(self, workers: list[WorkerView]) -> None:
        alive = [(one.worker_id, one) for one in workers if one.is_alive]
        self._workers.show(alive)
        self._no_workers.set_visibility(not alive)

    def _make_worker(self, first: WorkerView) -> tuple[ui.element, Show[WorkerView]]:
        t = self._who.t
        with ui.element("div").classes("line") as line, ui.element("div").classes("grow"):
            ui.label(first.worker_id).classes("line-title mono")
            load = bar(0, first.worker_id)
            about = ui.label().classes("soft num")

        def follow(one: WorkerView) -> None:
            load.set_value(one.tasks / max(1, one.capacity))
            words = [] if one.state is WorkerState.OPEN else [t(f"worker.{one.state.value}")]
            about.set_text(" · ".join((*words, *facts_of(one, t))))

        follow(first)
        return line, follow

    def _show_cache(self, cache: CacheView) -> None:
        t, size, limit = self._who.t, show.size(cache.size_bytes), show.size(cache.max_bytes)
        self._cache_size.set_text(t("overview.cache_use", size=size, limit=limit))
        self._cache_use.set_value(cache.size_bytes / max(1, cache.max_bytes))
        in_use = sum(one.in_use for one in cache.items)
        self._cache_files.set_text(t("overview.cache_files", count=len(cache.items), in_use=in_use))


class _Tile:
    """A number and what it counts, as a link to the list of that."""

    def __init__(self, name: str, words: str, query: str) -> None:
        with ui.link(target=f"/tasks{query}").classes(f"tile tile-{name}") as self._link:
            self._value = ui.label().classes("tile-value")
            ui.label(words).classes("tile-words")

    def show(self, value: str) -> None:
        self._value.set_text(value)
        self._link.classes(add="zero") if value == "0" else self._link.classes(remove="zero")
