"""Landlock: what a process may do to files and TCP ports, as a ruleset it puts on itself without any privilege.

A ruleset is made here, by the parent; the child enters it before it becomes its program (``sandbox``). What the running
kernel does not support is left out, so that an older one restricts less instead of failing:

    ABI 1 (Linux 5.13)   files: execute, read, write, make, remove
    ABI 2 (5.19), 3 (6.2), 5 (6.10)   link to another folder, truncate, ioctl of devices
    ABI 4 (6.7)          TCP: bind, connect, by port
    ABI 6 (6.12)         no signals to, and no abstract UNIX sockets of, processes outside of the fence

Not here: everything else a system call can do, which is for ``seccomp``. What is open already stays open.

Specification: Linux, Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import IntFlag
from functools import cache

_libc = ctypes.CDLL(None, use_errno=True)
# The same on all architectures.
_CREATE_RULESET, _ADD_RULE = 444, 445
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX_AND_SIGNALS = 3
#: From which on there are rules for ports.
NET_ABI = 4
_SCOPE_ABI = 6


class Access(IntFlag):
    """Rights to a file or, with everything beneath it, to a folder."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE = 3 << 4
    #: Devices, folders, files, sockets, FIFOs, links.
    MAKE = 127 << 6
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


#: To read files and list folders; to run what can be read; to do anything but run.
READ = Access.READ_FILE | Access.READ_DIR
RUN = READ | Access.EXECUTE
WRITE = READ | Access.WRITE_FILE | Access.REMOVE | Access.MAKE | Access.TRUNCATE
# What a rule for a file, not a folder, may say; anything else is refused by the kernel.
_OF_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
_SINCE = {Access.REFER: 2, Access.TRUNCATE: 3, Access.IOCTL_DEV: 5}


@cache
def abi() -> int:
    """Which version of Landlock this kernel has; 0: none, or switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))


def make_ruleset(paths: Iterable[tuple[str, Access]], ports: Sequence[int] | None) -> int | None:
    """Descriptor of a ruleset that allows ``paths`` and TCP connections to ``ports`` (None: to all), and nothing else.

    Paths that are not there are passed over. None where the kernel has no Landlock. Raises OSError.
    """
    version = abi()
    if not version:
        return None
    handled = Access(0xFFFF)
    for access, since in _SINCE.items():
        if version < since:
            handled &= ~access
    attributes = struct.pack("=Q", handled)
    if version >= NET_ABI:
        attributes += struct.pack("=Q", _BIND_TCP | (_CONNECT_TCP if ports is not None else 0))
    if version >= _SCOPE_ABI:
        attributes += struct.pack("=Q", _SCOPE_ABSTRACT_UNIX_AND_SIGNALS)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path, access in paths:
            # Not there, or not ours to see: then it is not the child's either.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow_path(ruleset, path, access & handled)
        if version >= NET_ABI:
            for port in ports or ():
                _call(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _allow_path(ruleset: int, path: str, access: Access) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            access &= _OF_FILES
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", access, target), 0)
    finally:
        os.close(target)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
