"""The page of the command line, made from the commands themselves."""

from collections.abc import Iterator
from typing import Any

import typer
from reference_table import table

from streamferry.cli.commands import load_all
from streamferry.cli.examples import EXAMPLES
from streamferry.cli.exit_status import ExitStatus

_STATUSES = {
    ExitStatus.DONE: "done",
    ExitStatus.USAGE: "the request is wrong or was refused: a sentence names the option, file or setting",
    ExitStatus.SOURCE: "the source's fault",
    ExitStatus.DESTINATION: "the destination's fault",
    ExitStatus.SERVICE: "the fault of streamferry or of the service",
}


def cli_page() -> str:
    """Every command with its options and two examples."""
    sections = "\n".join(_section(name, command) for name, command in _commands())
    rows = [(str(int(status)), words) for status, words in _STATUSES.items()]
    return (
        f"""# Command line

Made by `scripts/reference_cli.py` from the commands themselves, which say the same: `streamferry COMMAND --help`.

{table(("exit status", "what it means"), rows)}

`key`, `callbacks`, `backup`, `restore` and `worker` open the store, so they run on a machine that can reach it, with
the settings of the service. `task`, `group` and the commands of `worker` call a running service over the network, with
an access key.

{sections}""".rstrip()
        + "\n"
    )


def _commands() -> Iterator[tuple[str, Any]]:
    for name, command in load_all().items():
        if isinstance(command, typer.core.TyperGroup):
            if command.invoke_without_command:
                yield name, command
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items() if not one.hidden)
        elif not command.hidden:
            yield name, command


def _section(name: str, command: Any) -> str:
    about = " ".join(line.strip() for line in command.help.strip().splitlines())
    rows = [
        (_name_of(one), " ".join((one.help or "").split()), _default_of(one))
        for one in command.params
        if not getattr(one, "hidden", False)
    ]
    options = f"\n{table(('', 'what it is', 'default'), rows)}\n" if rows else ""
    examples = "\n".join(f"    {line}" for line in EXAMPLES[name])
    return f"## streamferry {name}\n\n{about}\n\n{examples}\n{options}"


def _name_of(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{one.metavar or one.name.upper()}`"
    names = " ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    return f"{names} `{one.metavar}`" if one.metavar else names


def _default_of(one: Any) -> str:
    given = one.default if not callable(one.default) else None
    words = []
    if one.required:
        words.append("required")
    elif given not in (None, False, True, "", [], ()):
        words.append(f"`{given}`")
    if one.envvar:
        words.append(f"`{one.envvar}`")
    return ", ".join(words)
