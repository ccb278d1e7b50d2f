"""A file is taken from the library: which there are, and which is chosen."""

from nicegui import ui

from streamferry.control.library import LibraryFile
from streamferry.tasks.errors import LibraryAway
from streamferry.web.dashboard import show
from streamferry.web.dashboard.form_values import typed_address
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.page_actions import PageActions
from streamferry.web.dashboard.widgets import answer_to, empty, named_dialog


async def list_files(who: Visitor, page_actions: PageActions) -> tuple[list[LibraryFile], str]:
    """The files of the library, and why there are none."""
    try:
        return await page_actions.library.list_files(), who.t("library.empty")
    except LibraryAway as error:
        return [], who.say(error.why)


async def choose_file(who: Visitor, page_actions: PageActions) -> str:
    """Its address as users write it; empty if none was chosen."""
    t = who.t
    files, why = await list_files(who, page_actions)
    with named_dialog(t("form.library")) as dialog, ui.card().classes("dialog"):
        ui.label(t("form.library")).classes("dialog-title")
        with ui.column().classes("lines choice"):
            if not files:
                empty("video_library", why)
            for one in files:
                with ui.element("button").props("type=button").classes("line choice-line") as line:
                    ui.label(one.name).classes("grow wrap")
                    ui.label(show.size(one.size_bytes)).classes("soft nowrap")
                line.on("click", lambda one=one: dialog.submit(typed_address(one.url)))
        with ui.row().classes("dialog-buttons"):
            ui.button(t("cancel"), on_click=dialog.close, color=None).props("flat no-caps")
    return str(await answer_to(dialog) or "")
