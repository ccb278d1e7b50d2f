"""This process among others: that it ends with its parent, that others cannot look into it, that it is a good init.

Not here: programs that are not ours, which are in a ``sandbox``.
"""

import ctypes
import os
import re
import resource
import signal
from collections.abc import Collection
from contextlib import suppress

_libc = ctypes.CDLL(None, use_errno=True)
# prctl(2).
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
# What a Python program of ours may need: where things are, its language, its proxies and whom it trusts.
_KEPT_VARIABLES = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LC_.*|PYTHON.*|LD_LIBRARY_PATH|SSL_CERT_.*|(?:all|http|https|no)_proxy", re.IGNORECASE
)
# For an init, which passes them on: what a container or a terminal sends, and that a child has ended.
_PASSED_ON = frozenset(
    (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
)
_WATCHED = _PASSED_ON | {signal.SIGCHLD}


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def hide() -> None:
    """Keep what this process holds from other programs of the same user: no tracing, no core, no look by /proc.

    Its memory, its environment and its open files are root's to see from now on.
    """
    _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def forget_variables(names: Collection[str]) -> None:
    """Take variables out of the environment: of programs that are started from now on, and of /proc/PID/environ.

    The latter shows the memory in which the kernel laid them at the start, which nobody else overwrites.
    """
    variables = ctypes.POINTER(ctypes.c_void_p).in_dll(_libc, "environ")
    number = 0
    while (at := variables[number]) is not None:
        name, _, value = ctypes.string_at(at).partition(b"=")
        if os.fsdecode(name) in names:
            ctypes.memset(at + len(name) + 1, 0, len(value))
        number += 1
    for one in names:
        os.environ.pop(one, None)


def child_environment() -> dict[str, str]:
    """The environment of a Python program of ours that works for this one: no settings, no passwords of stores."""
    return {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.fullmatch(name)}


def be_init() -> None:
    """As the first process of a container, stay behind as its init, and go on in a child; else do nothing.

    What loses its parent, such as the ffmpegs of a worker that was killed, becomes a child of the first process, which
    is the only one that can take its status; until then it is a zombie. Call it before there are threads.
    """
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    service = os.fork()
    if not service:
        # A Ctrl-C at the terminal is for the init, which passes it on.
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        number = signal.sigwait(_WATCHED)
        if number != signal.SIGCHLD:
            os.kill(service, number)
            continue
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == service:
                    code = os.waitstatus_to_exitcode(ended[1])
                    os._exit(code if code >= 0 else 128 - code)
