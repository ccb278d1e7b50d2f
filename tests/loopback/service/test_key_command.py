"""``streamferry key`` and ``backup`` over a store of their own, as a person types them."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamferry.cli.commands import app
from streamferry.config import Settings
from streamferry.service.store_access import Purpose, open_store, prepare_data_dir


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A data folder as ``serve`` leaves it."""
    settings = Settings(data_dir=tmp_path / "data")
    prepare_data_dir(settings)
    async with open_store(settings, Purpose.SERVE):
        return settings.data_dir


@pytest.mark.parametrize("words", [["key", "create"], ["key", "list"], ["callbacks", "list"], ["backup", "x.gz"]])
def test_no_store_was_made_by_looking(tmp_path: Path, words: list[str]) -> None:
    """A backup of the wrong folder saved an empty store and called it done; now nothing is left behind."""
    looked_into = tmp_path / "elsewhere"
    done = CliRunner().invoke(app, [*words, "--data-dir", str(looked_into)])
    assert done.exit_code == 2
    assert f"no store in {looked_into}; where is the service's?" in done.stderr
    assert not looked_into.exists()
    assert not Path("x.gz").exists()


def test_a_backup_tells_what_is_in_it(folder: Path) -> None:
    """And doubts one without tasks."""
    CliRunner().invoke(app, ["key", "create", "--data-dir", str(folder)])
    file = folder.parent / "saved.gz"
    done = CliRunner().invoke(app, ["backup", str(file), "--data-dir", str(folder)])
    assert done.exit_code == 0
    assert done.stdout == f"0 tasks, 1 access key, 1 group, 0 events in {file}\n"
    assert "the store holds no task: is it the one of your service?" in done.stderr
    assert gzip.decompress(file.read_bytes()).count(b'"table":"access_key"') == 1


@pytest.mark.parametrize("columns", ["80", "20", None])
def test_ids_of_keys_were_cut(folder: Path, columns: str | None) -> None:
    """In a terminal of any width, and in a pipe: what is listed can be pasted into ``key disable``."""

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["key", *words, "--data-dir", str(folder)], env={"COLUMNS": columns})
        assert done.exit_code == 0, done.output
        return done.stdout

    made = [json.loads(run("create", *words, "--json"))["access_key_id"] for words in ((), ("--read-only",))]
    head, *rows = run("list").splitlines()
    assert head.split()[:3] == ["access", "key", "id"]
    assert {row.split()[0] for row in rows} == set(made)
    assert all(len(row) <= 80 for row in rows)
    run("disable", rows[0].split()[0])
    assert {one["access_key_id"]: one["enabled"] for one in json.loads(run("list", "--json"))} == {
        one: one != rows[0].split()[0] for one in made
    }
