"""Texts of a task for people, declared once: rules, surfaces and options follow from here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, get_args


@dataclass(frozen=True, slots=True)
class FreeText:
    """The rule of a text for people: no longer than that, in any number of lines or in one."""

    max_chars: int
    is_one_line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTexts:
    """Texts for people, of no effect on what runs. One more is a line here, and one for each surface that has it."""

    note: Annotated[str, FreeText(500)] = ""


#: Name of each text -> its rule.
TEXTS: Mapping[str, FreeText] = {one.name: get_args(one.type)[1] for one in fields(TaskTexts)}
