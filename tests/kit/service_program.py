"""``streamferry serve`` as a user runs it: a process with children, in a folder of its own."""

import contextlib
import os
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

from kit import programs
from kit.programs import STREAMFERRY, Program, descendants
from kit.waiting import START_S, wait_for
from streamferry.control.actions import Actions
from streamferry.store import Seal, Store, sqlite_url


class ServiceProgram(Program):
    """A service that runs, with one worker if not told otherwise.

    ``data`` may hold what an earlier one left; ``store_url``: its store, if not there.

    ``disk_bytes``: its data folder is a disk of its own of that size, which only its processes see.
    """

    def __init__(
        self,
        home: Path,
        *arguments: object,
        store_url: str = "",
        environment: dict[str, str] | None = None,
        disk_bytes: int = 0,
        is_started: bool = False,
    ) -> None:
        home.mkdir(exist_ok=True)
        self.data = home / "data"
        self.store_url = store_url or sqlite_url(self.data / "store.db")
        self._errors = home / "stderr"
        self._seen = len((home / "stdout").read_text()) if (home / "stdout").exists() else 0
        words = map(str, arguments)
        wrapping: list[str | Path] = []
        if disk_bytes:
            self.data.mkdir(exist_ok=True)
            mount = f'mount -t tmpfs -o size={disk_bytes} none "$0" && exec "$@"'
            wrapping = [programs.need("unshare"), "--map-root-user", "--mount", "sh", "-c", mount, self.data]
        super().__init__(
            [
                *wrapping,
                STREAMFERRY,
                "serve",
                "--data-dir",
                self.data,
                "--store",
                self.store_url,
                "--port",
                "0",
                "--workers",
                "1",
                *words,
            ],
            home / "stdout",
            errors=self._errors,
            environment={
                "STREAMFERRY_CACHE_DIR": str(home / "cache"),
                "PYTHONWARNINGS": "default::ResourceWarning",
                **(environment or {}),
            },
            is_started=is_started,
        )

    @contextlib.asynccontextmanager
    async def actions(self) -> AsyncIterator[Actions]:
        """The actions on its store, from this process, as any front end may."""
        store = Store(self.store_url, Seal((self.data / "seal.key").read_text().strip()))
        try:
            yield Actions(store)
        finally:
            await store.aclose()

    @property
    def disk(self) -> Path:
        """Its data folder as its processes see it. SQLite cannot open a store by that path: it follows the link."""
        return Path(f"/proc/{self.pid}/root{self.data}")

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

    def wait_ready(self, seconds: float = START_S) -> "ServiceProgram":
        """Wait until it is healthy."""

        def look() -> bool:
            assert self.is_running, f"it ended: {self.said}{self.errors}"
            try:
                return "health" in self.said and self.health == 200
            except OSError:  # On a machine that has much to do: it is asked again.
                return False

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
