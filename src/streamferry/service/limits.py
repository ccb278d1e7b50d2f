"""Limits of the process: how many files it may have open, and how many tasks follow from that.

A shell, a container and systemd give 1,024 by default and allow far more (getrlimit(2)): the soft limit is for programs
that use select(2), which we do not.
"""

import resource

#: More than this helps nobody, and containers allow 10^9; the kernel's own bound is this, too (fs.nr_open).
_MOST_FILES = 1 << 20
#: A worker has some 40 files open before its first task: store, event loop, log, cache, previews.
_OF_THE_WORKER = 100
#: A live task has two sockets, a list a socket and two files, one that ffmpeg reads or sends some ten. As many as most
#: need while they connect again: who needs more fails as the service's fault, and is tried again.
_A_TASK = 4


def raise_file_limit() -> int:
    """Allow this process and its children as many open files as it may have; gives how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft


def fitting_capacity(capacity: int, files: int) -> int:
    """Tasks that a process may take which may have so many files open: one at least."""
    return max(1, min(capacity, (files - _OF_THE_WORKER) // _A_TASK))
