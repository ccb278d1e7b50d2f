"""The library: uploaded files, in a folder of the service's machine or in a bucket that all machines read.

Here are its rules, of names and sizes. Where a file is kept is the business of its home (``library_folder``,
``library_bucket``): a file is there once it is complete, so a task never sees half of one.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streamferry.reasons import Code
from streamferry.tasks.errors import InvalidField

_MAX_NAME_BYTES = 200
#: Each piece costs a home a call of a thread or of another language: 5 s of CPU a GiB in pieces of 64 KiB.
_JOINED_BYTES = 1 << 20
#: For how long an upload may bring nothing.
_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """One file. ``url`` is the address for a task."""

    name: str
    url: str
    size_bytes: int
    changed_at: datetime


class LibraryHome(Protocol):
    """Keeps the files. ``is_shared``: whether every machine finds them by their addresses."""

    is_shared: bool

    async def list_files(self) -> list[LibraryFile]:
        """All complete files, in any order. Raises LibraryAway."""
        ...

    async def keep(self, name: str, pieces: AsyncIterator[bytes], *, least_bytes: int, most_bytes: int) -> LibraryFile:
        """Keep a file; one of that name is replaced once ``pieces`` has ended. How many bytes come is known roughly.

        Raises LibraryFull, LibraryAway, and what ``pieces`` raises: then nothing is kept.
        """
        ...

    async def remove(self, name: str) -> None:
        """Raises FileNotFoundError, LibraryAway."""
        ...


class Library:
    """See the module. ``max_bytes``: the largest file that is taken."""

    def __init__(self, home: LibraryHome, max_bytes: int) -> None:
        self._home = home
        self.max_bytes = max_bytes

    @property
    def is_shared(self) -> bool:
        """Whether every machine finds its files by their addresses."""
        return self._home.is_shared

    async def list_files(self) -> list[LibraryFile]:
        """All complete files, newest first. Raises LibraryAway."""
        return sorted(await self._home.list_files(), key=lambda one: one.changed_at, reverse=True)

    async def receive(self, name: str, pieces: AsyncIterator[bytes], length: int | None = None) -> LibraryFile:
        """Receive a file; one of that name is replaced once the new one is complete. ``length``: the announced length.

        Raises InvalidField, LibraryFull, LibraryAway, and what ``pieces`` raises.
        """
        _check_name(name)
        self._check_size(length or 0)
        least_bytes, most_bytes = (0, self.max_bytes) if length is None else (length, length)
        checked = self._checked(pieces, length)
        return await self._home.keep(name, checked, least_bytes=least_bytes, most_bytes=most_bytes)

    async def delete(self, name: str) -> None:
        """Delete a file; a task that is playing it continues from the cache. Raises InvalidField, LibraryAway."""
        _check_name(name)
        try:
            await self._home.remove(name)
        except FileNotFoundError:
            raise InvalidField("name", Code.FIELD_NO_SUCH_FILE) from None

    async def _checked(self, pieces: AsyncIterator[bytes], length: int | None) -> AsyncIterator[bytes]:
        """The pieces, joined to larger ones; raises InvalidField as soon as they cannot be a file that is taken."""
        size, waiting, waiting_bytes = 0, list[bytes](), 0
        while True:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise InvalidField("file", Code.FIELD_NOT_WHOLE) from None
            if piece is None:
                break
            size += len(piece)
            self._check_size(size)
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes >= _JOINED_BYTES:
                yield b"".join(waiting)
                waiting, waiting_bytes = [], 0
        if length is not None and size != length:
            raise InvalidField("file", Code.FIELD_NOT_WHOLE)
        if not size:
            raise InvalidField("file", Code.FIELD_EMPTY)
        if waiting_bytes:
            yield b"".join(waiting)

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise InvalidField("file", Code.FIELD_TOO_MANY_MB, size_mb=self.max_bytes / 1000000.0)


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise InvalidField("name", Code.FIELD_FILE_NAME_LENGTH, count=_MAX_NAME_BYTES)
    if not name.isprintable() or set(name) & set('/\\:*?"<>|'):
        raise InvalidField("name", Code.FIELD_FILE_NAME)
