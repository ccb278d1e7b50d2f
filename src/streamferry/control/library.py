"""The library: uploaded files, in one folder of the service's machine. A task plays one by its file: address.

A file is received under a temporary name and renamed when it is complete, so a task never sees half of one.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk, is_full
from streamferry.reasons import Code
from streamferry.tasks.errors import InvalidField, LibraryFull

_MAX_NAME_BYTES = 200
_WRITE_BYTES = 1 << 20
_HALF = ".part"
#: If nothing has arrived for a file for this long, its receiver was killed.
_DEAD_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """One file. ``url`` is the address for a task."""

    name: str
    url: str
    size_bytes: int
    changed_at: datetime


class Library:
    """See the module. ``max_bytes``: the largest file that is taken; ``reserve_bytes``: see ``net.disk``."""

    def __init__(self, folder: Path, max_bytes: int, *, reserve_bytes: int | None = None) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._disk = Disk(folder, reserve_bytes)

    async def list_files(self) -> list[LibraryFile]:
        """All complete files, newest first."""
        return await asyncio.to_thread(self._list)

    async def receive(self, name: str, pieces: AsyncIterator[bytes], length: int | None = None) -> LibraryFile:
        """Receive a file; one of that name is replaced once the new one is complete. ``length``: the announced length.

        Raises InvalidField, LibraryFull, and what ``pieces`` raises.
        """
        place = self._place(name)
        self._check_size(length or 0)
        half = self.folder / f".{secrets.token_hex(8)}{_HALF}"
        try:
            await asyncio.to_thread(self._prepare, length or 0)
            size = await self._write(half, pieces)
            if length is not None and size != length:
                raise InvalidField("file", Code.FIELD_NOT_WHOLE)
            if not size:
                raise InvalidField("file", Code.FIELD_EMPTY)
            await asyncio.to_thread(os.replace, half, place)
        except OSError as error:
            if is_full(error):
                raise self._full() from None
            raise
        finally:
            with contextlib.suppress(OSError):
                half.unlink()
        return self._describe(place)

    async def delete(self, name: str) -> None:
        """Delete a file; a task that is playing it continues from the cache. Raises InvalidField."""
        place = self._place(name)
        try:
            await asyncio.to_thread(place.unlink)
        except FileNotFoundError:
            raise InvalidField("name", Code.FIELD_NO_SUCH_FILE) from None

    def _prepare(self, length: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for half in self.folder.glob(f".*{_HALF}"):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > _DEAD_AFTER_S:
                    half.unlink()
        if self._disk.room_bytes < length:
            raise self._full()

    def _full(self) -> LibraryFull:
        return LibraryFull(Code.ACTION_LIBRARY_FULL, room_mb=max(0, self._disk.room_bytes) / 1e6)

    async def _write(self, half: Path, pieces: AsyncIterator[bytes]) -> int:
        size, waiting, waiting_bytes = 0, list[bytes](), 0
        with half.open("xb", buffering=0) as file:

            def flush(data: list[bytes]) -> None:
                if self._disk.room_bytes < sum(map(len, data)):
                    raise self._full()
                view = memoryview(b"".join(data))
                while view:
                    view = view[file.write(view) :]

            async for piece in pieces:
                size += len(piece)
                self._check_size(size)
                waiting.append(piece)
                waiting_bytes += len(piece)
                if waiting_bytes >= _WRITE_BYTES:
                    await asyncio.to_thread(flush, waiting)
                    waiting, waiting_bytes = [], 0
            await asyncio.to_thread(flush, waiting)
        return size

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise InvalidField("file", Code.FIELD_TOO_MANY_MB, size_mb=self.max_bytes / 1000000.0)

    def _place(self, name: str) -> Path:
        if not name or name.startswith(".") or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
            raise InvalidField("name", Code.FIELD_FILE_NAME_LENGTH, count=_MAX_NAME_BYTES)
        if not name.isprintable() or set(name) & set('/\\:*?"<>|'):
            raise InvalidField("name", Code.FIELD_FILE_NAME)
        return self.folder / name

    def _list(self) -> list[LibraryFile]:
        if not self.folder.is_dir():
            return []
        files = [path for path in self.folder.iterdir() if not path.name.startswith(".") and path.is_file()]
        return sorted((self._describe(path) for path in files), key=lambda one: one.changed_at, reverse=True)

    def _describe(self, place: Path) -> LibraryFile:
        about = place.stat()
        url = MediaUrl.parse(str(place)).reveal()
        return LibraryFile(place.name, url, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))
