"""The same task as a request, ready to paste: for the SDK and for curl. Secrets stay ``***``."""

from nicegui import ui

from streamferry.web.dashboard.copy_box import copy_box
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import named_dialog
from streamferry.web.request_sample import SdkBody, write_request
from streamferry.web.views import TaskView


def show_request(who: Visitor, task: TaskView, sdk_body: SdkBody) -> None:
    """Open it over the page."""
    t, request = who.t, write_request(task, ui.context.client.request.url, sdk_body)
    with named_dialog(t("do.request")) as dialog, ui.card().classes("dialog request"):
        ui.label(t("do.request")).classes("dialog-title")
        if not request.is_complete:
            ui.label(t("request.secrets")).classes("soft")
        with ui.tabs().props("dense no-caps align=left").classes("tabs") as tabs:
            python, curl = ui.tab("python", "Python SDK"), ui.tab("curl", "curl")
        with ui.tab_panels(tabs, value=python, animated=False).classes("panels"):
            for tab, text in ((python, request.python), (curl, request.curl)):
                with ui.tab_panel(tab):
                    copy_box(who, text)
        with ui.row().classes("dialog-buttons"):
            ui.button(t("close"), on_click=dialog.close, color=None).props("flat no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()
