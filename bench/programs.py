"""Programs a benchmark starts: built, pinned to a core, spoken to line by line, and always ended by their own pid.

Load generators are the C programs of ``native/``, compiled into ``.build/`` when their text is newer. They answer a
line with a line of JSON, as ``host.py`` does, and leave when their standard input ends.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

BENCH = Path(__file__).resolve().parent
BUILD = BENCH / ".build"
_NATIVE = BENCH / "native"
SERVER_UP_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def cores() -> tuple[int, int]:
    """(core of the relays, core of the load generators): the first and the last this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def start_server(stack: ExitStack, argv: Sequence[str | Path], config: str, port: int, core: int) -> "Program":
    """A server whose last argument is its configuration; returns once it takes connections at ``port``.

    In ``config`` ``{folder}`` is a folder of its own. Raises RuntimeError with what it said if it does not start.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
    path, log = folder / "config", folder / "log"
    path.write_text(config.replace("{folder}", str(folder)))
    server = stack.enter_context(Program([*argv, path], core, log=log))
    deadline = time.monotonic() + SERVER_UP_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except ConnectionRefusedError:
            if time.monotonic() > deadline or not server.is_running:
                raise RuntimeError(f"{argv[0]} did not start: {log.read_text().strip()}") from None
            time.sleep(0.05)


def unused_port() -> int:
    """A loopback TCP port that was free a moment ago, for a program that has to be told its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def build_native(name: str) -> Path:
    """Compile ``native/NAME.c`` if it, or what it includes, is newer than the program. Needs gcc."""
    program, text = BUILD / name, _NATIVE / f"{name}.c"
    BUILD.mkdir(exist_ok=True)
    newest = max(path.stat().st_mtime for path in _NATIVE.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        # Others may build it at the same moment, or have it running.
        unfinished = program.with_name(f"{name}.{os.getpid()}")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(unfinished), str(text)], check=True)
        unfinished.rename(program)
    return program


class Program:
    """A child process on one core. It dies with this process, and :meth:`close` ends it."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        core: int,
        *,
        talks: bool = False,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. ``talks``: lines go both ways; else its input is closed and its output goes to ``log`` or away.

        ``environment``: what differs from ours.
        """
        self._name = Path(argv[0]).name
        self._unread = b""

        def settle() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, {core})

        with open(log or os.devnull, "wb") as out:
            self._child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else out,
                stderr=None if talks else out,
                bufsize=0,
                env={**os.environ, **(environment or {})},
                preexec_fn=settle,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """False once it has ended."""
        return self._child.poll() is None

    def tell(self, line: str) -> None:
        """Send one line."""
        assert self._child.stdin
        self._child.stdin.write(line.encode() + b"\n")

    def hear(self, timeout: float = 60.0) -> dict[str, Any]:
        """The next line it says, parsed. Raises RuntimeError if none comes in time or it has ended."""
        assert self._child.stdout
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready = select.select([self._child.stdout], [], [], max(left, 0))[0]
            data = os.read(self._child.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise RuntimeError(f"{self._name} {'ended' if ready else f'said nothing within {timeout:g} s'}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, line: str, timeout: float = 60.0) -> dict[str, Any]:
        """Send one line and take the answer."""
        self.tell(line)
        return self.hear(timeout)

    def begin_close(self) -> None:
        """Ask it to end, by the end of its input or SIGTERM, so that many end at once."""
        if self._child.stdin:
            self._child.stdin.close()
        else:
            self._child.terminate()

    def close(self) -> None:
        """End it and wait: SIGTERM after 5 s, SIGKILL after 10."""
        self.begin_close()
        for end in (self._child.terminate, self._child.kill):
            try:
                self._child.wait(5)
                break
            except subprocess.TimeoutExpired:
                end()
        self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def close_all(programs: Sequence[Program]) -> None:
    """End many at once."""
    for program in programs:
        program.begin_close()
    for program in programs:
        program.close()


class Source(Program):
    """``native/source.c`` at work."""

    def __init__(self, clip: Path, moments: int = 100) -> None:
        """``moments``: how many different moments of a period its streams send at, see GROUPS of source.c."""
        super().__init__([build_native("source"), clip, str(moments)], cores()[1], talks=True)
        self._ports = self.hear()

    def url(self, protocol: str, rhythm: str, name: object) -> str:
        """Address of a live stream: protocol ``http`` or ``rtmp``, rhythm ``bursts`` or ``pieces``."""
        return f"{protocol}://127.0.0.1:{self._ports[protocol]}/{rhythm}/{name}"

    def publish(self, rhythm: str, port: int, count: int) -> None:
        """Publish ``count`` streams to ``rtmp://127.0.0.1:port/bench/0`` and so on."""
        self.tell(f"publish {rhythm} {port} bench 0 {count}")

    def report(self) -> dict[str, Any]:
        """Counts since the last report, see source.c."""
        return self.ask("report")


class Sink(Program):
    """``native/sink.c`` at work."""

    def __init__(self, drain_ms: int = 20, *, fresh_ms: int = 1000, events: bool = False) -> None:
        options = [str(drain_ms), str(fresh_ms), *["--events"] * events]
        super().__init__([build_native("sink"), *options], cores()[1], talks=True)
        self.port: int = self.hear()["rtmp"]
        #: Of the server that takes TLS in front of it, if there is one: see ``tls.py``.
        self.tls_port: int | None = None

    def url(self, key: object) -> str:
        """Address to publish to: rtmps with TLS in front, else rtmp."""
        scheme, port = ("rtmps", self.tls_port) if self.tls_port else ("rtmp", self.port)
        return f"{scheme}://127.0.0.1:{port}/bench/{key}"

    def report(self) -> dict[str, Any]:
        """Counts since the last report, see sink.c."""
        return self.ask("report")

    def wait_for_streams(self, count: int, timeout: float) -> None:
        """Return when ``count`` streams are fresh (see sink.c); RuntimeError if that never comes."""
        deadline = time.monotonic() + timeout
        while (seen := self.report())["fresh"] < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{seen['fresh']} of {count} streams came up within {timeout:g} s")
            time.sleep(0.25)
