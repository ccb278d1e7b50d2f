"""Limits of the process: how many files it may have open, and how many tasks follow from that.

A shell, a container and systemd give 1,024 by default and allow far more (getrlimit(2)): the soft limit is for programs
that use select(2), which we do not.
"""

import resource

#: Containers allow 10^9, but more than this is no use; it is also the kernel's default limit (fs.nr_open).
_MOST_FILES = 1 << 20
#: A worker has some 40 files open before its first task: store, event loop, log, cache, previews.
_OF_THE_WORKER = 100
#: A live task has two sockets, a list a socket and two files, one that ffmpeg reads or sends some ten. This is as
#: many as most need while they reconnect: one that needs more fails as the service's fault, and is retried.
_A_TASK = 4


def raise_file_limit() -> int:
    """Raise the limit of open files of this process and its children as far as allowed; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft


def fitting_capacity(capacity: int, files: int) -> int:
    """How many tasks a process with this limit of open files may take: at least one."""
    return max(1, min(capacity, (files - _OF_THE_WORKER) // _A_TASK))
