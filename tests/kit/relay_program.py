"""``streamferry relay`` as a user runs it: a process, its JSON lines, its exit status."""

import contextlib
import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from kit.programs import STREAMFERRY, Program
from kit.waiting import START_S, wait_for
from streamferry.cli.commands import app
from streamferry.net import sandbox


@dataclass(frozen=True)
class Line:
    """One JSON line: the documented keys, no more and no fewer, in any order."""

    state: str
    media_time_ms: int
    bytes_out: int
    kbps_out: int
    dropped_tags: int
    lost_ms: int
    lost_packets: int
    retries: int
    repairs: int
    fault: str | None
    reason: str | None
    on_air: str | None
    final: bool
    #: Only in lines while there is one.
    unready: tuple[int, ...] = ()


def parse_lines(output: str) -> list[Line]:
    """All whole JSON lines of an output, each with exactly the documented keys (TypeError otherwise)."""
    return [Line(**json.loads(line)) for line in output.splitlines(keepends=True) if line.endswith("\n")]


@dataclass(frozen=True)
class Finished:
    """A relay that has ended, and what it printed."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[Line]:
        """Its JSON lines."""
        return parse_lines(self.output)


def run_to_end(home: Path, *arguments: object) -> Finished:
    """``streamferry relay --json`` in this process, until it has ended: a process of its own costs a second of CPU."""
    home.mkdir(exist_ok=True)
    command = typer.main.get_command(app)
    # The command sets it for its process.
    level = sandbox.log.level
    try:
        with (
            (home / "stdout").open("w") as output,
            (home / "stderr").open("w") as errors,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("STREAMFERRY_CACHE_DIR", str(home / "cache"))
            with pytest.raises(SystemExit) as ended:
                command.main(["relay", *map(str, arguments), "--json"], "streamferry")
    finally:
        sandbox.log.setLevel(level)
    return Finished(int(ended.value.code or 0), (home / "stdout").read_text(), (home / "stderr").read_text())


class RelayProgram(Program):
    """A relay that runs; with ``json`` its lines can be read."""

    def __init__(
        self,
        home: Path,
        *arguments: object,
        json: bool = True,
        environment: dict[str, str] | None = None,
        is_started: bool = False,
    ) -> None:
        home.mkdir()
        self._errors = home / "stderr"
        super().__init__(
            [STREAMFERRY, "relay", *map(str, arguments), *(["--json"] if json else [])],
            home / "stdout",
            errors=self._errors,
            environment={
                "STREAMFERRY_CACHE_DIR": str(home / "cache"),
                # A socket or file left open is told on standard error, where the fixture looks.
                "PYTHONWARNINGS": "default::ResourceWarning",
                **(environment or {}),
            },
            is_started=is_started,
        )

    @property
    def errors(self) -> str:
        """All it has printed to standard error so far."""
        return self._errors.read_text(errors="replace")

    @property
    def raw_lines(self) -> list[dict[str, Any]]:
        """All whole JSON lines so far, as objects."""
        return [json.loads(line) for line in self.output.splitlines(keepends=True) if line.endswith("\n")]

    @property
    def lines(self) -> list[Line]:
        """The same, each with exactly the documented keys (TypeError otherwise)."""
        return parse_lines(self.output)

    def wait_state(self, state: str, *, after: int = 0, seconds: float = START_S) -> Line:
        """Wait for a line of that state, not looking at the first ``after`` lines."""

        def look() -> Line | None:
            found = [line for line in self.lines[after:] if line.state == state]
            assert found or self.is_running, f"it ended before it was {state}: {self.output[-800:]}{self.errors}"
            return found[0] if found else None

        return wait_for(f"the relay to be {state}", look, seconds)

    def finish(self, seconds: float = 90.0) -> int:
        """Wait for it to end by itself and give the exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s:\n{self.output[-2000:]}{self.errors}") from None

    def interrupt(self) -> int:
        """Ctrl-C, and the exit status."""
        return self.stop(signal.SIGINT)
