"""A bucket as the home of the library: ``<prefix>/<name>`` for each file. A task plays one by its ``s3:`` address, on
whichever machine it runs.

A file is uploaded in parts while it is received, and is there when its last part is: nothing of it is kept on this
machine. Parts of an upload that ends otherwise are given up, and those of a service that was killed a week later.
Decision 0115.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from streamferry.control.library import LibraryFile
from streamferry.media.errors import SourceUnsupported
from streamferry.net.s3 import Buckets
from streamferry.net.s3_uploads import Uploads
from streamferry.reasons import Code
from streamferry.tasks.errors import LibraryAway

if TYPE_CHECKING:
    from obstore.store import S3Store

_log = logging.getLogger("streamferry.control")

#: An upload holds about one part in memory; S3 takes 10,000, of 5 MiB at least.
_PART_BYTES = 8 << 20
_MAX_PARTS = 10_000
#: So many uploads at a time; more wait for them.
_AT_ONCE = 8
#: For how long the server may be silent, and how long the whole of a list may take, as somebody waits for it.
_PATIENCE_S = 5.0
_LIST_S = 30.0
#: How long a part may take: over a line of 1 Mbit/s a little more than a minute.
_PART_S = 150.0
#: How long parts of an upload that was cancelled may take to be given up.
_GIVE_UP_S = 5.0
#: An upload that began so long ago will not end any more, whoever began it: other tools put files there, too. They are
#: looked for before an upload, once in a while.
_OLD = timedelta(days=7)
_LOOK_EACH_S = 3600.0
#: In obstore's words, of which nothing else is told. What is asked too often, or too slowly, may be asked again.
_REFUSED = re.compile(r"status code: (?!408|429)(4\d\d)")


class LibraryBucket:
    """See the module. ``authorities``: to be trusted for TLS, as PEM, beside the usual ones."""

    is_shared = True

    def __init__(self, bucket: str, prefix: str, buckets: Buckets, authorities: str = "") -> None:
        self._bucket, self._prefix = bucket, prefix
        self._buckets, self._authorities = buckets, authorities
        self._stores: tuple[S3Store, S3Store] | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._uploads = Uploads(buckets, bucket, authorities, patience_s=_PATIENCE_S)
        self._look_at = 0.0

    async def list_files(self) -> list[LibraryFile]:
        """See ``LibraryHome``: objects in the prefix, not those in further ones."""
        with self._asking():
            import obstore

            async with asyncio.timeout(_LIST_S):
                found = await obstore.list_with_delimiter_async(self._store, self._prefix or None)
        within = f"{self._prefix}/" if self._prefix else ""
        return [
            self._describe(one)
            for one in found["objects"]
            # The prefix itself is what consoles put there as a folder.
            if one["path"].startswith(within) and not self._name_of(one).startswith(".")
        ]

    async def keep(self, name: str, pieces: AsyncIterator[bytes], *, least_bytes: int, most_bytes: int) -> LibraryFile:
        """See ``LibraryHome``."""
        read = _Pieces(pieces)
        async with self._places:
            await self._give_up_old()
            putting = asyncio.ensure_future(self._put(name, read, most_bytes))
            try:
                return await asyncio.shield(putting)
            except LibraryAway:
                if read.failure is not None:
                    raise read.failure from None
                raise
            except asyncio.CancelledError:
                read.break_off()
                done, _ = await asyncio.wait({putting}, timeout=_GIVE_UP_S)
                if done:
                    # So that nobody misses what it raised.
                    putting.exception()
                putting.cancel()
                raise

    async def _give_up_old(self) -> None:
        """What cannot be done now is for the next time: an upload does not depend on it."""
        now = time.monotonic()
        if now < self._look_at or not self._uploads.can_ask:
            return
        self._look_at = now + _LOOK_EACH_S
        try:
            async with asyncio.timeout(2 * _PATIENCE_S):
                count = await self._uploads.give_up(self._key(""), datetime.now(UTC) - _OLD)
        except (httpx.HTTPError, ValueError, OSError):
            # Not with its words: they hold addresses.
            _log.info("uploads that nobody will finish cannot be looked for in the bucket %s", self._bucket)
        else:
            if count:
                _log.info("%d uploads that nobody had finished were given up in the bucket %s", count, self._bucket)

    async def _put(self, name: str, pieces: AsyncIterator[bytes], most_bytes: int) -> LibraryFile:
        part_bytes = max(_PART_BYTES, -(-most_bytes // _MAX_PARTS))
        with self._asking():
            import obstore

            await obstore.put_async(
                self._store_of_parts,
                self._key(name),
                pieces,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=1,
            )
            return self._describe(await obstore.head_async(self._store, self._key(name)))

    async def remove(self, name: str) -> None:
        """See ``LibraryHome``. S3 says nothing of an object that is not there."""
        with self._asking():
            import obstore

            with contextlib.suppress(FileNotFoundError):
                await obstore.head_async(self._store, self._key(name))
                await obstore.delete_async(self._store, self._key(name))
                return
        raise FileNotFoundError

    @property
    def _store(self) -> "S3Store":
        return self._open()[0]

    @property
    def _store_of_parts(self) -> "S3Store":
        """A long body takes its time, and only then is it answered."""
        return self._open()[1]

    def _open(self) -> "tuple[S3Store, S3Store]":
        if self._stores is None:
            self._stores = (
                self._buckets.store(self._bucket, self._authorities, patience_s=_PATIENCE_S),
                self._buckets.store(self._bucket, self._authorities, request_s=_PART_S),
            )
        return self._stores

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _name_of(self, meta: Any) -> str:
        return str(meta["path"]).removeprefix(f"{self._prefix}/")

    def _describe(self, meta: Any) -> LibraryFile:
        changed_at: datetime = meta["last_modified"]
        return LibraryFile(self._name_of(meta), f"s3://{self._bucket}/{meta['path']}", meta["size"], changed_at)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """What goes wrong with the server as LibraryAway, never with its words: they hold addresses."""
        try:
            yield
        except ImportError:
            raise LibraryAway(Code.S3_NOT_INSTALLED) from None
        except SourceUnsupported as error:
            raise LibraryAway(error.why) from None
        except Exception as error:  # Of obstore there are more than it names.
            # By its name: obstore is imported where it is needed.
            if type(error).__name__ == "InvalidPathError":
                raise LibraryAway(Code.LIBRARY_ODD_KEY, bucket=self._bucket) from None
            if found := _REFUSED.search(str(error)):
                raise LibraryAway(Code.LIBRARY_REFUSED, bucket=self._bucket, answer=found[1]) from None
            raise LibraryAway(Code.LIBRARY_AWAY, bucket=self._bucket) from None


class _Pieces(AsyncIterator[bytes]):
    """What obstore reads: it gives its parts up when that fails, and leaves them there when it is cancelled.

    ``failure``: what it failed by.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._next: asyncio.Future[bytes | None] | None = None
        self._is_broken_off = False
        self.failure: Exception | None = None

    async def __anext__(self) -> bytes:
        if self._is_broken_off:
            raise ConnectionAbortedError
        self._next = asyncio.ensure_future(anext(self._pieces, None))
        try:
            piece = await self._next
        except asyncio.CancelledError:
            raise ConnectionAbortedError from None
        except Exception as error:
            self.failure = error
            raise
        if piece is None:
            raise StopAsyncIteration
        return piece

    def break_off(self) -> None:
        """It fails now, also where it waits for a piece."""
        self._is_broken_off = True
        if self._next is not None:
            self._next.cancel()
