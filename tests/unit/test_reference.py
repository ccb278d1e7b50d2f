"""The reference pages say what the code does."""

import re
from pathlib import Path

import pytest
import reference

from streamferry.cli.commands import load
from streamferry.config import PREFIX, Settings

ROOT = Path(__file__).parents[2]
#: Of the commands that call a service or relay by themselves, in docs/howto/tasks.md; and the file of settings.
NO_SETTINGS = {"STREAMFERRY_URL", "STREAMFERRY_TO", "STREAMFERRY_KEY", "STREAMFERRY_CONFIG"}


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_the_page_is_what_the_code_gives(name: str) -> None:
    """If this fails, run scripts/reference.py and look at what has changed."""
    assert (ROOT / "docs/reference" / name).read_text() == reference.PAGES[name]()


@pytest.mark.parametrize("name", sorted(reference.MODULES))
def test_the_types_of_the_client_are_those_of_rest(name: str) -> None:
    """The same."""
    assert (reference.CLIENT / f"{name}.py").read_text() == reference.client_types(name)


def test_the_flags_in_the_table_are_those_of_serve() -> None:
    """Each flag that sets a setting is in the table, and no other."""
    command = load("serve")
    assert {parameter.name for parameter in command.params} - {"config"} == set(reference.FLAGS)


def test_no_variable_is_read_that_is_in_no_table() -> None:
    """A setting of the service cannot be had by a way around its settings."""
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(rf"(?<!_){PREFIX}[A-Z_]+", code))
    assert named - {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} == NO_SETTINGS
