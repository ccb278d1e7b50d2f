"""The addresses at which calendars subscribe to when tasks run: a browser's session is of no use to them."""

from nicegui import ui

from streamferry.tasks.errors import ActionError
from streamferry.web.dashboard.copy_box import copy_box
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import named_dialog


async def show_calendar(who: Visitor, page_actions: PageActions, group: str) -> None:
    """Open it over the page: one of the tasks in a group, one of all."""
    t, asked = who.t, ui.context.client.request.url
    try:
        paths = [await page_actions.calendar_link(who, one) for one in (group, "")]
    except ActionError as error:
        ui.notify(who.say(error.why), type="negative")
        return
    with named_dialog(t("calendar.title")) as dialog, ui.card().classes("dialog request"):
        ui.label(t("calendar.title")).classes("dialog-title")
        ui.label(t("calendar.detail")).classes("soft")
        for words, path in zip((t("calendar.group", name=group), t("calendar.all")), paths, strict=True):
            ui.label(words)
            copy_box(who, f"{asked.scheme}://{asked.netloc}{path}", wraps=True)
        with ui.row().classes("dialog-buttons"):
            ui.button(t("close"), on_click=dialog.close, color=None).props("flat no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()
