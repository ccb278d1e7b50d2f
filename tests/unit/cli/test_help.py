"""What the help shows: every command in its group, two examples each that the command itself would take."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

from kit.commands import all_commands
from streamferry import __version__
from streamferry.cli.commands import app, load
from streamferry.cli.examples import EXAMPLES

COMMANDS = dict(all_commands())


def ask(*words: str) -> str:
    done = CliRunner().invoke(app, words, env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    return done.output


def test_each_command_has_two_examples() -> None:
    """And there is no example of a command that is gone."""
    assert set(EXAMPLES) == set(COMMANDS)
    assert {len(given) for given in EXAMPLES.values()} == {2}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_can_be_typed(name: str) -> None:
    """Each is taken by the command as it stands, with its options and their values, and its help shows both."""
    command, words_of_name = COMMANDS[name], name.split()
    for example in EXAMPLES[name]:
        words = shlex.split(example.partition(" >")[0])
        while "=" in words[0]:
            words.pop(0)
        assert words[: len(words_of_name) + 1] == ["streamferry", *words_of_name]
        command.make_context(name, words[len(words_of_name) + 1 :])
        assert example in command.epilog
    # Who installed a package has no documents beside it.
    assert "docs/" not in command.help + "".join(one.help or "" for one in command.params)


def test_examples_are_shown() -> None:
    """A line each, below the options."""
    lines = [line.strip() for line in ask("relay", "--help").splitlines()]
    assert set(EXAMPLES["relay"]) <= set(lines)


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["task", "-h"], ["task", "create", "-h"]])
def test_help_is_found_by_either_name(words: list[str]) -> None:
    """As most programs have it."""
    assert "Usage: " in ask(*words)


def test_commands_stand_in_groups_by_what_one_wants() -> None:
    """The service first, and every command is there."""
    shown = ask("--help")
    places = [shown.index(f"─ {title} ") for title in ("Service", "Tasks", "Files", "Without a service")]
    assert places == sorted(places)
    assert all(f"│ {name.partition(' ')[0]} " in shown for name in COMMANDS)
    assert "SRT or HLS" in " ".join(shown.replace("│", " ").split())


def test_the_version_is_told() -> None:
    """By the option and by the command."""
    assert ask("--version") == f"streamferry {__version__}\n"
    assert ask("version").splitlines()[0].split() == ["streamferry", __version__]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell(shell: str) -> None:
    """A script that asks the program itself what could come next."""
    assert "_STREAMFERRY_COMPLETE" in ask("completion", shell)


@pytest.mark.parametrize("name", sorted({name.partition(" ")[0] for name in COMMANDS}))
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The line of ``streamferry --help``, which is made without the command, begins its own help."""
    line = typer.main.get_command(app).commands[name].help
    assert " ".join(load(name).help.split("\n\n")[0].split()) == line


def test_a_command_that_is_mistyped_is_guessed() -> None:
    """As the library does for commands that are there."""
    done = CliRunner().invoke(app, ["srve"])
    assert done.exit_code == 2
    assert "serve" in done.output.partition("Did you mean")[2]
