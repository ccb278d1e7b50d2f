"""``streamferry cluster`` where it cannot do it: one sentence, before anything is started."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kit import commands
from kit.programs import STREAMFERRY
from kit.waiting import PATIENCE_S, START_S
from streamferry.cli.cluster import connect
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


def on_loopback(environment: dict[str, str | None], address: str) -> dict[str, str]:
    """For a process, with a cluster at this address, which Ray would look for in the machine's network otherwise."""
    told = {name: value for name, value in environment.items() if value is not None}
    return told | {"RAY_ADDRESS": address, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_that_never_answers_ends_the_command(environment: dict[str, str | None], scheme: str) -> None:
    """Ray itself would wait for longer than anybody does; where it waits, no exception gets to it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}127.0.0.1:{silent.getsockname()[1]}"
        told = on_loopback(environment, address)
        done = commands.run("cluster", "status", "--timeout", 3, environment=told)
    assert (done.returncode, done.stdout) == (5, "")
    (line,) = done.stderr.splitlines()
    assert "no Ray cluster answers there" in line
    assert "--timeout" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_ray_can_stop_it(environment: dict[str, str | None], number: signal.Signals) -> None:
    """Ctrl-C ends it while Ray tries to connect, where no handler of Python runs."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(START_S)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        waiting = subprocess.Popen(
            [STREAMFERRY, "cluster", "status", "--timeout", "3600"],
            env=commands.environment_with(on_loopback(environment, address)),
            stderr=subprocess.PIPE,
            text=True,
        )
        # Ours looks whether anything is there; Ray's comes after that.
        with silent.accept()[0], silent.accept()[0]:
            waiting.send_signal(number)
            _, said = waiting.communicate(timeout=PATIENCE_S)
    assert (waiting.returncode, said) == (128 + number, "")


class ClientServer:
    """Ray's module as it is where the session of a client could not be started so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def init(self, *_: object, **__: object) -> None:
        """Connect."""
        if self.failures:
            self.failures -= 1
            raise ConnectionAbortedError("Initialization failure from server: ... planted ...")


def test_a_client_whose_session_could_not_be_started_tries_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Ray's client server starts a process for each, which may die at once. What it says stays out of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"ray://127.0.0.1:{listener.getsockname()[1]}"
        connect(ClientServer(2), address)
        with pytest.raises(typer.Exit):
            connect(ClientServer(3), address)
    said = capsys.readouterr().err
    assert "ray_client_server" in said
    assert "planted" not in said
