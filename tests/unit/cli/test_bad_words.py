"""Whatever is typed ends in words: values that nobody should give, files that are none, services that are not there.

By a generator, so that what nobody thought of is tried as well.
"""

import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from kit import programs
from kit.commands import all_commands, environment_with
from streamferry.cli.commands import app
from streamferry.cli.guard import explain
from streamferry.service.assembly import _listen

COMMANDS = dict(all_commands())
#: They run until they are told to end; what they refuse is listed below.
RUNNERS = {"quickstart", "serve", "worker", "relay", "receive", "demo"}
WORDS = (
    *("", " ", "-", "--", "0", "-1", "nan", "inf", "1e400", "9" * 40, "***", "周末.mp4", "\udcff\udcfe", "a" * 5000),
    *(
        "[/red]",
        "\x1b[31m",
        "%s{}",
        "../../..",
        "~nobody/x",
        "+1h",
        "now",
        "+999999d",
        "2026-02-30T00:00",
        "null",
        "\r\n",
    ),
    *(
        "rtmp://h",
        "rtmp://h/a/b",
        "http://h:99999/x",
        "http://[::1",
        "ftp://h/x",
        "file://",
        "srt://:0",
        "evt_x",
        "AKx",
    ),
)
ROUNDS = 4


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, ...]:
    """Paths at which there is something else than was hoped for."""
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "store.db").write_text("no database")
    (tmp_path / "seal.key").write_text("no key")
    names = ("none/none", "empty", "binary", "loop", "closed", "closed/x", "store.db", "")
    return (*(str(tmp_path / name) for name in names), "/dev/null", "/dev/full", "/proc/self/mem", "/")


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment with a key and without a service, and a home without anything."""
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "home/data"),
        "STREAMFERRY_CACHE_DIR": str(tmp_path / "cache"),
        "STREAMFERRY_URL": "http://127.0.0.1:1",
        "STREAMFERRY_CONFIG": "",
        "RAY_ADDRESS": "127.0.0.1:1",
        "VOLC_ACCESSKEY": "AK",
        "VOLC_SECRETKEY": "planted-secret",
    }


def judge(words: list[str], environment: dict[str, str]) -> None:
    """Run it in this process: it ends by itself, with a sentence of ours, and without showing a secret."""
    done = CliRunner().invoke(app, words, env=environment)
    error = done.exception
    if error is not None and not isinstance(error, SystemExit):
        # What is not caught before ends in the guard, which is not part of this runner.
        said, _ = explain(error)
        assert "mistake of ours" not in said, (words, done.exc_info)
    assert "mistake of ours" not in done.output, (words, done.output)
    assert "Traceback" not in done.output, (words, done.output)
    assert "planted-secret" not in done.output, (words, done.output)
    assert done.exit_code in (0, 1, 2, 3, 5), (words, done.output)
    assert done.exit_code == 0 or done.output or error, words


def drawn(name: str, places: tuple[str, ...], draw: random.Random) -> Iterator[list[str]]:
    """Command lines: some of its options, each with some value."""
    command = COMMANDS[name]
    for _ in range(ROUNDS):
        words = name.split()
        for one in command.params:
            if one.name in ("help", "as_json") or (not one.required and draw.random() < 0.7):
                continue
            value = draw.choice(draw.choice((WORDS, places)))
            if one.param_type_name == "argument":
                words.append(value)
            elif getattr(one, "is_flag", False):
                words.append(draw.choice([*one.opts, *one.secondary_opts]))
            else:
                words += [one.opts[0], value]
        yield words


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - RUNNERS))
def test_no_value_brings_a_command_down(
    name: str, places: tuple[str, ...], nowhere: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """Options, arguments and environment as nobody would give them on purpose."""
    seed = request.config.getoption("randomly_seed", default=1)
    for words in drawn(name, places, random.Random(f"{name} {seed}")):
        judge(words, nowhere)


@pytest.mark.parametrize("words", [["--follow"], ["-f", "--after", "5"], ["-f", "--since", "1h"]], ids=" ".join)
def test_events_of_a_service_that_is_not_there_are_not_waited_for(words: list[str], nowhere: dict[str, str]) -> None:
    """With a wrong address it waited for ever and said nothing."""
    done = CliRunner().invoke(app, ["task", "events", *words], env=nowhere)
    assert done.exit_code == 5
    assert "the service at 127.0.0.1:1 cannot be reached" in done.output


def refusals(places: tuple[str, ...]) -> Iterator[list[str]]:
    """What commands that run until they are told to end cannot use."""
    for option, value in (
        ("--store", "mysql://h/x"),
        ("--store", "sqlite:////dev/full"),
        *(("--config", one) for one in places if one.endswith(("binary", "/dev/full"))),
        *(("--data-dir", one) for one in places if one.endswith(("loop", "/dev/null"))),
    ):
        yield ["serve", "--port", "0", "--workers", "1", option, value]
    yield ["receive", "--host", "nosuch.invalid"]
    yield ["quickstart", "/proc/nothing"]
    for words in (
        ["\udcff"],
        ["x.mp4", "--ca-file", "/dev/null"],
        ["x.mp4", "--watermark", "/"],
        ["x", "--offset", "nan"],
    ):
        yield ["relay", "--to", "rtmp://127.0.0.1:1/a/b", *words]


def test_an_address_to_listen_on_that_is_none() -> None:
    """It was a TypeError of Python's."""
    with pytest.raises(ValueError, match="host: is neither a name nor an address"):
        _listen("\udcff", 0)


def test_what_runs_refuses_what_it_cannot_use(places: tuple[str, ...], nowhere: dict[str, str]) -> None:
    """In words, with a status that is not 0, and by itself."""
    for words in refusals(places):
        done = programs.run_ours(words, environment_with(nowhere))
        assert done.returncode in (1, 2, 3, 5), (words, done.stderr)
        said = done.stderr + done.stdout
        assert said, words
        assert not any(one in said for one in ("Traceback", "mistake of ours", "planted-secret")), (words, said)


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"token": 5}', b'{"token": "t\\n"}', b'{"tasks": 3}', b"<html>"],
)
def test_a_service_that_is_none_is_told(answer: bytes, nowhere: dict[str, str]) -> None:
    """A web server that says 200 to everything, with anything for a body."""

    class Anything(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = b'{"token": "t"}' if self.path.endswith("/tokens") and answer[:2] == b'{"' else answer
            body = answer if b"token" in answer else body
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Anything) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = {**nowhere, "STREAMFERRY_URL": f"http://127.0.0.1:{server.server_address[1]}"}
            follow = ["events", "--follow"]
            for words in (["list"], ["show", "a" * 32], ["show", "title"], ["events"], follow, ["stop", "a" * 32]):
                judge(["task", *words], url)
        finally:
            server.shutdown()
            thread.join()
