"""What happened to a task, and which callbacks told it: two lists behind two tabs."""

from functools import partial

from nicegui import ui

from streamferry.control.dashboard.desk import Desk
from streamferry.control.dashboard.frame import Visitor
from streamferry.control.dashboard.widgets import attempt, empty, icon_button, time_at
from streamferry.control.model import DeliveryState
from streamferry.control.rest.views import EventView
from streamferry.control.store.records import DeliveryRecord
from streamferry.relay import State

#: At first, and more each time that somebody asks for earlier ones.
_STEP = 50
_MOST = 500
_STATES = frozenset(State)
_EVENTS = frozenset(
    (
        *("created", "updated", "disabled", "enabled", "relaunched", "deleted"),
        *("claimed", "lost", "starting", "item_started", "item_failed", "item_finished"),
    )
)
# The one after it says the same.
_LEFT_OUT = "item_finished"


class History:
    """Events newest first; callbacks newest first, each to be sent again by who may write."""

    def __init__(self, who: Visitor, desk: Desk, task_id: str) -> None:
        self._who, self._desk, self._task_id = who, desk, task_id
        self._shown_events: list[EventView] = []
        self._shown_deliveries: list[DeliveryRecord] | None = None
        self._events_wanted = self._deliveries_wanted = _STEP
        t = who.t
        with ui.tabs().props("dense no-caps align=left inline-label").classes("tabs") as tabs:
            events, deliveries = ui.tab("events", t("history.events")), ui.tab("callbacks", t("history.callbacks"))
        with ui.tab_panels(tabs, value=events, animated=False).classes("panels"):
            with ui.tab_panel(events):
                self._events = self._log(t("history.events"))
            with ui.tab_panel(deliveries):
                self._deliveries = self._log(t("history.callbacks"))

    @staticmethod
    def _log(name: str) -> ui.column:
        """A box that can be scrolled by keys, too."""
        made = ui.column().classes("lines log").props("tabindex=0 role=region")
        made.props["aria-label"] = name
        return made

    async def refresh(self) -> None:
        """Draw again what has changed."""
        events = await self._desk.reads.latest_events(self._task_id, limit=self._events_wanted)
        if events != self._shown_events:
            self._shown_events = events
            self._draw_events()
        deliveries = await self._desk.deliveries(self._task_id, self._deliveries_wanted)
        if deliveries != self._shown_deliveries:
            self._shown_deliveries = deliveries
            self._draw_deliveries()

    def _draw_events(self) -> None:
        t = self._who.t
        self._events.clear()
        with self._events:
            for one in self._shown_events:
                if one.kind == _LEFT_OUT:
                    continue
                with ui.element("div").classes("log-line"):
                    time_at(one.at.isoformat()).classes("soft nowrap num").props("seconds")
                    ui.label(self._words_of(one.kind)).classes(f"log-kind k-{one.kind}")
                    ui.label(self._detail(one)).classes("soft wrap grow")
            if len(self._shown_events) == self._events_wanted < _MOST:
                ui.button(t("history.earlier"), on_click=self._ask_earlier_events).props("flat dense no-caps")

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
                        " — ".join(part for part in (words, self._who.reasons(one.problem or "")) if part)
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
        await attempt(self._who, lambda: self._desk.replay(self._who, one.event_id), done)
        await self.refresh()

    def _detail(self, event: EventView) -> str:
        """What an event tells beside its kind: the reason first."""
        t, detail = self._who.t, event.detail
        words = [self._who.reasons(str(detail["reason"]))] if detail.get("reason") else []
        if "worker" in detail:
            words.append(str(detail["worker"]))
        if "version" in detail:
            words.append(f"v{detail['version']}")
        if event.kind.startswith("item_") and "playhead" in detail:
            head = detail["playhead"]
            words.append(t("history.place", item=head["item"] + 1, loop=head["loop"] + 1))
        return " · ".join(words)
