"""``streamferry serve`` under measurement: a folder of its own, the whole machine, no rate limits, a known key."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from programs import BUILD

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKBENCH", "secret-of-a-benchmark"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_NO_LIMITS = dict.fromkeys(("STREAMFERRY_WRITE_RATE", "STREAMFERRY_LIST_RATE", "STREAMFERRY_USAGE_RATE"), "0")


class Service:
    """Context manager. ``store``: its address."""

    def __init__(self, home: Path, store: str, *, workers: int = 0) -> None:
        self.data = home / "data"
        self.store = store
        self._log = home / "service.log"
        self._said = home / "service.out"
        words = ["serve", "--data-dir", self.data, "--port", "0", "--store", store]
        words += ["--egress", "any", "--files", BUILD, "--workers", workers]
        environment = {
            **os.environ,
            **_NO_LIMITS,
            "STREAMFERRY_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "STREAMFERRY_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "STREAMFERRY_CACHE_DIR": str(home / "cache"),
            "STREAMFERRY_LOG_LEVEL": "warning",
        }
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "streamferry", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                env=environment,
            )

    @property
    def pid(self) -> int:
        """Of the service itself, without its workers."""
        return self._child.pid

    @property
    def url(self) -> str:
        """Address of the API."""
        for line in self._said.read_text().splitlines():
            if line.startswith("API"):
                return line.split()[1]
        return ""

    @property
    def seal_key(self) -> str:
        """What opens the sealed columns of its store."""
        return (self.data / "seal.key").read_text().strip()

    def wait_ready(self) -> None:
        """Return when it is healthy. Raises RuntimeError with its log if it is not in time."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_healthy():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start: {self._log.read_text()}")
            time.sleep(0.1)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (ValueError, urllib.error.URLError):
            return False

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
