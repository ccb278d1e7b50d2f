"""This process and others: it ends with its parent, others cannot inspect it, and it can act as an init.

Not here: programs that are not ours, which run in a ``sandbox``.
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
# Variables that our Python programs may need: paths, language, proxies and trusted authorities.
_KEPT_VARIABLES = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LC_.*|PYTHON.*|LD_LIBRARY_PATH|SSL_CERT_.*|(?:all|http|https|no)_proxy", re.IGNORECASE
)
# Signals that an init passes on (from a container or a terminal), and the end of a child.
_PASSED_ON = frozenset(
    (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
)
_WATCHED = _PASSED_ON | {signal.SIGCHLD}


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def hide() -> None:
    """Hide this process's state from other programs of the same user: no tracing, no core dump, no reading by /proc.

    From now on only root can see its memory, its environment and its open files.
    """
    _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def forget_variables(names: Collection[str]) -> None:
    """Remove variables from the environment, for programs started from now on, and from /proc/PID/environ.

    The latter shows the memory where the kernel put them at the start, which nothing else overwrites.
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
    """The environment for our own Python child programs: no settings, no passwords of stores."""
    return {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.fullmatch(name)}


def be_init() -> None:
    """In the first process of a container, stay as its init and continue in a child; otherwise do nothing.

    A process that loses its parent, such as an ffmpeg of a killed worker, becomes a child of the first process. Only
    that can collect its status; until then it is a zombie. Call this before there are threads.
    """
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    service = os.fork()
    if not service:
        # A Ctrl-C at the terminal goes to the init, which passes it on.
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
