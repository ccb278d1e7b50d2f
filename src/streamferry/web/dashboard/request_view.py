"""The same task as a request, ready to paste: for the SDK and for curl. Secrets stay ``***``."""

from nicegui import events, ui

from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.widgets import named_dialog
from streamferry.web.request_sample import SdkBody, write_request
from streamferry.web.views import TaskView


def show_request(who: Visitor, task: TaskView, sdk_body: SdkBody) -> None:
    """Open it over the page."""
    t, request = who.t, write_request(task, ui.context.client.request.url, sdk_body)

    def tell(event: events.GenericEventArguments) -> None:
        if event.args:
            ui.notify(t("request.copied"), type="positive")
        else:
            ui.notify(t("request.not_copied"), type="warning")

    with named_dialog(t("do.request")) as dialog, ui.card().classes("dialog request"):
        ui.label(t("do.request")).classes("dialog-title")
        if not request.is_complete:
            ui.label(t("request.secrets")).classes("soft")
        with ui.tabs().props("dense no-caps align=left").classes("tabs") as tabs:
            python, curl = ui.tab("python", "Python SDK"), ui.tab("curl", "curl")
        with ui.tab_panels(tabs, value=python, animated=False).classes("panels"):
            for tab, text in ((python, request.python), (curl, request.curl)):
                with ui.tab_panel(tab), ui.element("div").classes("code-box"):
                    box = ui.html(f"<pre>{_escaped(text)}</pre>", sanitize=False)
                    copy = ui.button(icon="content_copy", color=None)
                    copy.props(f'flat round dense aria-label="{t("request.copy")}"').tooltip(t("request.copy"))
                    where = f"getHtmlElement({box.id}).querySelector('pre')"
                    copy.on("click", tell, js_handler=f"async () => emit(await dashboard.copy({where}))")
        with ui.row().classes("dialog-buttons"):
            ui.button(t("close"), on_click=dialog.close, color=None).props("flat no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
