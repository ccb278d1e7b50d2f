"""A folder of this machine as the home of the library. A task plays a file by its ``file:`` address.

A file is received under a temporary name and renamed when it is complete.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from streamferry.control.library import LibraryFile
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk, is_full
from streamferry.reasons import Code
from streamferry.tasks.errors import LibraryFull

_HALF = ".part"
#: If nothing has arrived for a file for this long, its receiver was killed.
_DEAD_AFTER_S = 3600.0


class LibraryFolder:
    """See the module. ``reserve_bytes``: see ``net.disk``."""

    is_shared = False

    def __init__(self, folder: Path, reserve_bytes: int | None = None) -> None:
        self._folder = folder
        self._disk = Disk(folder, reserve_bytes)

    async def list_files(self) -> list[LibraryFile]:
        """See ``LibraryHome``."""
        return await asyncio.to_thread(self._list)

    async def keep(self, name: str, pieces: AsyncIterator[bytes], *, least_bytes: int, most_bytes: int) -> LibraryFile:
        """See ``LibraryHome``. What does not fit on the disk is refused before a byte of it is taken."""
        place = self._folder / name
        half = self._folder / f".{secrets.token_hex(8)}{_HALF}"
        try:
            await asyncio.to_thread(self._prepare, least_bytes)
            await self._write(half, pieces)
            await asyncio.to_thread(os.replace, half, place)
        except OSError as error:
            if is_full(error):
                raise self._full() from None
            raise
        finally:
            with contextlib.suppress(OSError):
                half.unlink()
        return _describe(place)

    async def remove(self, name: str) -> None:
        """See ``LibraryHome``."""
        await asyncio.to_thread((self._folder / name).unlink)

    def _prepare(self, length: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for half in self._folder.glob(f".*{_HALF}"):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > _DEAD_AFTER_S:
                    half.unlink()
        if self._disk.room_bytes < length:
            raise self._full()

    def _full(self) -> LibraryFull:
        return LibraryFull(Code.ACTION_LIBRARY_FULL, room_mb=max(0, self._disk.room_bytes) / 1e6)

    async def _write(self, half: Path, pieces: AsyncIterator[bytes]) -> None:
        with half.open("xb", buffering=0) as file:

            def write(piece: bytes) -> None:
                if self._disk.room_bytes < len(piece):
                    raise self._full()
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]

            async for piece in pieces:
                await asyncio.to_thread(write, piece)

    def _list(self) -> list[LibraryFile]:
        if not self._folder.is_dir():
            return []
        return [_describe(path) for path in self._folder.iterdir() if not path.name.startswith(".") and path.is_file()]


def _describe(place: Path) -> LibraryFile:
    about = place.stat()
    url = MediaUrl.parse(str(place)).reveal()
    return LibraryFile(place.name, url, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))
