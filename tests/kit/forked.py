"""Programs of ours as processes forked from one that has imported what they need: an import is most of a short one.

This file is also that process. Its standard input is a socket. A message is what to run, as JSON, and brings the
standard input, output and error of the fork; the answer is its exit status.
"""

import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

#: Within this it has ended, or has come to a stand: some have a low priority, and a machine may be busy.
_HANGS_S = 100.0


class Forks:
    """Runs ``main`` of a module, one process after the other. It imports the module, and ``imports``, once."""

    def __init__(self, module: str, *imports: str) -> None:
        self._modules = (module, *imports)
        self._program: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the parent of all of them, which is started if it does not run."""
        return self._started().pid

    def run(
        self, words: Sequence[str] = (), *, text: str = "", environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end. ``words``: its arguments. ``text``: its input. ``environment``: instead of ours."""
        self._started()
        with (
            tempfile.TemporaryFile("w+") as asked,
            tempfile.TemporaryFile("w+", errors="replace") as output,
            tempfile.TemporaryFile("w+", errors="replace") as errors,
        ):
            asked.write(text)
            asked.seek(0)
            message = json.dumps([list(words), dict(environment or os.environ)]).encode()
            socket.send_fds(self._end, [message], [one.fileno() for one in (asked, output, errors)])
            answer = self._end.recv(1)
            assert answer, "the process that was to fork has ended"
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(words, answer[0], output.read(), errors.read())

    def close(self) -> None:
        """End the process that they were forked from."""
        if self._program is not None:
            self._end.close()
            self._program.wait()
            self._program = None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._program is None:
            self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._end.settimeout(_HANGS_S)
            with theirs:
                words = [sys.executable, __file__, *self._modules]
                self._program = subprocess.Popen(words, stdin=theirs.fileno())
        return self._program


def _be(module: str, words: list[str], environment: dict[str, str], streams: list[int]) -> NoReturn:
    """The forked process: ``python -m module words`` from here on."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [module, *words]
        sys.modules[module].main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve(asked: socket.socket, module: str) -> None:
    """One after the other, until nobody asks any more."""
    while True:
        message, streams, _, _ = socket.recv_fds(asked, 1 << 20, 3)
        if not message:
            return
        words, environment = json.loads(message)
        pid = os.fork()
        if not pid:
            _be(module, words, environment, streams)
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        asked.send(bytes([os.waitstatus_to_exitcode(status) & 255]))


if __name__ == "__main__":
    # What it runs finds no names beside this file.
    del sys.path[0]
    for name in sys.argv[1:]:
        importlib.import_module(name)
    with socket.socket(fileno=os.dup(0)) as end:
        _serve(end, sys.argv[1])
