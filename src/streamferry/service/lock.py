"""The lock of a service on a SQLite store: one service per file, and proof that the workers of another one are gone.

One byte of the store itself is locked for as long as the service or any worker process of it lives: they inherit the
descriptor. So the owner of the lock knows that nobody else's workers push tasks of this store, except workers that were
started by hand, which have leases. The lock belongs to the file itself: with a lock by name, a link to the file, or a
lock file that somebody deleted, would let a second service in.

It is a lock of the open file (fcntl(2), F_OFD_SETLK) on a byte far beyond the end of any database. SQLite's own
locks belong to the process; they neither see nor drop it. But closing its descriptor drops them: close the store first.
"""

import asyncio
import contextlib
import fcntl
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from struct import pack

#: How long the workers of a killed service may take to exit.
WAIT_S = 12.0
_LOOK_S = 0.1
# Beyond the largest database, 2**48 bytes (sqlite.org/limits.html).
_BYTE = 1 << 60


@contextlib.asynccontextmanager
async def take_lock(store: Path, wait_s: float = WAIT_S) -> AsyncIterator[int]:
    """The descriptor that holds the lock; the store's file is created if it does not exist.

    Raises ValueError when somebody else has the lock or the file cannot be a store, and OSError.
    """
    store = _real(store)
    descriptor = _open(store)
    try:
        deadline = asyncio.get_running_loop().time() + wait_s
        while not _locked(descriptor):
            holder = _read_holder(store)
            if _is_alive(holder) or asyncio.get_running_loop().time() > deadline:
                raise ValueError(_refusal(holder))
            await asyncio.sleep(_LOOK_S)
        if not _is_of(descriptor, store):
            raise ValueError(f"store: {store} was replaced while it was opened; start again")
        _write_holder(store)
        yield descriptor
    finally:
        os.close(descriptor)


def holds_lock(descriptor: int, store: Path) -> bool:
    """Whether an inherited descriptor holds the lock of that store; this process's own children do not inherit it."""
    try:
        is_its = _is_of(descriptor, store)
    except OSError:
        return False
    os.set_inheritable(descriptor, False)
    return is_its


def _real(store: Path) -> Path:
    # Path.resolve raises no OSError for a loop of links.
    return Path(os.path.realpath(store))


def _open(store: Path) -> int:
    try:
        descriptor = os.open(store, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ValueError(f"store: {store} cannot be opened: {error.strerror}") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(found.st_mode):
        # SQLite finds its log (-wal) by the file's name: under two names the newest changes would be lost.
        raise ValueError(f"store: {store} has another name, too (a hard link); remove one of the two")
    raise ValueError(f"store: {store} is not a file")


def _is_of(descriptor: int, store: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), store.stat())


def _locked(descriptor: int) -> bool:
    # struct flock: type, whence, start, length, and a process, which is 0 for this kind.
    wanted = pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True


def _holder_file(store: Path) -> Path:
    """The file that names the process with the lock. It is only used in the error message."""
    return store.with_name(store.name + ".lock")


def _read_holder(store: Path) -> str:
    try:
        with _holder_file(store).open("rb") as file:
            return file.read(32).decode(errors="replace").strip()
    except OSError:
        return ""


def _write_holder(store: Path) -> None:
    file = _holder_file(store)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
        text.write(f"{os.getpid()}\n")


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
