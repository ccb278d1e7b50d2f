"""Programs of ours as processes forked from one that has imported what they need: an import is most of a short one.

``main`` is also that process. It has no threads and no event loop. Its standard input is a socket. A message is what
to run, as JSON, and brings the standard input, output and error of the fork, and a socket of its own on which are told
its process id and how it ended.

A fork has the arguments, the environment, the folder, the signals and the end of a process that was started: also what
Python does at its end is done. But /proc shows the command line and the environment of the process it was forked from.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kit.forked_children import have_nursery, load_modules, open_streams

_TESTS = str(Path(__file__).parents[1])
#: Within this it has ended, or has come to a stand: some have a low priority, and a machine may be busy.
_HANGS_S = 100.0
_ENDS_S = 20.0
_PR_SET_PDEATHSIG = 1


class Fork:
    """A forked process, with what tests ask of a ``subprocess.Popen``."""

    def __init__(self, words: Sequence[str], told: socket.socket) -> None:
        self.args = words
        self.returncode: int | None = None
        self._told = told
        told.settimeout(_HANGS_S)
        number = told.recv(16)
        assert number, "the process that was to fork has ended"
        self.pid = int(number)

    def poll(self) -> int | None:
        """How it ended, if it has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            # It was killed where the process that would have told has ended.
            self.returncode = int(self._told.recv(16) or -signal.SIGKILL)
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To a process that has not ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Runs ``main`` of a module in processes. The one they are forked from imports it, and ``imports``, once.

    ``program``: what a fork finds as the name it was called by.
    """

    def __init__(self, module: str, *imports: str, program: str | Path | None = None) -> None:
        self._program = str(program or module)
        self._modules = (module, *imports)
        self._parent: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the parent of all of them, which is started if it does not run."""
        return self._started().pid

    def start_parent(self) -> None:
        """Do that now, also for processes that will be forked from this one: they share it, and end it together."""
        self._started()

    def start(
        self,
        words: Sequence[str],
        streams: Sequence[int],
        *,
        environment: Mapping[str, str],
        cwd: Path | None = None,
        has_nursery: bool = False,
    ) -> Fork:
        """Start one. ``streams``: descriptors that become its standard input, output and error.

        ``has_nursery``: programs of ours that it starts are forks too, see ``kit.forked_children``.
        """
        self._started()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            order = _Order([self._program, *words], dict(environment), str(cwd or Path.cwd()), has_nursery)
            message = json.dumps(order).encode()
            socket.send_fds(self._end, [message], [*streams, theirs.fileno()])
        return Fork(words, ours)

    def run(
        self, words: Sequence[str] = (), *, text: str = "", environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run one to its end. ``words``: its arguments. ``text``: its input. ``environment``: instead of ours."""
        with (
            tempfile.TemporaryFile("w+") as asked,
            tempfile.TemporaryFile("w+", errors="replace") as output,
            tempfile.TemporaryFile("w+", errors="replace") as errors,
        ):
            asked.write(text)
            asked.seek(0)
            streams = [one.fileno() for one in (asked, output, errors)]
            fork = self.start(words, streams, environment=os.environ if environment is None else environment)
            try:
                status = fork.wait(_HANGS_S)
            finally:
                fork.kill()
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(words, status, output.read(), errors.read())

    def close(self) -> None:
        """End the process that they were forked from, and with it those that still run."""
        if self._parent is not None:
            self._end.close()
            # It may have been stopped by a test, and would never end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._parent.wait(_ENDS_S)
            self._parent.kill()
            self._parent.wait()
            self._parent = None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._parent is None:
            self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._end.settimeout(_HANGS_S)
            with theirs:
                # What it runs finds no names beside the tests.
                code = f"import sys; sys.path[0] = {_TESTS!r}; from kit import forked; del sys.path[0]; forked.main()"
                words = [sys.executable, "-c", code, *self._modules]
                # A socket or file left open is told on standard error, where tests look.
                environment = {**os.environ, "PYTHONWARNINGS": "default::ResourceWarning"}
                self._parent = subprocess.Popen(
                    words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment
                )
        return self._parent


class _Order(NamedTuple):
    words: list[str]
    environment: dict[str, str]
    cwd: str
    has_nursery: bool


def _orders(asked: socket.socket) -> tuple[_Order, list[int]]:
    """Fork for each that is asked for. Returns in forks only: what one is to be."""
    running: dict[int, int] = {}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([asked.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(running)
        if asked.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 4)
        if not message:
            sys.exit()
        *streams, told = descriptors
        # An ended child is told after its process id, for the two are told by one process.
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for descriptor in (woken, wakes, told, *running.values()):
                os.close(descriptor)
            return _Order(*json.loads(message)), streams
        running[pid] = told
        os.write(told, b"%d" % pid)
        for stream in streams:
            os.close(stream)


def _tell_ended(running: dict[int, int]) -> None:
    """Of those that have ended, to who started them; they may have left."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = running.pop(pid)
        with contextlib.suppress(OSError):
            os.write(told, b"%d" % os.waitstatus_to_exitcode(status))
        os.close(told)


def _become(order: _Order, streams: list[int]) -> None:
    """Have what a process has that was started so. It ends with the one it was forked from, as ``Program`` has it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    open_streams()
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    sys.argv = order.words
    if order.has_nursery:
        have_nursery()


def main() -> None:
    """The process that forks, and then each of its forks."""
    gc.disable()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    program = sys.modules[sys.argv[1]]
    load_modules()
    gc.freeze()
    gc.enable()
    with socket.socket(fileno=os.dup(0)) as asked:
        order, streams = _orders(asked)
    _become(order, streams)
    program.main()
