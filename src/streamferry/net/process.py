"""This process among others: that it ends with its parent, and that others cannot look into it.

Not here: programs that are not ours, which are in a ``sandbox``.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Collection

_libc = ctypes.CDLL(None, use_errno=True)
# prctl(2).
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


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
