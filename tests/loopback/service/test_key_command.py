"""``streamferry key`` over a store of its own, as a person types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamferry.cli import app


@pytest.mark.parametrize("columns", ["80", "20", None])
def test_ids_of_keys_were_cut(tmp_path: Path, columns: str | None) -> None:
    """In a terminal of any width, and in a pipe: what is listed can be pasted into ``key disable``."""

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["key", *words, "--data-dir", str(tmp_path)], env={"COLUMNS": columns})
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
