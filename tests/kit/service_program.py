"""``streamferry serve`` as a user runs it: a process with children, in a folder of its own."""

import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

from kit.programs import Program, descendants
from kit.relay_program import STREAMFERRY
from kit.waiting import wait_for


class ServiceProgram(Program):
    """A service that runs. ``data`` may hold what an earlier one left."""

    def __init__(self, home: Path, *arguments: object, environment: dict[str, str] | None = None) -> None:
        home.mkdir(exist_ok=True)
        self.data = home / "data"
        self._errors = home / "stderr"
        self._seen = len((home / "stdout").read_text()) if (home / "stdout").exists() else 0
        super().__init__(
            [STREAMFERRY, "serve", "--data-dir", self.data, "--port", "0", *map(str, arguments)],
            home / "stdout",
            errors=self._errors,
            environment={
                "STREAMFERRY_CACHE_DIR": str(home / "cache"),
                "PYTHONWARNINGS": "default::ResourceWarning",
                **(environment or {}),
            },
        )

    @property
    def said(self) -> str:
        """What this one has printed so far, without those before it."""
        return self.output[self._seen :]

    @property
    def errors(self) -> str:
        """What this and those before it have logged."""
        return self._errors.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Address of the API."""
        line = wait_for("the address", lambda: [line for line in self.said.splitlines() if line.startswith("API")])
        return line[0].split()[1]

    @property
    def health(self) -> int:
        """Status of /healthz."""
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def wait_ready(self, seconds: float = 15.0) -> "ServiceProgram":
        """Wait until it is healthy."""

        def look() -> bool:
            assert self.is_running, f"it ended: {self.said}{self.errors}"
            return "health" in self.said and self.health == 200

        wait_for("the service to be healthy", look, seconds)
        return self

    def kill_tree(self) -> None:
        """kill -9 it and all that it has started, at once."""
        victims = [*descendants(self.pid), self.pid]
        # Stopped first, so that none of them sees another die and acts on it.
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                try:
                    os.kill(victim, how)
                except ProcessLookupError:
                    continue
        self.process.wait(5)
