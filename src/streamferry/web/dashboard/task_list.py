"""All tasks: a live table, filtered and paged by the store, and actions on several at once."""

import json
from typing import Any

from nicegui import events, ui

from streamferry.media.url import readable
from streamferry.relay.status import State
from streamferry.tasks.errors import ActionError
from streamferry.web.dashboard import show
from streamferry.web.dashboard.badges import badges_of
from streamferry.web.dashboard.filters import FILTERS
from streamferry.web.dashboard.frame import Page, Visitor, frame, live, visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.session_gate import BASE
from streamferry.web.dashboard.task_table import task_table
from streamferry.web.dashboard.widgets import is_sure
from streamferry.web.views import Kind, Status, TaskView

_REFRESH_S = 2.0
_SIZES = (10, 25, 50, 100)
_GROUPS = 500
#: Tasks that are read at a time for an action on all of them; and how many a question names.
_AT_ONCE = 500
_NAMED = 5
#: Actions on several tasks: name, icon, colour.
_DEEDS = (("stop", "stop", "primary"), ("continue", "play_arrow", "primary"), ("delete", "delete", "negative"))


def register(page_actions: PageActions) -> None:
    """Make the page."""

    @Page("/tasks")
    async def tasks(state: str = "all", group: str = "", q: str = "") -> None:
        who = visitor()
        with frame(who, who.t("nav.tasks"), place="/tasks"):
            content = _Content(who, page_actions, state if state in FILTERS else "all", group, q)
            await content.build()
            live(who, _REFRESH_S, content.refresh)


class _Content:
    def __init__(self, who: Visitor, page_actions: PageActions, state: str, group: str, title: str) -> None:
        self._who = who
        self._page_actions = page_actions
        self._state, self._group, self._title = state, group, title
        self._page, self._size = 1, 25
        self._tabs: dict[str, ui.button] = {}
        #: Whether all tasks that match the filters are selected, not only those ticked on this page; and how many.
        self._all = False
        self._total = 0

    async def build(self) -> None:
        """Filters, the bar for several, the table."""
        t = self._who.t
        groups = (await self._page_actions.reads.groups(size=_GROUPS)).groups
        with ui.element("div").classes("toolbar"):
            search = ui.input(placeholder=t("tasks.search"), value=self._title).classes("search")
            search.props("outlined dense clearable debounce=300 maxlength=100").on_value_change(self._search)
            with search.add_slot("prepend"):
                ui.icon("search")
            if len(groups) > 1:
                choices = {"": t("tasks.all_groups"), **{one.name: one.name for one in groups}}
                choice = ui.select(choices, value=self._group if self._group in choices else "")
                choice.props("outlined dense options-dense").classes("group-choice").on_value_change(self._choose_group)
            ui.space()
            if self._who.session.can_write:
                new = ui.button(t("tasks.new"), icon="add", on_click=lambda: ui.navigate.to("/new"))
                new.props("unelevated no-caps")
        with ui.element("div").classes("filters"):
            for name in FILTERS:
                button = ui.button(on_click=lambda name=name: self._choose_state(name), color=None)
                self._tabs[name] = button.props("flat dense no-caps")
        self._bulk = ui.element("div").classes("bulk")
        self._table = task_table(self._who, selects=self._who.session.can_write)
        self._table.on("request", self._turn_page).on_select(lambda _: self._tick())
        self._draw_bulk()
        await self.refresh()

    async def refresh(self) -> None:
        """Read the page again, and show what has changed."""
        t, reads = self._who.t, self._page_actions.reads
        # What the other filters match: the number 310 above a list of 100 is no help.
        counts = await self._page_actions.numbers.counts(title=self._title, groups=self._groups)
        found = await FILTERS[self._state].page(
            reads,
            title=self._title,
            groups=self._groups,
            page=self._page,
            size=self._size,
        )
        for name, button in self._tabs.items():
            # The list was read after the counts, which may be older: show above it how many are in it.
            count = found.total if name == self._state else FILTERS[name].count(counts)
            button.set_text(f"{t(f'filter.{name}')}  {count}")
            kind = "here" if name == self._state else "" if count else "zero"
            button.classes(replace=f"filter filter-{name} {kind}")
        self._total = found.total
        rows = [row_of(task, self._who) for task in found.tasks]
        pagination = {"page": self._page, "rowsPerPage": self._size, "rowsNumber": found.total}
        if rows != self._table.rows or pagination != self._table.pagination:
            self._table.rows[:] = rows
            self._table.pagination = pagination
            self._table.update()

    async def _turn_page(self, event: events.GenericEventArguments) -> None:
        wanted = event.args["pagination"]
        self._size = wanted["rowsPerPage"] if wanted["rowsPerPage"] in _SIZES else _SIZES[1]
        self._page = max(1, int(wanted["page"]))
        await self.refresh()

    async def _search(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._title = (event.value or "")[:100]
        await self._begin_anew()

    async def _choose_group(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._group = event.value
        await self._begin_anew()

    async def _choose_state(self, name: str) -> None:
        self._state = name
        await self._begin_anew()

    async def _begin_anew(self) -> None:
        self._page = 1
        self._untick()
        await self.refresh()
        query = {"state": self._state if self._state != "all" else "", "group": self._group, "q": self._title}
        ui.run_javascript(f"dashboard.keepQuery({json.dumps({name: value for name, value in query.items() if value})})")

    def _tick(self) -> None:
        self._all = False
        self._draw_bulk()

    def _untick(self) -> None:
        self._table.selected.clear()
        self._tick()

    def _take_all(self) -> None:
        self._all = True
        self._draw_bulk()

    def _draw_bulk(self) -> None:
        """Actions on the ticked tasks; hidden when none is ticked."""
        t, ticked = self._who.t, len(self._table.selected)
        count = self._total if self._all else ticked
        self._bulk.clear()
        self._bulk.set_visibility(count > 0)
        with self._bulk:
            ui.label(t("tasks.selected", count=count))
            if not self._all and ticked == len(self._table.rows) < self._total:
                more = ui.button(t("tasks.select_all", count=self._total), on_click=self._take_all)
                more.props("flat dense no-caps")
            ui.space()
            for name, icon, colour in _DEEDS:
                button = ui.button(t(f"do.{name}"), icon=icon, on_click=lambda name=name: self._do_to_all(name))
                button.props(f"flat dense no-caps color={colour}")

    async def _do_to_all(self, name: str) -> None:
        t = self._who.t
        meant = await self._meant()
        on_air = sum(show.is_on_air(one) for one in meant)
        about = [f"{show.title_of(one, t)} — {show.chip_of(one, t)[1]} → {one.destination}" for one in meant[:_NAMED]]
        about += [t("tasks.and_more", count=len(meant) - _NAMED)] if len(meant) > _NAMED else []
        about += [t("tasks.on_air", count=on_air)] if on_air else []
        if not await is_sure(
            self._who,
            t(f"tasks.{name}_question", count=len(meant)),
            t(f"do.{name}"),
            about=about,
            dangerous=name == "delete",
            typed=str(len(meant)) if name == "delete" and on_air else "",
        ):
            return
        refused: list[str] = []
        for one in meant:
            try:
                await self._page_actions.do(self._who, name, one.task_id)
            except ActionError as error:
                refused.append(self._who.say(error.why))
        if refused:
            words = t("tasks.some_refused", done=len(meant) - len(refused), refused=len(refused), reason=refused[0])
            ui.notify(words, type="warning", multi_line=True, close_button=t("close"), timeout=0)
        else:
            ui.notify(t("tasks.all_done", count=len(meant)), type="positive")
        self._untick()
        await self.refresh()

    async def _meant(self) -> list[TaskView]:
        """The ticked tasks, or all that match the filters, as they are now."""
        ticked = {row["id"] for row in self._table.selected}
        found: list[TaskView] = []
        for page in range(1, -(-self._total // _AT_ONCE) + 1):
            if self._all or len(found) < len(ticked):
                part = await FILTERS[self._state].page(
                    self._page_actions.reads, title=self._title, groups=self._groups, page=page, size=_AT_ONCE
                )
                found += [one for one in part.tasks if self._all or one.task_id in ticked]
        return found

    @property
    def _groups(self) -> list[str]:
        return [self._group] if self._group else []


def row_of(task: TaskView, who: Visitor) -> dict[str, Any]:
    """A task as a row of the table."""
    t, run, state = who.t, task.run, show.state_of(task)
    chip, words = show.chip_of(task, t)
    trouble = show.trouble_of(task)
    is_running = task.status is Status.ACTIVE and state is not State.WAITING
    name, where = show.name_and_place(task.sources[0].url)
    more = f"+{len(task.sources) - 1}" if len(task.sources) > 1 else ""
    return {
        "id": task.task_id,
        "href": f"{BASE}/tasks/{task.task_id}",
        "state": chip,
        "state_words": words,
        "runs": is_running,
        "title": show.title_of(task, t),
        "about": " · ".join((t(f"kind.{task.kind.value}"), task.group)),
        "problem": show.problem_of(task, t, who.say),
        "badges": badges_of(task, t),
        "since": trouble.since_at.isoformat() if trouble else "",
        "callbacks": show.callback_trouble_of(task, t),
        "source": readable(task.sources[0].url),
        "source_name": name,
        "source_where": where,
        "more": more,
        "destination": task.destination,
        "out": show.kbps(run.kbps_out) if is_running else show.UNKNOWN,
        # A list is read ahead, mostly from the cache: its rate says nothing.
        "into": show.kbps(run.kbps_in) if is_running and task.kind is Kind.LIVE else "",
        "media": show.span(run.media_time_s) if is_running else show.UNKNOWN,
        "place": show.place_of(task, t),
        "retries": run.retries,
        "dropped": run.dropped_tags,
        "start": task.start_at.isoformat(),
        "end": "" if task.end_at == "never" else task.end_at.isoformat(),
        "endless": t("window.never") if task.end_at == "never" else "",
    }
