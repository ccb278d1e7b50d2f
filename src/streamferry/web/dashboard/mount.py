"""Puts the dashboard on the application: the page framework below ``/dashboard``, behind the gate."""

from pathlib import Path

import nicegui
from fastapi import FastAPI
from nicegui import ui

from streamferry.web.dashboard import (
    form_page,
    library_page,
    not_found,
    overview,
    sign_in,
    task_list,
    task_page,
    workers_page,
)
from streamferry.web.dashboard.asset_cache import AssetCache
from streamferry.web.dashboard.event_order import hear_events_once
from streamferry.web.dashboard.frame import VisitorMiddleware
from streamferry.web.dashboard.nonces import add_nonces
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.session_gate import BASE, Gate

_STATIC = Path(__file__).parent / "static"
#: How long a page is kept for a browser that lost its connection: a phone that changes networks needs some seconds.
_RECONNECT_S = 6.0


def mount_dashboard(app: FastAPI, page_actions: PageActions) -> None:
    """Call it once per process: the page framework keeps its pages in its module."""
    pages = nicegui.app
    doors = sign_in.SignIn(page_actions.actions, page_actions.shelf, page_actions.links)
    pages.add_api_route("/sign-in", doors.show, methods=["GET"])
    pages.add_api_route("/sign-in", doors.sign_in, methods=["POST"])
    pages.add_api_route("/sign-out", doors.sign_out, methods=["POST"])
    pages.add_static_files("/static", _STATIC)
    for page in (overview, task_list, form_page, library_page, task_page, workers_page):
        page.register(page_actions)
    not_found.register()
    pages.colors(primary="#3b5bdb", positive="#17692e", negative="#d6336c", warning="#e8890c", info="#1663b7")
    # It would run over the top, without a name, at each look for the preview.
    pages.config.quasar_config["loadingBar"]["skipHijack"] = True
    add_nonces()
    hear_events_once()
    ui.run_with(
        app,
        mount_path=BASE,
        title="streamferry",
        favicon=_STATIC / "icon.svg",
        language="en-US",
        reconnect_timeout=_RECONNECT_S,
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    pages.add_middleware(AssetCache)
    pages.add_middleware(VisitorMiddleware)
    pages.add_middleware(Gate, find=page_actions.shelf.find, public_hosts=page_actions.public_hosts)
