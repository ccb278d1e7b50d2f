"""The texts of a task for people on the command line: an option each of ``task create`` and ``update``, a row each of
``task show``. All follow from ``tasks.texts.TEXTS``."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer

from streamferry.tasks.texts import TEXTS


def takes_texts(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each text, for its parameter ``**texts``: Typer reads options from signatures."""
    signature = inspect.signature(command)
    options = {
        name: Annotated[
            str | None, typer.Option(help=f"For people, up to {rule.max_chars} characters.", show_default=False)
        ]
        for name, rule in TEXTS.items()
    }
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    command.__annotations__.update(options)
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return command


def text_rows(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each; an older service has fewer."""
    for name in TEXTS:
        yield name.replace("_", " "), task.get(name, "")
