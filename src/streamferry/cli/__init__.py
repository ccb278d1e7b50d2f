"""The command line. Each command is a module; this one puts them together, in the groups that ``--help`` shows."""

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamferry.cli.audit import audit
from streamferry.cli.backup import backup, restore
from streamferry.cli.cache import cache
from streamferry.cli.callbacks import callbacks
from streamferry.cli.demo import demo
from streamferry.cli.examples import epilog_of
from streamferry.cli.group import group
from streamferry.cli.guard import guarded
from streamferry.cli.key import key
from streamferry.cli.prepare import prepare
from streamferry.cli.probe import probe
from streamferry.cli.quickstart import quickstart
from streamferry.cli.receive import receive
from streamferry.cli.relay import relay
from streamferry.cli.serve import serve, worker
from streamferry.cli.task import task
from streamferry.cli.version import COMPLETE_VARIABLE, completion, show_version, version

_GROUPS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Begin here": {"quickstart": quickstart},
    "Service": {"serve": serve, "worker": worker, "key": key, "audit": audit, "backup": backup, "restore": restore},
    "Tasks": {"task": task, "group": group, "callbacks": callbacks},
    "Files": {"probe": probe, "prepare": prepare, "cache": cache},
    "Without a service": {"relay": relay, "receive": receive, "demo": demo},
    "This program": {"version": version, "completion": completion},
}


class _InOrder(TyperGroup):
    """Commands in the order above; the library would move those with subcommands to the end."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [name for commands in _GROUPS.values() for name in commands]
        return sorted(super().list_commands(ctx), key=order.index)


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _program(
    shows_version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Pull a live stream or a list of files and push it, unbroken, to RTMP(S), SRT or HLS."""


for _group, _commands in _GROUPS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_group)
            for _info in _command.registered_commands:
                assert _info.callback is not None
                _info.epilog = epilog_of(f"{_name} {_info.name or _info.callback.__name__}")
        else:
            app.command(_name, rich_help_panel=_group, epilog=epilog_of(_name))(_command)


def main() -> None:
    """Entry point of the ``streamferry`` command."""
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    guarded(app)
