"""Builds what the dashboard needs, which is the same as for REST."""

from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.library import Library
from streamferry.store import Store
from streamferry.web.calendar_tokens import CalendarTokens
from streamferry.web.dashboard.numbers import Numbers
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import Sessions
from streamferry.web.probing import Probing
from streamferry.web.reads import Reads
from streamferry.web.rest.parts import RestSettings
from streamferry.web.schedules import Schedules
from streamferry.web.writes import Writes


def make_page_actions(
    settings: Settings, store: Store, actions: Actions, library: Library, callbacks: Callbacks, rest: RestSettings
) -> PageActions:
    """The page actions, from the settings of the service and of REST."""
    sessions = Sessions()
    reads = Reads(actions, rest.read_cache, samples=rest.samples)
    return PageActions(
        actions,
        reads,
        Numbers(reads),
        Writes(actions, rest.address_rules),
        library,
        callbacks,
        probing=Probing(rest.address_rules, rest.prober),
        sdk_body=rest.sdk_body,
        sessions=sessions,
        shelf=SessionShelf(store, sessions),
        schedules=Schedules(actions),
        calendars=CalendarTokens(actions, store.seal),
        public_hosts=settings.public_hosts,
    )
