"""The reference pages say what the code does."""

from pathlib import Path

import pytest
import reference
import typer

from streamferry.cli import app

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_the_page_is_what_the_code_gives(name: str) -> None:
    """If this fails, run scripts/reference.py and look at what has changed."""
    assert (ROOT / "docs/reference" / name).read_text() == reference.PAGES[name]()


def test_the_flags_in_the_table_are_those_of_serve() -> None:
    """Each flag that sets a setting is in the table, and no other."""
    command = typer.main.get_command(app).commands["serve"]
    assert {parameter.name for parameter in command.params} - {"config"} == set(reference.FLAGS)
