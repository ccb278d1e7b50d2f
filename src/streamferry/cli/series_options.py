"""Windows that recur, on the command line: the same options for ``task create`` and ``update``."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from streamferry.cli.added_options import add_options

#: Field of REST -> option, which is also named so in errors.
_OPTIONS: dict[str, Any] = {
    "rule": Annotated[
        str | None,
        typer.Option(
            "--recurs",
            metavar="RULE",
            show_default=False,
            help="Run again and again: a rule of RFC 5545, as FREQ=WEEKLY;BYDAY=MO,WE. Empty: no longer.",
        ),
    ],
    "time_zone": Annotated[
        str | None,
        typer.Option("--time-zone", metavar="ZONE", show_default=False, help="By whose clocks; else this machine's."),
    ],
    "exdates": Annotated[
        list[str] | None,
        typer.Option("--except", metavar="TIME", help="Start of a window to leave out, 2026-12-24T20:00; repeat it."),
    ],
    "rdates": Annotated[
        list[str] | None, typer.Option("--also", metavar="TIME", help="Start of a window to add; repeat it.")
    ],
    "slate_between": Annotated[
        bool | None,
        typer.Option(
            "--slate-between/--end-between",
            show_default=False,
            help="Send the slate between the windows, or end after each window.",
        ),
    ],
}


def takes_series(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, for its keyword parameters."""
    return add_options(command, _OPTIONS)


def series_field(arguments: dict[str, Any], present: dict[str, Any] | None) -> dict[str, Any]:
    """Take these options out of the arguments of a command, as the field of REST: nothing if none was given. What is
    not given is as in ``present``, the task's. Raises ValueError naming the option."""
    taken = {name: arguments.pop(name, None) for name in _OPTIONS}
    given = {name: value for name, value in taken.items() if value is not None}
    if given.get("rule") == "":
        return {"series": None}
    if not given:
        return {}
    whole = {"time_zone": _machine_zone(), **(present or {}), **given}
    if not whole.get("rule"):
        raise ValueError("--recurs: is required with --time-zone, --except, --also and --slate-between")
    return {"series": whole}


def _machine_zone() -> str:
    """The IANA name of this machine's zone; UTC if it cannot be found out."""
    if name := os.environ.get("TZ", "").removeprefix(":"):
        return name
    try:
        _, found, name = str(Path("/etc/localtime").resolve(strict=True)).rpartition("/zoneinfo/")
    except OSError:
        return "UTC"
    return name if found else "UTC"
