"""The reference pages say what the code does."""

import runpy
from pathlib import Path

import pytest
import typer

from streamferry.cli import app

ROOT = Path(__file__).parents[2]
REFERENCE = runpy.run_path(str(ROOT / "scripts/reference.py"))


@pytest.mark.parametrize("name", sorted(REFERENCE["PAGES"]))
def test_the_page_is_what_the_code_gives(name: str) -> None:
    """If this fails, run scripts/reference.py and look at what has changed."""
    assert (ROOT / "docs/reference" / name).read_text() == REFERENCE["PAGES"][name]()


def test_the_flags_in_the_table_are_those_of_serve() -> None:
    """Each flag that sets a setting is in the table, and no other."""
    command = typer.main.get_command(app).commands["serve"]
    assert {parameter.name for parameter in command.params} - {"config"} == set(REFERENCE["FLAGS"])
