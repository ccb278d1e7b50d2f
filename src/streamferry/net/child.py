"""Child processes of a relay process: start, pipes, last messages, end. Only this module owns them there.

A child runs in a ``sandbox`` and dies with us. It has its own session, so that a Ctrl-C at the terminal does not reach
it.

Other users of the machine can read the arguments of a program, so they contain nothing secret. Secret input goes into
``stdin_data``, an anonymous file that is the child's standard input. Its standard error may repeat that: ``redact`` is
applied to each line before it is kept; lines that it empties are dropped.

Pipes are driven like ``Connection``: plain calls that never wait. This module does not know what the program does.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl, ioctl
from sys import byteorder
from termios import FIONREAD

from streamferry.media.errors import MediaError, own_lack
from streamferry.net.connection import IOV_MAX, Buffers
from streamferry.net.sandbox import KEPT_LINE_CHARS, KEPT_LINES, Sandbox
from streamferry.net.sealed_file import sealed_file
from streamferry.reasons import Code, system_reason

#: How long a child may take to exit after SIGTERM; then it is killed.
TERM_S = 2.0

_LINE_BYTES = 4096
_STDERR_READ_BYTES = 16384
_FOUR_BYTES = bytes(4)
#: Bytes from one pipe to another: no files, no network.
PIPES_ONLY = Sandbox()

_living: set["Child"] = set()


class ChildError(MediaError):
    """A program that is needed is missing on this machine, or cannot be started."""


class Child:
    """A running program. Belongs to one event loop, which must run in the thread that starts it.

    PR_SET_PDEATHSIG refers to that thread: the child would die with it. Close it, and await ``end_all`` before the
    event loop ends, so that none is left as a zombie.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        sandbox: Sandbox = PIPES_ONLY,
        stdin_data: bytes | None = None,
        takes_stdin: bool = False,
        pipe_bytes: int | None = None,
        redact: Callable[[str], str],
        on_line: Callable[[str], None] | None = None,
        inherit: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``command``. Its standard input is ``stdin_data``, or a pipe of ours, or empty.

        ``pipe_bytes``: capacity of the pipes to and from it. ``on_line`` gets each raw line of standard error.
        ``inherit``: descriptors it keeps, same numbers. ``environment``: its whole environment. Raises ChildError.
        """
        self._loop = asyncio.get_running_loop()
        self._redact = redact
        self._on_line = on_line
        self._unfinished_line = b""
        #: The last lines of standard error, fit to be shown.
        self.last_words: deque[str] = deque(maxlen=KEPT_LINES)
        #: Done with the exit status (negative: the signal) once the child has ended and all its messages were read.
        self.ended: asyncio.Future[int] = self._loop.create_future()
        #: Whether its output has ended; after that ``on_readable`` would call endlessly.
        self.has_closed_output = False
        self._killer: asyncio.TimerHandle | None = None
        self._started_at = time.monotonic()
        stdin = subprocess.PIPE if takes_stdin else subprocess.DEVNULL
        try:
            if stdin_data is not None:
                stdin = sealed_file(stdin_data)
            self._process = sandbox.start(
                command[0], command[1:], stdin=stdin, inherit=inherit, environment=environment, new_session=True
            )
        except OSError as error:
            raise _not_started(error) from None
        finally:
            if stdin >= 0:
                os.close(stdin)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError as error:
            with self._process:
                self._process.kill()
            raise _not_started(error) from None
        self._stdin = self._process.stdin.fileno() if self._process.stdin else -1
        self._stdout = self._process.stdout.fileno() if self._process.stdout else -1
        self._stderr = self._process.stderr.fileno() if self._process.stderr else -1
        for descriptor in (self._stdin, self._stdout, self._stderr):
            if descriptor >= 0:
                os.set_blocking(descriptor, False)
        if pipe_bytes is not None:
            # Refused beyond the user's share of pipe memory (pipe(7)): then it stays at 64 KiB.
            for pipe in (self._stdout, *((self._stdin,) if takes_stdin else ())):
                with suppress(OSError):
                    fcntl(pipe, F_SETPIPE_SZ, pipe_bytes)
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(self._stderr, self._read_words)
        _living.add(self)

    @property
    def pid(self) -> int:
        """Process id; valid only while ``ended`` is not done."""
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """Seconds on a CPU so far, or alive where the kernel does not tell; valid only while ``ended`` is not done."""
        with suppress(OSError):
            # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime(~self._process.pid << 3 | 2)
        return time.monotonic() - self._started_at

    async def wait_output(self) -> bool:
        """Wait until there is something to receive (True) or the child has ended without (False)."""
        readable = self._loop.create_future()
        self._loop.add_reader(self._stdout, lambda: None if readable.done() else readable.set_result(None))
        try:
            await asyncio.wait((readable, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._loop.remove_reader(self._stdout)
        self._read_words()  # So that messages sent before the output are read before it.
        if _waiting_bytes(self._stdout):
            return True
        await asyncio.wait((self.ended,))  # The end of the output counts as readable, too; the status follows.
        return False

    def receive_into(self, view: memoryview) -> int | None:
        """Read what it has written: bytes put into ``view``; 0: it has ended; None: nothing now."""
        try:
            received = os.readv(self._stdout, [view])
        except BlockingIOError:
            return None
        if received or self.ended.done():
            return received
        self.has_closed_output = True
        return None  # Its output has ended; its status is known once it is reaped.

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` from the event loop whenever its output can be received; None: no longer."""
        if self._stdout >= 0:
            self._loop.remove_reader(self._stdout)
            if callback is not None:
                self._loop.add_reader(self._stdout, callback)

    def send(self, buffers: Buffers) -> int:
        """Write the pieces to its standard input; returns the bytes taken. Raises OSError when it no longer reads."""
        taken = 0
        for first in range(0, len(buffers), IOV_MAX):
            group = buffers[first : first + IOV_MAX]
            try:
                sent = os.writev(self._stdin, group)
            except BlockingIOError:
                break
            taken += sent
            if sent < sum(map(len, group)):
                break
        return taken

    def unread_bytes(self) -> int:
        """Bytes sent which the child has not read yet. Raises OSError."""
        return _waiting_bytes(self._stdin)

    def finish_sending(self) -> None:
        """Close its standard input, so that it can finish."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            self._stdin = -1

    def close(self) -> None:
        """Close the pipes and end the child: SIGTERM now, SIGKILL after TERM_S. Closing again does nothing."""
        self.finish_sending()
        if self._process.stdout is not None:
            self.on_readable(None)
            self._process.stdout.close()
            self._stdout = -1
        if not self.ended.done() and self._killer is None:
            self._signal(signal.SIGTERM)
            self._killer = self._loop.call_later(TERM_S, self._signal, signal.SIGKILL)

    async def aclose(self) -> None:
        """Close, and wait for the end."""
        self.close()
        await asyncio.wait((self.ended,))

    async def end_now(self) -> None:
        """Kill it, unless it has ended since it was closed, and wait for the end."""
        self.close()
        if not self.ended.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait((self.ended,))

    def _signal(self, which: signal.Signals) -> None:
        """Send a signal to its whole session, including the child's own children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, which)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._process.wait()
        if self._killer is not None:
            self._killer.cancel()
        self._read_words()
        self._keep(self._unfinished_line)
        self._loop.remove_reader(self._stderr)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._stderr = -1
        _living.discard(self)
        self._on_line = None  # It is often a method of this very object: break the cycle.
        self.ended.set_result(status)

    def _read_words(self) -> None:
        if self._stderr < 0:
            return
        with suppress(BlockingIOError):
            while data := os.read(self._stderr, _STDERR_READ_BYTES):
                *lines, rest = (self._unfinished_line + data).replace(b"\r", b"\n").split(b"\n")
                self._unfinished_line = rest[:_LINE_BYTES]
                for line in lines:
                    self._keep(line)
            self._loop.remove_reader(self._stderr)

    def _keep(self, line: bytes) -> None:
        words = line.decode(errors="replace").rstrip()
        if not words:
            return
        if self._on_line is not None:
            self._on_line(words)
        if shown := "".join(c if c.isprintable() else " " for c in self._redact(words)):
            self.last_words.append(shown[:KEPT_LINE_CHARS])


def _not_started(error: OSError) -> ChildError:
    return ChildError(Code.PROGRAM_NOT_STARTED, why=own_lack(error) or system_reason(error.errno))


async def end_all() -> None:
    """Close every child of this event loop and wait for them to end, before the loop ends."""
    loop = asyncio.get_running_loop()
    mine = [child for child in _living if child.ended.get_loop() is loop]
    await asyncio.gather(*(child.aclose() for child in mine))


def _waiting_bytes(descriptor: int) -> int:
    return int.from_bytes(ioctl(descriptor, FIONREAD, _FOUR_BYTES), byteorder)
