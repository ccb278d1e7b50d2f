"""A brief: what a child process is told that nobody else may read."""

import os


def brief_file(brief: bytes) -> int:
    """An anonymous file in memory: nobody else can open it, and it is gone with its last reader."""
    descriptor = os.memfd_create("brief")
    os.write(descriptor, brief)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
