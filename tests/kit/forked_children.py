"""Programs of ours that a fork starts (``python -P -m MODULE``: workers, preparations, probes) are forked as well.

A fork has threads and an event loop when it starts one. So it has a process from before it had them: the nursery, which
does nothing but fork, and ends with it. A process of the tests has one as well, for the preparations of its relays.

What is forked is a child of who asked, as one that was started would be: the nursery forks twice, the one between ends,
and the kernel gives what it leaves to the nearest ancestor that asks for it.
"""

import array
import asyncio
import asyncio.base_subprocess
import asyncio.subprocess
import atexit
import ctypes
import fcntl
import functools
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

#: What those programs are; the first one starts others.
MODULES = ("streamferry.cli.attached_worker", "streamferry.prepare.preparation", "streamferry.prepare.probe_child")
#: Name of the process, as the kernel shows it: it is no part of what is tested.
NURSERY = "nursery"
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
#: Descriptors are put above these before they get the numbers that they are to have.
_FREE = 500
_TESTS = str(Path(__file__).parents[1])
#: What really starts one.
started = asyncio.create_subprocess_exec


class Nursery:
    """One of a process that is no fork. It does nothing, and imports nothing, until it is asked for the first one."""

    def __init__(self) -> None:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"import sys; sys.path[0] = {_TESTS!r}; from kit import forked_children as f; del sys.path[0]; f.main()"
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-c", code], stdin=theirs.fileno())

    def use(self) -> None:
        """From now on this process has it fork, on Linux; elsewhere programs are started."""
        if sys.platform == "linux":
            _use(self._asked)

    def close(self) -> None:
        """End it."""
        asyncio.create_subprocess_exec = started
        self._asked.close()
        self._process.wait()


def main() -> None:
    """The process of a nursery that was started."""
    with socket.socket(fileno=os.dup(0)) as asked:
        order, descriptors = _orders(asked)
    _become(order, descriptors)


def have_nursery() -> None:
    """Have one forked from this process, and use it. Call this before there are threads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        ours.close()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # This is what was forked.
        _become(*_orders(theirs) if os.getppid() == parent else os._exit(0))
    theirs.close()

    def end() -> None:
        ours.close()
        os.waitpid(pid, 0)

    atexit.register(end)
    _use(ours)


@functools.cache
def load_modules() -> None:
    """Import what they need, and not the modules themselves: what is run by its name must not be there already.

    What each would ask of ffmpeg is asked here once: it takes a third of a short preparation.
    """
    for name in MODULES:
        if name not in sys.modules:
            importlib.import_module(name)
            del sys.modules[name]
    options = importlib.import_module("streamferry.net.ffmpeg_options")
    program = importlib.import_module("streamferry.net.ffmpeg").ffmpeg_program()
    for ask in (options.reads_descriptors, options.hls_options, options.live_pace):
        ask(program)
    # What the kernel lacks is told by each.
    importlib.import_module("streamferry.net.sandbox").tell_missing.cache_clear()


def _use(nursery: socket.socket) -> None:
    async def create(
        *words: str,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        limit: int = 1 << 16,
        **options: Any,
    ) -> asyncio.subprocess.Process:
        if words[:3] != (sys.executable, "-P", "-m") or words[3] not in MODULES:
            return await started(*words, stdin=stdin, stdout=stdout, stderr=stderr, limit=limit, **options)
        loop = asyncio.get_running_loop()
        protocol = asyncio.subprocess.SubprocessStreamProtocol(limit, loop)
        connected = loop.create_future()
        transport = _Transport(
            *(loop, protocol, words, False, stdin, stdout, stderr, 0),
            waiter=connected,
            nursery=nursery,
            **options,
        )
        try:
            await connected
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return asyncio.subprocess.Process(transport, protocol, loop)

    asyncio.create_subprocess_exec = create  # type: ignore[assignment]


def _orders(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each that is asked for. Returns in forks only: what one is to be, and its descriptors."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, NURSERY.encode())
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    own = asked.fileno()
    os.closerange(3, own)
    os.closerange(own + 1, 1 << 16)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 8)
        if not message:
            os._exit(0)
        load_modules()
        reads, writes = os.pipe()
        between = os.fork()
        if not between:
            between = os.getpid()
            pid = os.fork()
            if pid:
                os.write(writes, array.array("i", [pid]).tobytes())
                os._exit(0)
            order: dict[str, Any] = json.loads(message)
            while os.getppid() == between:
                time.sleep(0.001)
            if os.getppid() != order["parent"]:
                os._exit(0)
            for descriptor in (reads, writes, own):
                os.close(descriptor)
            asked.detach()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return order, descriptors
        os.waitpid(between, 0)
        asked.send(os.read(reads, 16))
        for descriptor in (reads, writes, *descriptors):
            os.close(descriptor)


def _become(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """What a process has that was started so, and then the program."""
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _FREE) for one in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(high, order["numbers"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    open_streams()
    if order["session"]:
        os.setsid()
    os.umask(order["umask"])
    os.chdir(order["cwd"])
    os.nice(order["niceness"] - os.nice(0))
    for kind, (soft, hard) in zip(_LIMITS, order["limits"], strict=True):
        resource.setrlimit(kind, (soft, hard))
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = order["words"]
    # As far as the kernel keeps it.
    ctypes.CDLL(None).prctl(_PR_SET_NAME, sys.argv[0].rpartition(".")[2].encode())
    if sys.argv[0] == MODULES[0]:
        have_nursery()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit()


def open_streams() -> None:
    """Standard input, output and error anew: what these are now may be of another kind, as a pipe that was a file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(number, "w" if number else "r", buffering=1 if number == 2 else -1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


class _Forked:
    """A child of ours with what the transport asks of a ``subprocess.Popen``."""

    def __init__(self, pid: int, pipes: Sequence[Any]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = pipes

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To a child that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class _Transport(asyncio.base_subprocess.BaseSubprocessTransport):
    """That of asyncio; only the way to a process is another one."""

    _proc: Any

    def _start(
        self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **options: Any
    ) -> None:
        pipes: list[Any] = [None, None, None]
        theirs: list[int] = []
        opened: list[int] = []
        for number, wanted in enumerate((stdin, stdout, stderr)):
            if wanted == subprocess.PIPE:
                reads, writes = os.pipe()
                mine, other = (writes, reads) if number == 0 else (reads, writes)
                pipes[number] = open(mine, "wb" if number == 0 else "rb", buffering=0)  # noqa: SIM115
                opened.append(other)
                theirs.append(other)
            elif wanted == subprocess.DEVNULL:
                opened.append(os.open(os.devnull, os.O_RDWR))
                theirs.append(opened[-1])
            else:
                theirs.append(number if wanted is None else wanted if isinstance(wanted, int) else wanted.fileno())
        passed = list(options.get("pass_fds", ()))
        umask = os.umask(0)
        os.umask(umask)
        order = {
            "words": args[3:],
            "parent": os.getpid(),
            "numbers": [0, 1, 2, *passed],
            "session": bool(options.get("start_new_session")),
            "umask": umask,
            "cwd": os.getcwd(),
            "niceness": os.nice(0),
            "limits": [resource.getrlimit(kind) for kind in _LIMITS],
            "environment": options.get("env") or dict(os.environ),
        }
        nursery: socket.socket = options["nursery"]
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(nursery, [json.dumps(order).encode()], [*theirs, *passed])
            [pid] = array.array("i", nursery.recv(16))
        finally:
            _prctl(_PR_SET_CHILD_SUBREAPER, 0)
            for descriptor in opened:
                os.close(descriptor)
        self._proc = _Forked(pid, pipes)
        handle = os.pidfd_open(pid)
        self._loop.add_reader(handle, self._ended, handle)

    def _ended(self, handle: int) -> None:
        self._loop.remove_reader(handle)
        os.close(handle)
        self._process_exited(self._proc.poll())


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value))
