"""``streamferry version`` and ``streamferry completion``."""

import json
import platform
from enum import StrEnum
from typing import Annotated

import typer

from streamferry import __version__
from streamferry.cli.commands import COMPLETE_VARIABLE
from streamferry.cli.options import AsJson


class Shell(StrEnum):
    """Shells for which there is a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def version(as_json: AsJson = False) -> None:
    """Show the versions of streamferry and of what it runs on."""
    from streamferry.net.ffmpeg import ffmpeg_program

    words = {"streamferry": __version__, "python": platform.python_version(), "ffmpeg": ffmpeg_program()}
    if as_json:
        print(json.dumps(words))
    else:
        print("\n".join(f"{name:<12} {value}" for name, value in words.items()))


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)]) -> None:
    """Print the script that completes commands and options in your shell.

    For bash: streamferry completion bash >> ~/.bashrc
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="streamferry", complete_var=COMPLETE_VARIABLE, shell=shell.value))
