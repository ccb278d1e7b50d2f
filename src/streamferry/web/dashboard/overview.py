"""The first page: what is wrong, then what there is: streams by state, workers, cache."""

from nicegui import ui

from streamferry.store.records import TaskCount
from streamferry.web.dashboard import show
from streamferry.web.dashboard.filters import FILTERS
from streamferry.web.dashboard.frame import Page, Visitor, frame, live, visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import bar, card, empty, state_chip, time_at
from streamferry.web.operation_views import CacheView, WorkerView
from streamferry.web.views import Overview, TaskPage

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
    def __init__(self, who: Visitor, page_actions: PageActions) -> None:
        self._who = who
        self._page_actions = page_actions
        self._shown: list[object] = []

    async def build(self) -> "_Content":
        self._numbers = ui.element("div").classes("tiles")
        with card(self._who.t("overview.problems")):
            self._problems = ui.column().classes("lines")
        with ui.element("div").classes("halves"):
            with card(self._who.t("overview.workers")):
                self._workers = ui.column().classes("lines")
            with card(self._who.t("overview.cache")):
                self._cache = ui.column().classes("lines")
        await self.refresh()
        return self

    async def refresh(self) -> None:
        """Draw again what has changed."""
        reads = self._page_actions.reads
        counts, overview = await self._page_actions.numbers.counts(), await self._page_actions.numbers.overview()
        troubled = await FILTERS["trouble"].page(reads, size=_PROBLEMS)
        found: list[object] = [
            (overview, counts, troubled.total),
            troubled,
            (await reads.workers()).workers,
            await reads.cache(),
        ]
        draw = (self._draw_numbers, self._draw_problems, self._draw_workers, self._draw_cache)
        before = self._shown or [None] * len(found)
        for one, was, how in zip(found, before, draw, strict=True):
            if one != was:
                how(one)  # type: ignore[operator]
        self._shown = found

    def _draw_numbers(self, numbers: tuple[Overview, list[TaskCount], int]) -> None:
        t, (overview, counts, in_trouble) = self._who.t, numbers
        self._numbers.clear()
        with self._numbers:
            for name, one in FILTERS.items():
                if name != "all":
                    # Always the number of the list below it: the counts may be older.
                    count = in_trouble if name == "trouble" else one.count(counts)
                    self._tile(t(f"filter.{name}"), str(count), f"tile-{name}", f"?state={name}")
            self._tile(t("overview.out"), show.kbps(overview.kbps_out), "tile-out", "?state=streaming")
            self._tile(t("overview.free"), str(overview.room), "tile-free", "")

    def _tile(self, words: str, value: str, kind: str, query: str) -> None:
        with ui.link(target=f"/tasks{query}").classes(f"tile {kind}" + (" zero" if value == "0" else "")):
            ui.label(value).classes("tile-value")
            ui.label(words).classes("tile-words")

    def _draw_problems(self, page: TaskPage) -> None:
        t = self._who.t
        self._problems.clear()
        with self._problems:
            if not page.tasks:
                empty("check_circle", t("overview.no_problems"))
            for task in sorted(page.tasks, key=show.urgency):
                with ui.link(target=f"/tasks/{task.task_id}").classes("line problem-line"):
                    state_chip(*show.chip_of(task, t))
                    with ui.element("div").classes("grow"):
                        ui.label(show.title_of(task, t)).classes("line-title")
                        ui.label(show.problem_of(task, t, self._who.say)).classes("soft wrap")
                    if task.run.trouble is not None:
                        with ui.element("div").classes("soft nowrap num"):
                            ui.label(t("trouble.since"))
                            time_at(task.run.trouble.since_at.isoformat())
                    ui.icon("chevron_right").classes("soft")
            if page.total > len(page.tasks):
                ui.link(t("overview.all_problems", count=page.total), "/tasks?state=trouble")

    def _draw_workers(self, workers: list[WorkerView]) -> None:
        t = self._who.t
        self._workers.clear()
        alive = [one for one in workers if one.is_alive]
        with self._workers:
            if not alive:
                empty("warning", t("overview.no_workers"))
            for one in alive:
                with ui.element("div").classes("line"), ui.element("div").classes("grow"):
                    ui.label(one.worker_id).classes("line-title mono")
                    load = one.tasks / max(1, one.capacity)
                    bar(load, one.worker_id)
                    words = [t("overview.load", tasks=one.tasks, capacity=one.capacity)]
                    if one.health is not None:
                        words.append(t("overview.cpu", percent=round(one.health.cpu_percent)))
                        words.append(show.size(one.health.memory_bytes))
                    ui.label(" · ".join(words)).classes("soft num")

    def _draw_cache(self, cache: CacheView) -> None:
        t, size, limit = self._who.t, show.size(cache.size_bytes), show.size(cache.max_bytes)
        self._cache.clear()
        with self._cache, ui.element("div").classes("line"), ui.element("div").classes("grow"):
            ui.label(t("overview.cache_use", size=size, limit=limit)).classes("line-title")
            full = cache.size_bytes / max(1, cache.max_bytes)
            bar(full, t("overview.cache"))
            in_use = sum(one.in_use for one in cache.items)
            ui.label(t("overview.cache_files", count=len(cache.items), in_use=in_use)).classes("soft num")
