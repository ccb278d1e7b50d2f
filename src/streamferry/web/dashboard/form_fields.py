"""Fields of the form that know their name, so that errors are shown at the right one. Contains no rules."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from streamferry.reasons import Reason
from streamferry.web.dashboard.show import label_of
from streamferry.web.dashboard.texts import Say

_BEGINS_WITH_VERB = re.compile(r"(must|is|are|has|have|holds|needs|leads|lies)\b")


class _Told(Protocol):
    """What can show an error."""

    @property
    def id(self) -> int: ...
    @property
    def error(self) -> str | None: ...
    @error.setter
    def error(self, words: str | None) -> None: ...


class ProblemLine(ui.label):
    """What is wrong with several fields together."""

    def __init__(self) -> None:
        super().__init__()
        self.classes("problem").props("role=alert").set_visibility(False)

    @property
    def error(self) -> str | None:
        """The sentence; None for none."""
        return self.text or None

    @error.setter
    def error(self, words: str | None) -> None:
        self.set_text(words or "")
        self.set_visibility(bool(words))


_Field = TypeVar("_Field", bound=ValidationElement[Any])


class Fields:
    """The fields shown now. A field is checked once the user has left it, and all of them once saving was tried."""

    def __init__(self, say: Say, find_problems: Callable[[], dict[str, Reason]]) -> None:
        self._sentence = say
        self._find_problems = find_problems
        self._shown: dict[str, _Told] = {}
        self._labels: dict[str, str] = {}
        self._left: set[str] = set()
        # Errors from the actions: they stay until something is changed, whichever field is left meanwhile.
        self._refused: dict[str, Reason] = {}
        # Parts of the form that are folded: what their names begin with.
        self._folds: dict[str, ui.expansion] = {}
        self._followers: dict[str, Callable[[], None]] = {}

    def text(self, name: str, label: str, value: str, write: Callable[[str], None], **options: Any) -> ui.input:
        """A line of text. ``write`` puts it into the form's values."""
        made = ui.input(
            label, value=value, on_change=lambda event: self._note(name, write, event.value or ""), **options
        )
        made.props("outlined dense hide-bottom-space").classes("field")
        return self.add(name, made, label)

    def number(
        self, name: str, label: str, value: float | None, write: Callable[[float | None], None], *, least: float = 1
    ) -> ui.number:
        """A number, or None while the user is typing."""
        made = ui.number(label, value=value, min=least, on_change=lambda event: self._note(name, write, event.value))
        made.props("outlined dense hide-bottom-space").classes("field")
        return self.add(name, made, label)

    def add(self, name: str, made: _Field, label: str) -> _Field:
        """Add any other field that can show an error; its name is the beginning of its label."""
        self._shown[name] = made
        self._labels[name] = label_of(label)
        made.on("blur", lambda: self._leave(name))
        return made

    def problem_line(self, name: str, label: str) -> None:
        """A line for what is wrong with several fields together."""
        self._shown[name] = ProblemLine()
        self._labels[name] = label

    def fold(self, whole: str, fold: ui.expansion) -> None:
        """Have it opened when this is wrong, or a part of it."""
        self._folds[whole] = fold

    def follow(self, whole: str, act: Callable[[], None]) -> None:
        """Have it called after each change of the form's values, until this is forgotten."""
        self._followers[whole] = act

    def changed(self) -> None:
        """Tell those who follow."""
        for act in list(self._followers.values()):
            act()

    def forget(self, whole: str, *, parts: bool = True) -> None:
        """Forget the field of this name, and its parts: they will be drawn again."""

        def goes(name: str) -> bool:
            return _is_of(name, whole) if parts else name == whole

        self._shown = {name: one for name, one in self._shown.items() if not goes(name)}
        self._left = {name for name in self._left if not goes(name)}
        self._folds = {name: one for name, one in self._folds.items() if not goes(name)}
        self._followers = {name: act for name, act in self._followers.items() if not goes(name)}

    def judge_all(self) -> bool:
        """Show at every field what is wrong with it; returns whether nothing is."""
        self._refused = {}
        problems = self._find_problems()
        self._left |= {*self._shown, *problems}
        self.show(problems)
        return not problems

    def show(self, problems: Mapping[str, Reason]) -> str | None:
        """Show what is wrong and scroll to the first wrong field. Errors without a field are returned."""
        first = None
        for name, one in self._shown.items():
            words = self._say(name, problems[name]) if name in problems and name in self._left else None
            one.error = words
            first = first or (one if words else None)
            if words:
                self._unfold(name)
        if first is not None:
            ui.run_javascript(f"getHtmlElement({first.id}).scrollIntoView({{block: 'center', behavior: 'smooth'}})")
            return None
        return next(map(self._sentence, problems.values()), None)

    def refuse(self, name: str | None, why: Reason) -> str | None:
        """Show an error from the actions; returns None if it could be shown at its field, or at what has it."""
        while name and name not in self._shown:
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        if not name:
            return self._sentence(why)
        self._left.add(name)
        self._refused = {name: why}
        self.show(self._refused)
        return None

    def _unfold(self, name: str) -> None:
        for whole, fold in self._folds.items():
            if _is_of(name, whole):
                fold.open()

    def _leave(self, name: str) -> None:
        self._left.add(name)
        self._judge_again()

    def _note(self, name: str, write: Callable[[Any], None], value: Any) -> None:
        write(value)
        self.changed()
        self._refused = {}
        if name in self._left:
            self._judge_again()

    def _judge_again(self) -> None:
        problems = {**self._refused, **self._find_problems()}
        for name in self._left & self._shown.keys():
            self._shown[name].error = self._say(name, problems[name]) if name in problems else None

    def _say(self, name: str, problem: Reason) -> str:
        """A sentence for the field: one that begins with a verb is about the field."""
        words = self._sentence(problem)
        if not words.isascii():
            return words
        words = f"{self._labels[name]} {words}" if _BEGINS_WITH_VERB.match(words) else words[:1].upper() + words[1:]
        return words if words.endswith(".") else f"{words}."


def _is_of(name: str, whole: str) -> bool:
    """Whether the field is this, or a part of it."""
    return name == whole or name.startswith((f"{whole}.", f"{whole}["))
