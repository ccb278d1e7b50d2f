"""What happened to a task, and its callbacks, in four tabs: problems, what played, all, and callbacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from nicegui import ui

from streamferry.reasons import Reason
from streamferry.relay.status import State
from streamferry.store.records import DeliveryRecord
from streamferry.tasks.model import DeliveryState
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import attempt, empty, icon_button, time_at
from streamferry.web.views import EventView

#: How many are shown at first, and added each time that earlier ones are requested.
_STEP = 50
_MOST = 500
_STATES = frozenset(State)
_EVENTS = frozenset(
    (
        *("created", "updated", "disabled", "enabled", "relaunched", "deleted"),
        *("claimed", "lost", "starting", "item_started", "item_failed", "item_finished"),
    )
)
#: View -> the kinds of events in it; none is all.
VIEWS: dict[str, tuple[str, ...]] = {
    "problems": ("retrying", "stalled", "failed", "lost", "item_failed", "waiting"),
    "played": ("item_started", "item_failed", "item_finished"),
    "all": (),
}
#: For these kinds the key or command that caused them is shown.
_BY_SOMEBODY = frozenset(("created", "updated", "disabled", "enabled", "relaunched", "deleted"))
# The next one says the same.
_LEFT_OUT = "item_finished"


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
        self._shown_events: tuple[str, list[EventView]] | None = None
        self._shown_deliveries: list[DeliveryRecord] | None = None
        self._events_wanted = self._deliveries_wanted = _STEP
        t = who.t
        with ui.tabs().props("dense no-caps align=left inline-label").classes("tabs") as tabs:
            for name in (*VIEWS, "callbacks"):
                ui.tab(name, t(f"history.{name}"))
        tabs.set_value("all")
        tabs.on_value_change(lambda event: self._choose(event.value))
        self._events = self._log(t("history.events"))
        self._deliveries = self._log(t("history.callbacks"))
        self._deliveries.set_visibility(False)

    @staticmethod
    def _log(name: str) -> ui.column:
        """A box that can also be scrolled with the keyboard."""
        made = ui.column().classes("lines log").props("tabindex=0 role=tabpanel")
        made.props["aria-label"] = name
        return made

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
        if view == self._view and (view, events) != self._shown_events:
            self._shown_events = (view, events)
            self._draw_events(events)
        deliveries = await self._page_actions.deliveries(self._task_id, self._deliveries_wanted)
        if deliveries != self._shown_deliveries:
            self._shown_deliveries = deliveries
            self._draw_deliveries()

    def _draw_events(self, events: list[EventView]) -> None:
        t = self._who.t
        self._events.clear()
        with self._events:
            if not events:
                empty("check_circle" if self._view == "problems" else "history", t(f"history.no_{self._view}"))
            for line in lines_of(events, self._view):
                self._draw_line(line)
            if len(events) == self._events_wanted < _MOST:
                ui.button(t("history.earlier"), on_click=self._ask_earlier_events).props("flat dense no-caps")

    def _draw_line(self, line: Line) -> None:
        t, one = self._who.t, line.newest
        if one.kind != _LEFT_OUT:
            with ui.element("div").classes("log-line"):
                time_at(one.at.isoformat()).classes("soft nowrap num").props("seconds")
                words = self._words_of(one.kind)
                ui.label(f"{words} ×{line.count}" if line.count > 1 else words).classes(f"log-kind k-{one.kind}")
                with ui.element("div").classes("soft wrap grow"):
                    ui.label(self._detail(one))
                    if line.count > 1:
                        ui.label(t("trouble.since")).classes("log-since")
                        time_at(line.oldest.at.isoformat()).props("seconds").classes("num")
        if untold := one.detail.get("untold"):
            with ui.element("div").classes("log-line"):
                ui.label(t("history.untold", count=untold)).classes("soft")

    def _draw_deliveries(self) -> None:
        t = self._who.t
        self._deliveries.clear()
        with self._deliveries:
            if not self._shown_deliveries:
                empty("notifications_none", t("history.no_callbacks"))
            for one in self._shown_deliveries or ():
                with ui.element("div").classes("log-line"):
                    time_at(one.at.isoformat()).classes("soft nowrap num").props("seconds")
                    ui.label(self._words_of(one.event.value)).classes(f"log-kind k-{one.event.value}")
                    words = t(f"delivery.{one.state.value}", attempts=one.attempts)
                    ui.label(
                        " — ".join(part for part in (words, self._who.say(one.problem) if one.problem else "") if part)
                    ).classes("soft wrap grow")
                    if one.state is not DeliveryState.WAITING and self._who.session.can_write:
                        icon_button("replay", t("history.replay"), partial(self._replay, one)).props("size=sm")
            if len(self._shown_deliveries or ()) == self._deliveries_wanted < _MOST:
                ui.button(t("history.earlier"), on_click=self._ask_earlier_deliveries).props("flat dense no-caps")

    async def _ask_earlier_events(self) -> None:
        self._events_wanted += _STEP
        await self.refresh()

    async def _ask_earlier_deliveries(self) -> None:
        self._deliveries_wanted += _STEP
        await self.refresh()

    def _words_of(self, kind: str) -> str:
        known = kind if kind in _EVENTS else "other"
        return self._who.t(f"state.{kind}" if kind in _STATES else f"event.{known}")

    async def _replay(self, one: DeliveryRecord) -> None:
        done = self._who.t("history.replayed")
        await attempt(self._who, lambda: self._page_actions.replay(self._who, one.event_id), done)
        await self.refresh()

    def _detail(self, event: EventView) -> str:
        """The details of an event, the reason first."""
        t, detail = self._who.t, event.detail
        why = Reason.of_told(detail)
        words = [self._who.say(why)] if why is not None else []
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
