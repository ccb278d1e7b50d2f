"""Errors of the operating system as reasons: errno(3), in the words of strerror(3)."""

import errno
import os

from streamferry.reasons.codes import Code
from streamferry.reasons.reason import Reason, Value

_CODES = {
    errno.ECONNREFUSED: Code.SYSTEM_REFUSED,
    errno.ECONNRESET: Code.SYSTEM_RESET,
    errno.EPIPE: Code.SYSTEM_BROKEN_PIPE,
    errno.EHOSTUNREACH: Code.SYSTEM_NO_ROUTE,
    errno.ENETUNREACH: Code.SYSTEM_NETWORK_UNREACHABLE,
    errno.ETIMEDOUT: Code.SYSTEM_TIMED_OUT,
    errno.EACCES: Code.SYSTEM_NO_PERMISSION,
    errno.EPERM: Code.SYSTEM_NOT_PERMITTED,
    errno.ENOENT: Code.SYSTEM_NO_FILE,
    errno.EISDIR: Code.SYSTEM_IS_FOLDER,
    errno.ENOSPC: Code.SYSTEM_DISK_FULL,
    errno.EDQUOT: Code.SYSTEM_QUOTA,
    errno.EROFS: Code.SYSTEM_READ_ONLY,
    errno.EIO: Code.SYSTEM_IO,
    errno.EADDRINUSE: Code.SYSTEM_ADDRESS_IN_USE,
}


def system_reason(number: int | None) -> Reason:
    """What an error number means; without one, what the system says of none."""
    code = _CODES.get(number or 0)
    return Reason.of(code) if code is not None else Reason.of(Code.SYSTEM_OTHER, words=os.strerror(number or 0))


def said_by(error: OSError) -> Value:
    """What an error of the system says; those of TLS and of ours have numbers that mean something else, or none."""
    if error.errno and error.strerror == os.strerror(error.errno):
        return system_reason(error.errno)
    return error.strerror or str(error)
