"""The command line as a person meets it: a process of its own, and a list of all commands."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from kit.programs import STREAMFERRY
from streamferry.cli.commands import load_all


def environment_with(environment: Mapping[str, str]) -> dict[str, str]:
    """That of the tests, without settings of their own, and over it what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMFERRY_", "VOLC_"))}
    return {**inherited, **environment}


def run(
    *words: object, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. ``environment`` comes over that of the tests, whose own settings are left out."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(
        [STREAMFERRY, *map(str, words)],
        **{**streams, "timeout": 100, **options},
        env=environment_with(environment or {}),
        text=True,
        errors="replace",
        check=False,
    )


def all_commands() -> Iterator[tuple[str, Any]]:
    """Name, as ``task create``, and command; those that are hidden are left out."""
    for name, command in load_all().items():
        if isinstance(command, typer.core.TyperGroup):
            if command.invoke_without_command:
                yield name, command
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items() if not one.hidden)
        elif not command.hidden:
            yield name, command
