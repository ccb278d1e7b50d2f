"""Pieces that several pages use: a card, a state, a confirmation, a result message."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from nicegui import ui

from streamferry.tasks.errors import ActionError
from streamferry.web.dashboard.frame import Visitor


@contextlib.contextmanager
def card(title: str = "", *, classes: str = "") -> Iterator[None]:
    """A box with a heading. Widgets made inside lie below it."""
    with ui.element("section").classes(f"card {classes}"):
        if title:
            ui.html(f"<h2>{_escaped(title)}</h2>", sanitize=False).classes("card-title")
        yield


def state_chip(kind: str, words: str) -> ui.label:
    """A state as a coloured word: see ``show.chip_of``."""
    return ui.label(words).classes(f"chip s-{kind}")


def set_chip(chip: ui.label, kind: str, words: str) -> None:
    """Show another state."""
    chip.set_text(words)
    chip.classes(replace=f"chip s-{kind}")


def empty(icon: str, words: str, hint: str = "") -> ui.element:
    """The text for an empty list."""
    with ui.element("div").classes("empty") as made:
        ui.icon(icon)
        ui.label(words).classes("empty-words")
        if hint:
            ui.label(hint).classes("soft")
    return made


def bar(part: float, name: str, size: str = "6px") -> ui.linear_progress:
    """How much of something, 0 to 1; ``name`` is for screen readers."""
    made = ui.linear_progress(part, show_value=False, size=size).props("rounded")
    made.props["aria-label"] = name
    return made


def icon_button(icon: str, words: str, act: Callable[[], object] | None = None) -> ui.button:
    """A button with an icon only; its text is its accessible name and its tooltip."""
    made = ui.button(icon=icon, on_click=act, color=None).props("flat round dense").tooltip(words)
    made.props["aria-label"] = words
    return made


def time_at(iso: str) -> ui.element:
    """A time in the zone and the language of the browser: the element is in ``dashboard.js``."""
    return ui.element("time-at").props(f'at="{iso}"')


def named_dialog(title: str) -> ui.dialog:
    """A dialog with a name for screen readers."""
    made = ui.dialog()
    made.props["aria-label"] = title
    return made


async def is_sure(
    who: Visitor,
    question: str,
    button: str,
    *,
    about: Sequence[str] = (),
    detail: str = "",
    dangerous: bool = False,
    typed: str = "",
) -> bool:
    """Ask for confirmation. ``about``: lines on what is affected. ``typed``: what has to be typed first."""
    with named_dialog(question) as dialog, ui.card().classes("dialog"):
        ui.label(question).classes("dialog-title")
        for line in about:
            ui.label(line).classes("wrap")
        if detail:
            ui.label(detail).classes("soft")
        box = ui.input(who.t("confirm.type", word=typed)).props("outlined dense") if typed else None
        with ui.row().classes("dialog-buttons"):
            ui.button(who.t("cancel"), on_click=lambda: dialog.submit(False)).props("flat no-caps")
            yes = ui.button(button, on_click=lambda: dialog.submit(True)).props("unelevated no-caps")
            yes.props(f"color={'negative' if dangerous else 'primary'}")
        if box is not None:
            box.classes("field")
            yes.disable()
            box.on_value_change(lambda event: yes.set_enabled((event.value or "").strip() == typed))
    return bool(await answer_to(dialog))


async def answer_to(dialog: ui.dialog) -> Any:
    """Open it until it is answered. None, if it was closed instead, or its page was left meanwhile."""
    answer = await dialog
    if not dialog.is_deleted:
        dialog.delete()
    return answer


async def attempt(who: Visitor, act: Callable[[], Awaitable[object]], done: str) -> bool:
    """Do something and show that it is done, or why it could not be."""
    # The page, for what was clicked may have been drawn anew meanwhile.
    page = ui.context.client
    try:
        await act()
    except ActionError as error:
        with page:
            ui.notify(who.say(error.why), type="negative", multi_line=True, close_button=who.t("close"), timeout=0)
        return False
    with page:
        ui.notify(done, type="positive")
    return True


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
