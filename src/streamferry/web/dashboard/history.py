"""What happened to a task, and its callbacks, in four tabs: problems, what played, all, and callbacks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from nicegui import ui

from streamferry.reasons import Reason
from streamferry.relay.status import State
from streamferry.store.records import DeliveryRecord
from streamferry.tasks.model import DeliveryState
from streamferry.web.dashboard.air_view import name_of_told
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.keyed import KeyedLines, Show
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import attempt, empty, icon_button, time_at
from streamferry.web.event_views import EventView

#: How many are shown at first, and added each time that earlier ones are requested.
_STEP = 50
_MOST = 500
_STATES = frozenset(State)
_EVENTS = frozenset(
    (
        *("created", "updated", "disabled", "enabled", "relaunched", "deleted"),
        *("claimed", "lost", "moved_on", "starting", "item_started", "item_failed", "item_finished", "switched"),
        *("destination_changed", "destination_moved", "content_found", "content_over"),
    )
)
#: View -> the kinds of events in it; none is all.
VIEWS: dict[str, tuple[str, ...]] = {
    "problems": ("retrying", "stalled", "failed", "lost", "item_failed", "waiting", "content_found"),
    "played": ("item_started", "item_failed", "item_finished", "switched"),
    "all": (),
}
#: For these kinds the key or command that caused them is shown.
_BY_SOMEBODY = frozenset(("created", "updated", "disabled", "enabled", "relaunched", "deleted"))
# The next one says the same.
_LEFT_OUT = "item_finished"
#: View -> icon where there is nothing in it.
_NO_EVENTS = {view: "check_circle" if view == "problems" else "history" for view in VIEWS}


@dataclass(frozen=True, slots=True)
class Line:
    """An event, or several similar ones in a row: the newest, how many, and the oldest."""

    newest: EventView
    count: int
    oldest: EventView


def lines_of(events: Sequence[EventView], view: str) -> list[Line]:
    """The lines of a view, newest first; repeated events are shown once.

    Problems are the same if their kinds are; in the view of all events the reasons have to be the same, too.
    """

    def alike(event: EventView) -> tuple[object, ...]:
        if event.kind.startswith("item_"):
            return event.kind, event.id
        return event.kind, None if view == "problems" else str(event.detail)

    # A waiting task is a problem only if there is a reason.
    told = [one for one in events if view != "problems" or one.kind != "waiting" or one.detail.get("fault")]
    groups = [list(found) for _, found in groupby(told, alike)]
    return [Line(found[0], len(found), found[-1]) for found in groups]


class History:
    """Events newest first; callbacks newest first, with a button to send each again for visitors who may write."""

    def __init__(self, who: Visitor, page_actions: PageActions, task_id: str) -> None:
        self._who, self._page_actions, self._task_id = who, page_actions, task_id
        self._view = "all"
        self._events_wanted = self._deliveries_wanted = _STEP
        t = who.t
        with ui.tabs().props("dense no-caps align=left inline-label").classes("tabs") as tabs:
            for name in (*VIEWS, "callbacks"):
                ui.tab(name, t(f"history.{name}"))
        tabs.set_value("all")
        tabs.on_value_change(lambda event: self._choose(event.value))
        with _log(t("history.events")) as self._events:
            self._no_events = {view: empty(icon, t(f"history.no_{view}")) for view, icon in _NO_EVENTS.items()}
            self._earlier_events = _earlier(t("history.earlier"), self._ask_earlier_events)
        self._lines = KeyedLines(self._events, self._make_line)
        with _log(t("history.callbacks")) as self._deliveries:
            self._no_deliveries = empty("notifications_none", t("history.no_callbacks"))
            self._earlier_deliveries = _earlier(t("history.earlier"), self._ask_earlier_deliveries)
        self._delivery_lines = KeyedLines(self._deliveries, self._make_delivery)
        self._deliveries.set_visibility(False)

    async def _choose(self, name: str) -> None:
        self._events.set_visibility(name in VIEWS)
        self._deliveries.set_visibility(name not in VIEWS)
        if name in VIEWS:
            self._view, self._events_wanted = name, _STEP
            await self.refresh()

    async def refresh(self) -> None:
        """Draw again what has changed."""
        view = self._view
        events = await self._page_actions.reads.latest_events(
            self._task_id, limit=self._events_wanted, kinds=VIEWS[view]
        )
        if view == self._view:
            self._show_events(events)
        deliveries = await self._page_actions.deliveries(self._task_id, self._deliveries_wanted)
        self._delivery_lines.show((one.event_id, one) for one in deliveries)
        self._no_deliveries.set_visibility(not deliveries)
        self._earlier_deliveries.set_visibility(len(deliveries) == self._deliveries_wanted < _MOST)

    def _show_events(self, events: list[EventView]) -> None:
        self._lines.show(self._told(events))
        for view, none in self._no_events.items():
            none.set_visibility(view == self._view and not events)
        self._earlier_events.set_visibility(len(events) == self._events_wanted < _MOST)

    def _told(self, events: list[EventView]) -> Iterator[tuple[tuple[object, ...], Line | int]]:
        """Keys and lines; a number is of events that were not told."""
        for line in lines_of(events, self._view):
            # Where a problem repeats, the oldest one stays.
            key = (self._view, line.oldest.id)
            if line.newest.kind != _LEFT_OUT:
                yield key, line
            if untold := line.newest.detail.get("untold"):
                yield (*key, "untold"), int(untold)

    def _make_line(self, first: Line | int) -> tuple[ui.element, Show[Line | int]]:
        with ui.element("div").classes("log-line") as made:
            if isinstance(first, int):
                untold = ui.label().classes("soft")
            else:
                newest = time_at("").classes("soft nowrap num").props("seconds")
                kind = ui.label()
                with ui.element("div").classes("soft wrap grow"):
                    detail = ui.label()
                    since = ui.label(self._who.t("trouble.since")).classes("log-since")
                    oldest = time_at("").props("seconds").classes("num")

        def follow(line: Line | int) -> None:
            if isinstance(line, int):
                untold.set_text(self._who.t("history.untold", count=line))
                return
            one, words = line.newest, self._words_of(line.newest.kind)
            newest.props["at"], oldest.props["at"] = one.at.isoformat(), line.oldest.at.isoformat()
            kind.set_text(f"{words} ×{line.count}" if line.count > 1 else words)
            kind.classes(replace=f"log-kind k-{one.kind}")
            detail.set_text(self._detail(one))
            since.set_visibility(line.count > 1)
            oldest.set_visibility(line.count > 1)

        follow(first)
        return made, follow

    def _make_delivery(self, first: DeliveryRecord) -> tuple[ui.element, Show[DeliveryRecord]]:
        t = self._who.t
        with ui.element("div").classes("log-line") as made:
            at = time_at("").classes("soft nowrap num").props("seconds")
            ui.label(self._words_of(first.event.value)).classes(f"log-kind k-{first.event.value}")
            about = ui.label().classes("soft wrap grow")
            again = None
            if self._who.session.can_write:
                again = icon_button("replay", t("history.replay"), partial(self._replay, first.event_id))
                again.props("size=sm")

        def follow(one: DeliveryRecord) -> None:
            at.props["at"] = one.at.isoformat()
            words = t(f"delivery.{one.state.value}", attempts=one.attempts)
            about.set_text(
                " — ".join(part for part in (words, self._who.say(one.problem) if one.problem else "") if part)
            )
            if again is not None:
                again.set_visibility(one.state is not DeliveryState.WAITING)

        follow(first)
        return made, follow

    async def _ask_earlier_events(self) -> None:
        self._events_wanted += _STEP
        await self.refresh()

    async def _ask_earlier_deliveries(self) -> None:
        self._deliveries_wanted += _STEP
        await self.refresh()

    def _words_of(self, kind: str) -> str:
        known = kind if kind in _EVENTS else "other"
        return self._who.t(f"state.{kind}" if kind in _STATES else f"event.{known}")

    async def _replay(self, event_id: str) -> None:
        done = self._who.t("history.replayed")
        await attempt(self._who, lambda: self._page_actions.replay(self._who, event_id), done)
        await self.refresh()

    def _detail(self, event: EventView) -> str:
        """The details of an event, the reason first."""
        t, detail = self._who.t, event.detail
        why = Reason.of_told(detail)
        words = [self._who.say(why)] if why is not None else []
        if event.kind == "switched":
            words.insert(0, " → ".join(name_of_told(detail.get(one), t) for one in ("from", "to")))
            words += [str(detail["file"])] if detail.get("file") else []
        if state := detail.get("destination_state"):
            words.insert(0, f"{detail['destination']} · {t(f'state.{state}')}")
        if "worker" in detail:
            words.append(str(detail["worker"]))
        if event.kind in _BY_SOMEBODY and event.actor is not None:
            words.append(event.actor.partition(":")[2])
        if "version" in detail:
            words.append(f"v{detail['version']}")
        if event.kind.startswith("item_") and "playhead" in detail:
            head = detail["playhead"]
            words.append(t("history.place", item=head["item"] + 1, loop=head["loop"] + 1))
        return " · ".join(words)


def _log(name: str) -> ui.column:
    """A box that can also be scrolled with the keyboard."""
    made = ui.column().classes("lines log").props("tabindex=0 role=tabpanel")
    made.props["aria-label"] = name
    return made


def _earlier(words: str, ask: Callable[[], object]) -> ui.button:
    return ui.button(words, on_click=ask).props("flat dense no-caps")
