"""Sealed files: input for a child process that nobody else can read, and nobody can change."""

import fcntl
import os

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def sealed_file(content: bytes) -> int:
    """An anonymous file in memory, open for reading: nobody else can open it, and it is gone with its last reader.

    Several children may share it, so it is sealed: not even its owner can write to it, map it for writing, or
    change its length (memfd_create(2), fcntl(2) F_ADD_SEALS). Raises OSError.
    """
    descriptor = os.memfd_create("sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(descriptor)
