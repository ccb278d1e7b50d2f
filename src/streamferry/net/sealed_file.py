"""A brief: what a child process is told that nobody else may read, and nobody may change."""

import fcntl
import os

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def sealed_file(brief: bytes) -> int:
    """An anonymous file in memory, open for reading: nobody else can open it, and it is gone with its last reader.

    Several children may have the same one, so it is sealed: not even who owns it can write to it, map it to write, or
    change its length (memfd_create(2), fcntl(2) F_ADD_SEALS). Raises OSError.
    """
    descriptor = os.memfd_create("brief", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(brief)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(descriptor)
