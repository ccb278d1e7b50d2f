"""The lock of a service on a SQLite store: one service for a file, and proof that the workers of another are gone.

A file beside the store is locked (flock) for as long as the service or any worker process of it lives: they inherit the
descriptor. So who has the lock knows that nobody else's workers push what is in the store, but for those that were
started by hand, which have leases.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

#: How long the workers of a service that was killed may take to leave.
WAIT_S = 12.0
_LOOK_S = 0.1


def lock_file(store: Path) -> Path:
    """The lock's file for that of a store."""
    return store.with_name(store.name + ".lock")


@contextlib.asynccontextmanager
async def take_lock(store: Path, wait_s: float = WAIT_S) -> AsyncIterator[int]:
    """The descriptor that holds the lock. Raises ValueError when somebody else keeps it, OSError."""
    descriptor = os.open(lock_file(store), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = asyncio.get_running_loop().time() + wait_s
        while not _locked(descriptor):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if _is_alive(holder) or asyncio.get_running_loop().time() > deadline:
                raise ValueError(_refusal(holder))
            await asyncio.sleep(_LOOK_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def holds_lock(descriptor: int, store: Path) -> bool:
    """Whether an inherited descriptor is of the lock of that store; it is kept from this process's own children."""
    try:
        mine, its = os.fstat(descriptor), lock_file(store).stat()
    except OSError:
        return False
    os.set_inheritable(descriptor, False)
    return (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _refusal(pid: str) -> str:
    if _is_alive(pid):
        return f"store: another service has it (process {pid}); two need two data folders, or a PostgreSQL store"
    return f"store: workers of a service that is gone (process {pid or 'unknown'}) still run; end them first"
