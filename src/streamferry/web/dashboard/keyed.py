"""KeyedLines: the lines of a list that a page keeps up to date.

A line stays the same element as long as its key is in the list, whatever it shows: drawn anew, it would lose the focus,
and a click that began on the old one.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from nicegui import ui

T = TypeVar("T")
#: Shows a value on the line that it was made for.
Show = Callable[[T], None]


class KeyedLines(Generic[T]):
    """Lines at the beginning of ``container``; what else is in it comes after them.

    ``make``: makes the line for a value, as one element, and returns it with what shows a later value on it.
    """

    def __init__(self, container: ui.element, make: Callable[[T], tuple[ui.element, Show[T]]]) -> None:
        self._container = container
        self._make = make
        self._lines: dict[Hashable, tuple[ui.element, Show[T], T]] = {}

    def show(self, wanted: Iterable[tuple[Hashable, T]]) -> None:
        """Show these values, each by a key of its own, in this order."""
        values = dict(wanted)
        for key in [key for key in self._lines if key not in values]:
            self._lines.pop(key)[0].delete()
        for place, (key, value) in enumerate(values.items()):
            if key not in self._lines:
                with self._container:
                    self._lines[key] = (*self._make(value), value)
            element, show, shown = self._lines[key]
            if self._container.default_slot.children[place] is not element:
                element.move(target_index=place)
            if shown != value:
                self._lines[key] = element, show, value
                show(value)
