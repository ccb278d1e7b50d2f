"""All commands. Each is a module, imported when it is called; here is a line of each for ``--help``."""

import os
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

#: Command -> where it stands in this package, and the first line of its help; in the groups that ``--help`` shows.
_GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin here": {
        "quickstart": (
            "quickstart",
            "Try it out: a sample clip, a service, a receiver and a task that loops the clip, on this machine only.",
        ),
    },
    "Service": {
        "serve": ("serve", "Run the service: dashboard, APIs, scheduler and workers."),
        "worker": ("worker", "Run a worker for a store, on this machine or another; list, cordon and drain workers."),
        "cluster": ("cluster", "Run workers on a Ray cluster, as many as there is work for."),
        "key": ("key", "Make, list and disable access keys of the service."),
        "audit": (
            "audit",
            "Show who signed in and who changed keys and secrets: the last lines, oldest first. Needs a key that may "
            "write.",
        ),
        "backup": (
            "backup",
            "Write tasks, keys, groups, events, callbacks and usage to a file, whether or not the service is running.",
        ),
        "restore": (
            "backup",
            "Fill an empty store from a backup. It may be a different database from the one that was backed up.",
        ),
    },
    "Tasks": {
        "task": ("task", "Create, watch and control the tasks of a running service."),
        "group": ("group", "Make, list and delete groups of tasks."),
        "callbacks": ("callbacks", "List, show and replay callbacks; show their secret."),
    },
    "Files": {
        "probe": (
            "probe",
            "Inspect a file: codecs, keyframes, sound, index, and what may go wrong when it is relayed.",
        ),
        "prepare": (
            "prepare",
            "Fetch and prepare files into the cache, so that a relay of the same list starts at once.",
        ),
        "cache": ("cache", "Show or empty the cache of prepared files."),
    },
    "Without a service": {
        "relay": (
            "relay",
            "Relay a live stream or files to a destination (RTMP, SRT or HLS), and retry whatever fails.",
        ),
        "receive": ("receive", "Accept RTMP publishers under any app and key, keep nothing, print what arrives."),
        "demo": ("demo", "Make a clip, relay it in a loop to a receiver on this machine, and judge what arrived."),
    },
    "This program": {
        "version": ("version", "Show the versions of streamferry and of what it runs on."),
        "completion": ("version", "Print the script that completes commands and options in your shell."),
    },
}
_MODULES = {name: module for commands in _GROUPS.values() for name, (module, _) in commands.items()}

#: Set by the script of ``streamferry completion`` when it asks for completions.
COMPLETE_VARIABLE = "_STREAMFERRY_COMPLETE"


class _Commands(TyperGroup):
    """Lists commands by their lines above; the one that is called is imported."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, line, rest = super().resolve_command(ctx, args)
        return name, None if name is None or line is None else load(name), rest


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from streamferry import __version__

        print(f"streamferry {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    shows_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Pull a live stream or a list of files and push it, unbroken, to RTMP(S), SRT or HLS."""


def _line() -> None:
    """Stands for a command in the list."""


for _group, _commands in _GROUPS.items():
    for _name, (_, _help) in _commands.items():
        app.command(_name, help=_help, rich_help_panel=_group)(_line)


def load(name: str) -> Any:
    """The command with its options, as the library has it; a group with its commands."""
    from streamferry.cli.examples import epilog_of

    made = getattr(import_module(f"streamferry.cli.{_MODULES[name]}"), name)
    if isinstance(made, typer.Typer):
        if made.registered_callback is not None:
            made.info.epilog = epilog_of(name)
        for info in made.registered_commands:
            assert info.callback is not None
            info.epilog = epilog_of(f"{name} {info.name or info.callback.__name__}")
        return typer.main.get_group(made)
    alone = typer.Typer(add_completion=False)
    alone.command(name, epilog=epilog_of(name))(made)
    return typer.main.get_command(alone)


def load_all() -> dict[str, Any]:
    """Every command by its name, as :func:`load` gives it, in the order of ``--help``."""
    return {name: load(name) for name in _MODULES}


def run() -> None:
    """The command that was typed, or what a shell asks to complete one."""
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    app()
