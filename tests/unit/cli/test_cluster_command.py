"""``streamferry cluster`` where it cannot do it: one sentence, before anything is started."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamferry.cli.commands import app

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
STORE = "postgresql://streamferry@db.example/streamferry"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str | None]:
    """What a service's operator has in it; no cluster is at that address."""
    return {
        "STREAMFERRY_CONFIG": "",
        "STREAMFERRY_DATA_DIR": str(tmp_path),
        "STREAMFERRY_STORE": STORE,
        "STREAMFERRY_SEAL_KEY": KEY,
        "RAY_ADDRESS": "127.0.0.1:1",
    }


def refused(words: str, environment: dict[str, str | None]) -> str:
    """What it says."""
    done = CliRunner().invoke(app, ["cluster", *words.split()], env=environment)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("streamferry cluster: ")
    return str(line)


def test_without_ray_it_says_how_to_install_it(
    environment: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the commands."""
    monkeypatch.setitem(sys.modules, "ray", None)
    for words in ("up", "status", "down"):
        assert "pip install 'streamferry[ray]'" in refused(words, environment)


@pytest.mark.parametrize("address", ["local", "127.0.0.1", "ray://", "ray://u:p@h:1", "http://h:1", "x y:1"])
def test_an_address_that_is_none(environment: dict[str, str | None], address: str) -> None:
    """Ray itself would start a cluster for some of them."""
    done = CliRunner().invoke(app, ["cluster", "status", "--address", address], env=environment)
    assert (done.exit_code, done.stderr) == (2, "streamferry cluster: --address: must be auto, or ray://HOST:10001\n")


@pytest.mark.parametrize(
    "address", ["auto", "127.0.0.1:1", "ray://127.0.0.1:1", "ray://nosuch.invalid:10001", "h:99999"]
)
def test_an_address_at_which_no_ray_is(environment: dict[str, str | None], address: str) -> None:
    """Told at once. ``auto`` is what Ray's own variable says."""
    assert "no Ray cluster answers there" in refused(f"down --address {address}", environment)


def test_a_store_that_machines_cannot_share(environment: dict[str, str | None]) -> None:
    """One in a file, and one without the key."""
    assert "must be postgresql://" in refused("up", {**environment, "STREAMFERRY_STORE": None})
    assert "must be postgresql://" in refused("up --store sqlite:///x.db", environment)
    assert "STREAMFERRY_SEAL_KEY" in refused("up", {**environment, "STREAMFERRY_SEAL_KEY": None})


@pytest.mark.parametrize("store", ["postgresql://a:planted@h/b", "postgresql://h/b?user=a&password=planted"])
def test_a_password_in_the_command_line_is_refused(environment: dict[str, str | None], store: str) -> None:
    """Ray keeps the line, and shows it to all."""
    said = refused(f"up --store {store}", environment)
    assert "STREAMFERRY_STORE" in said
    assert "planted" not in said


def test_numbers_that_ray_could_not_use(environment: dict[str, str | None]) -> None:
    """Nothing would ever be started with them."""
    assert "--min" in refused("up --min 3 --max 2", environment)
    for cpus in ("1.5", "inf"):
        assert "--cpus" in refused(f"up --cpus {cpus}", environment)
