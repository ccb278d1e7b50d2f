"""Outside programs: where they are, and running one so that it never outlives the test."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import imageio_ffmpeg
import pytest

from kit.forked import Fork, Forks
from kit.forked_children import NURSERY

#: Our program as users start it.
STREAMFERRY = Path(sys.executable).with_name("streamferry")
#: How long a program may take to leave after SIGTERM before it is killed.
STOP_SECONDS = 30.0
#: Most of what a service costs is its imports: 2.3 of 3 s of CPU.
_FORKS = Forks(
    "streamferry.cli",
    *("streamferry.cli.commands", "streamferry.cli.serve", "streamferry.cli.relay"),
    *("streamferry.service.assembly", "streamferry.service.work"),
    *("asyncpg", "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.sqlite.aiosqlite"),
    # What each imports when it begins.
    *("streamferry.store.postgresql", "streamferry.store.listening", "streamferry.service.doubtful", "certifi"),
    *("httpcore", "nicegui.ui_run_with", "uvicorn.lifespan.on", "uvicorn.protocols.websockets.auto"),
    *("streamferry.cli.examples", "streamferry.service.log", "starlette.middleware.gzip", "encodings.idna"),
    program=STREAMFERRY,
)
_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


@functools.cache
def ffmpeg() -> str:
    """The ffmpeg that pip installs: has libx264, libx265 and AAC, and reads and writes Enhanced RTMP."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def find(program: str) -> str | None:
    """Path of a program of the system, if it is there."""
    return shutil.which(program, path=_SEARCH)


def need(program: str) -> str:
    """The same. Skips the test, saying why, if there is none (CI=true: a failure)."""
    found = find(program)
    if found is None:
        pytest.skip(f"{program} is not installed; run scripts/tools.sh as root")
    return found


def run(
    command: Sequence[str | Path], seconds: float = 60.0, *, may_fail: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run to the end. Raises AssertionError with the program's own words if it fails or takes too long."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{Path(command[0]).name} took more than {seconds} s") from None
    how = f"{Path(command[0]).name} exited with {done.returncode}:\n{done.stderr[-2000:]}"
    assert may_fail or done.returncode == 0, how
    return done


class Program:
    """A process whose output goes to a file. Leaving the context stops it; the kernel does if pytest dies.

    One of ours is a fork, see ``kit.forked``; ``is_started`` for tests of what /proc shows of it, and of the way from
    the executable to the command.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path | None = None,
        errors: Path | None = None,
        environment: Mapping[str, str] | None = None,
        is_started: bool = False,
    ) -> None:
        """``errors``: a file of its own for standard error. ``environment``: added to ours."""
        self.log = log
        words = [str(word) for word in command]
        variables = {**os.environ, **(environment or {})}
        with log.open("ab") as output, (errors or log).open("ab") as error_output, open(os.devnull) as nothing:
            self.process: subprocess.Popen[bytes] | Fork
            if command[0] == STREAMFERRY and not is_started and sys.platform == "linux":
                streams = [one.fileno() for one in (nothing, output, error_output)]
                self.process = _FORKS.start(words[1:], streams, environment=variables, cwd=cwd, has_nursery=True)
                return
            if sys.platform == "linux" and (setpriv := shutil.which("setpriv", path=_SEARCH)):
                words = [setpriv, "--pdeathsig", "KILL", *words]
            self.process = subprocess.Popen(
                words, stdin=nothing, stdout=output, stderr=error_output, cwd=cwd, env=variables
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Send a signal, wait, and give the exit status; SIGKILL follows if it does not go in time."""
        if self.is_running:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_ours(words: Sequence[object], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command of ours, as a fork, to its end. ``environment``: instead of that of the tests."""
    return _FORKS.run([*map(str, words)], environment=environment)


def start_forks() -> None:
    """Have the process that programs of ours are forked from, for this process and all that are forked from it."""
    _FORKS.start_parent()


def close_forks() -> None:
    """End the process that programs of ours are forked from; if others have it as well, they do."""
    _FORKS.close()


def descendants(pid: int) -> list[int]:
    """Process ids of all children of a process and their children, as far as they live now; without nurseries."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                if not _is_over(child) and Path(f"/proc/{child}/comm").read_text() != f"{NURSERY}\n":
                    found += [child, *descendants(child)]
    return found


def _is_over(pid: int) -> bool:
    """Whether it has ended, and only its parent has not looked yet how: proc(5), the state after the name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))


def command_line(pid: int) -> str:
    """The argv of a process and its name, which of a fork tells what it is; an empty string once it is gone."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return words and words + Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def variables(pid: int) -> str:
    """The environment of a process as the kernel shows it, or an empty string once it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
