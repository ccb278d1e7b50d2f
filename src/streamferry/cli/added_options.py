"""Options that several commands have, given to a command by a decorator: Typer reads options from signatures."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def add_options(command: Callable[..., None], options: Mapping[str, Any], **defaults: object) -> Callable[..., None]:
    """The command with an option for each annotation, for its ``**`` parameter, which Typer does not know. Where no
    default is given, it is None."""
    signature = inspect.signature(command)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=option)
        for name, option in options.items()
    ]
    command.__annotations__.update(options)
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return command
