"""The texts of a task for people on the command line: an option each of ``task create`` and ``update``, a row each of
``task show``. All follow from ``tasks.texts.TEXTS``."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer

from streamferry.cli.added_options import add_options
from streamferry.tasks.texts import TEXTS


def takes_texts(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each text, for its parameter ``**texts``."""
    options = {
        name: Annotated[
            str | None, typer.Option(help=f"For people, up to {rule.max_chars} characters.", show_default=False)
        ]
        for name, rule in TEXTS.items()
    }
    return add_options(command, options)


def text_rows(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each; an older service has fewer."""
    for name in TEXTS:
        yield name.replace("_", " "), task.get(name, "")
