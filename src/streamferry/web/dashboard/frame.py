"""What all pages share: the visitor, header and navigation, switches for language and theme. Not a page itself."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from html import escape
from typing import Any
from weakref import WeakSet

from nicegui import Client, ui
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from streamferry.store import TROUBLE
from streamferry.web.dashboard.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Preferences
from streamferry.web.dashboard.session_gate import BASE, session_of
from streamferry.web.dashboard.sessions import Session
from streamferry.web.dashboard.sign_in import SIGN_OUT
from streamferry.web.dashboard.texts import LANGUAGES, Say, Translate, sayer, translator

#: Navigation: key of the label, path below BASE, icon.
_PLACES = (
    ("nav.overview", "/", "dashboard"),
    ("nav.tasks", "/tasks", "view_list"),
    ("nav.library", "/library", "video_library"),
    ("nav.workers", "/workers", "dns"),
)
_HEAD = f'<link rel="stylesheet" href="{BASE}/static/dashboard.css"><script src="{BASE}/static/dashboard.js"></script>'
#: How long after the store could not be reached a page tries again.
_AWAY_S = 10.0
#: A page refreshes again after this many times the duration of a refresh.
_REST = 10
#: How long a page may take to build. The page framework would give up after 3 s, which a busy machine needs; the store
#: has deadlines of its own.
_BUILD_S = 60.0
#: How often a page is told that the service is alive, even if nothing has changed (``dashboard.js``).
_WORD_S = 1.5
_THEME_ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor of a page, and their preferences."""

    session: Session
    preferences: Preferences
    t: Translate
    say: Say

    @property
    def is_welcome(self) -> bool:
        """Whether the session is still valid; an open page may outlive it."""
        return self.session.is_live(time.monotonic())

    @property
    def can_write(self) -> bool:
        """Whether the visitor may change something now."""
        return self.session.can_write and self.is_welcome


_visitor: ContextVar[Visitor] = ContextVar("visitor")


class VisitorMiddleware:
    """An ASGI layer behind the gate: makes the visitor of a request known to the page that is built for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        session = session_of(scope) if scope["type"] == "http" else None
        if session is not None:
            preferences = Preferences.of(Headers(scope=scope))
            language = preferences.language
            _visitor.set(Visitor(session, preferences, translator(language), sayer(language)))
        await self._app(scope, receive, send)


class Page(ui.page):
    """A page in the visitor's language and theme. ``kept_s``: how long it waits for a browser that lost its connection,
    if not as long as others (``mount.py``)."""

    def __init__(self, path: str, *, kept_s: float | None = None) -> None:
        super().__init__(path, response_timeout=_BUILD_S, reconnect_timeout=kept_s)

    def resolve_language(self) -> Any:
        """The tag for Quasar and for the document."""
        return LANGUAGES[_visitor.get().preferences.language][1]

    def resolve_dark(self) -> bool | None:
        """Whether it is dark; None: as the browser is set."""
        return THEMES[_visitor.get().preferences.theme]


def visitor() -> Visitor:
    """The visitor of the page that is being built. Not for event handlers: they keep the visitor of their page."""
    return _visitor.get()


@contextlib.contextmanager
def frame(who: Visitor, title: str, *, place: str, back: tuple[str, str] | None = None) -> Iterator[None]:
    """Header and navigation around a page. ``place``: the entry it belongs to. ``back``: path and label above it."""
    t = who.t
    ui.page_title(f"{title} · streamferry")
    ui.add_head_html(_HEAD)
    # Shown by dashboard.js when the page has heard nothing for a while: what it shows is outdated.
    ui.element("no-contact").props(f'role=alert hidden words="{t("contact.lost")}"')
    with ui.header(bordered=False, elevated=False).classes("bar"):
        with ui.link(target="/").classes("brand").props(f'aria-label="{t("nav.overview")}"'):
            ui.element("img").props(f'src="{BASE}/static/icon.svg" alt="" width=26 height=26')
            ui.label("streamferry")
        with ui.element("nav").classes("places"):
            for key, path, icon in _PLACES:
                with ui.link(target=f"{path}").classes("place" + (" here" if path == place else "")):
                    ui.icon(icon)
                    ui.label(t(key))
        ui.space()
        _switches(who)
    with ui.column().classes("page"):
        with ui.element("div").classes("page-head"):
            if back is not None:
                ui.link(f"‹ {back[1]}", f"{back[0]}").classes("back")
            ui.html(f"<h1>{escape(title)}</h1>", sanitize=False).classes("page-title")
        yield
    # Last: a timer that waits for the browser causes the page to be sent as it is at that moment.
    _keep_contact()


def live(who: Visitor, every_s: float, refresh: Callable[[], Awaitable[None]]) -> None:
    """Call ``refresh`` now and then while the page is open; when the session is over, the page is left.

    A slow refresh runs less often: even with a large store the pages cost only a small part of a core.
    """

    async def look() -> None:
        if client in _left or not client.has_socket_connection:
            return
        if not who.is_welcome:
            leave("/sign-in")
            return
        began = time.monotonic()
        try:
            await refresh()
        except TROUBLE:
            ui.notify(who.t("store.away"), type="warning", group="store.away")
            _outdated.add(client)
            timer.interval = _AWAY_S
        else:
            _outdated.discard(client)
            timer.interval = max(every_s, _REST * (time.monotonic() - began))

    client = ui.context.client
    timer = ui.timer(every_s, look, immediate=False)


#: Pages that could not be brought up to date the last time.
_outdated: "WeakSet[Client]" = WeakSet()
#: Pages that have been told to go elsewhere.
_left: "WeakSet[Client]" = WeakSet()


def leave(path: str) -> None:
    """Go from a live page to another one, once: each further time would break off what the browser is loading, and a
    page that takes longer than a refresh would never be there."""
    client = ui.context.client
    if client not in _left:
        _left.add(client)
        ui.navigate.to(path)


def _keep_contact() -> None:
    """Tell the page regularly that what it shows is current."""
    client = ui.context.client

    def tell() -> None:
        if client not in _outdated and client.has_socket_connection:
            ui.run_javascript("dashboard.hear()")

    ui.timer(_WORD_S, tell)


def _switches(who: Visitor) -> None:
    t, preferences = who.t, who.preferences
    with ui.element("div").classes("switches"):
        if not who.session.can_write:
            ui.label(t("role.read_only")).classes("tag")
        for code, (name, _) in LANGUAGES.items():
            if code != preferences.language:
                other = ui.button(name, on_click=_keep(LANGUAGE_COOKIE, code), color=None)
                other.props("flat dense no-caps")
        following = list(THEMES)[(list(THEMES).index(preferences.theme) + 1) % len(THEMES)]
        present = t(f"theme.{preferences.theme}")
        theme = ui.button(icon=_THEME_ICONS[preferences.theme], on_click=_keep(THEME_COOKIE, following), color=None)
        theme.props(f'flat round dense aria-label="{present}"').tooltip(present)
        with ui.element("form").props(f'method=post action="{SIGN_OUT}"'):
            out = ui.button(icon="logout", color=None).props(
                f'flat round dense type=submit aria-label="{t("sign_out")}"'
            )
            out.tooltip(f"{t('sign_out')} ({who.session.access_key_id})")


def _keep(cookie: str, value: str) -> Callable[[], object]:
    """Set a cookie in the browser and load the page again."""
    script = f"document.cookie='{cookie}={value}; path={BASE}; max-age=31536000; samesite=lax'; location.reload()"
    return lambda: ui.run_javascript(script)
