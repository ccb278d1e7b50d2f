"""A text with a button that copies it to the clipboard, where the browser allows that."""

from html import escape

from nicegui import events, ui

from streamferry.web.dashboard.frame import Visitor


def copy_box(who: Visitor, text: str, *, wraps: bool = False) -> None:
    """Draw it. ``wraps``: as an address, of which nobody reads a part."""
    t = who.t

    def tell(event: events.GenericEventArguments) -> None:
        if event.args:
            ui.notify(t("request.copied"), type="positive")
        else:
            ui.notify(t("request.not_copied"), type="warning")

    with ui.element("div").classes("code-box wraps" if wraps else "code-box"):
        box = ui.html(f"<pre>{escape(text, quote=False)}</pre>", sanitize=False)
        copy = ui.button(icon="content_copy", color=None)
        copy.props(f'flat round dense aria-label="{t("request.copy")}"').tooltip(t("request.copy"))
        where = f"getHtmlElement({box.id}).querySelector('pre')"
        copy.on("click", tell, js_handler=f"async () => emit(await dashboard.copy({where}))")
