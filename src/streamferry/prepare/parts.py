"""The bytes of a part of an HLS film: opened and checked, fetched and resumed, decrypted, and inspected.

What is passed on begins as media of the kinds that HLS allows (RFC 8216, section 3): MPEG-TS, MP4, packed audio.
Otherwise the content of another file could be smuggled into the stream: as the body of a frame whose head is in the
previous segment.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator

import httpx

from streamferry.media.errors import SourceError, SourceForbidden, SourceRejected, SourceUnreachable, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.prepare.fetch import FIRST_PAUSE, LAST_PAUSE, MAX_FRUITLESS, range_start
from streamferry.prepare.inspection import encryption_of
from streamferry.prepare.origin import CLIENT_OPTIONS, raise_for_status, source_error
from streamferry.prepare.playlist import Part, PartKey
from streamferry.prepare.route import Route
from streamferry.reasons import Code, Reason
from streamferry.wire.aes_cbc import BLOCK_BYTES, Decryption
from streamferry.wire.segment_kind import MAX_DISGUISE_BYTES, segment_offset

_READ_BYTES = 256 << 10
_KEPT_KEYS = 64
# What the header of fragmented MP4 begins with.
_HEADER_BOXES = (b"ftyp", b"moov")


class Parts:
    """Opens parts of the film at ``url``; from any thread. Errors name ``url``, never what it led to."""

    def __init__(
        self, url: MediaUrl, folders: Folders, route: Route, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._url = url
        self._folders = folders
        self._route = route
        self._sleep = sleep
        self._client: httpx.Client | None = None
        self._is_closed = False
        self._keys: dict[MediaUrl, bytes] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all connections. What is read then ends as if it were lost."""
        self._is_closed = True
        if self._client is not None:
            self._client.close()

    def read(self, part: Part) -> Iterator[bytes]:
        """The media of a part, in pieces. Raises SourceError: before the first piece for what is no media."""
        pieces = self._raw(part.url, part.begin, part.size_bytes)
        if part.key is not None:
            pieces = _decrypted(pieces, Decryption(self._key(part.key), part.key.iv))
        return self._media(pieces)

    def _media(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        head, offset = b"", None
        for piece in pieces:
            head += piece
            if (offset := segment_offset(head)) is not None or len(head) >= MAX_DISGUISE_BYTES:
                break
        if offset is None:
            raise SourceUnsupported(Code.PLAYLIST_STRANGE_SEGMENT, url=self._url.redacted)
        if head[offset + 4 : offset + 8] in _HEADER_BOXES:
            for piece in pieces:
                head += piece
                if len(head) >= MAX_DISGUISE_BYTES:
                    break
            if scheme := encryption_of(head[offset:]):
                why = Reason.of(Code.FILE_ENCRYPTED, scheme=scheme)
                raise SourceUnsupported(Code.FILE_UNUSABLE, url=self._url.redacted, why=why)
        yield head[offset:]
        yield from pieces

    def _key(self, key: PartKey) -> bytes:
        with self._lock:
            known = self._keys.get(key.url)
        if known is None:
            known = b"".join(self._raw(key.url, 0, BLOCK_BYTES + 1))
            if len(known) != BLOCK_BYTES:
                raise SourceUnsupported(Code.PLAYLIST_BAD_KEY, url=self._url.redacted, size_bytes=BLOCK_BYTES)
            with self._lock:
                if len(self._keys) == _KEPT_KEYS:
                    self._keys.clear()
                self._keys[key.url] = known
        return known

    def _raw(self, url: MediaUrl, begin: int, size_bytes: int | None) -> Iterator[bytes]:
        if url.scheme == "file":
            return _read_local(
                self._folders.open(url.path, Reason.of(Code.NAME_PART, url=self._url.redacted)), begin, size_bytes
            )
        return self._fetch(url, begin, size_bytes)

    def _fetch(self, url: MediaUrl, begin: int, size_bytes: int | None) -> Iterator[bytes]:
        position, fruitless = begin, 0
        end = None if size_bytes is None else begin + size_bytes
        while end is None or position < end:
            before = position
            try:
                for piece in self._fetch_once(url, position, end):
                    position += len(piece)
                    yield piece
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = source_error(self._url, error)
            except SourceUnreachable as error:
                failure = error
            except RuntimeError:  # Of a client that was closed.
                if not self._is_closed:
                    raise
                return
            else:
                return
            fruitless = 0 if position > before else fruitless + 1
            if fruitless >= MAX_FRUITLESS or isinstance(failure, SourceRejected):
                raise failure
            self._sleep(max(failure.retry_after_s, min(FIRST_PAUSE * 2 ** max(0, fruitless - 1), LAST_PAUSE)))

    def _fetch_once(self, url: MediaUrl, begin: int, end: int | None) -> Iterator[bytes]:
        headers = {"Range": f"bytes={begin}-{'' if end is None else end - 1}"} if begin or end is not None else {}
        with self._open_client().stream("GET", url.reveal(), headers=headers) as response:
            raise_for_status(self._url, response)
            position = range_start(response)
            if response.status_code == 416 or position > begin:
                # Nothing is there, or something else.
                raise SourceRejected(Code.PLAYLIST_PART_MISSING, url=self._url.redacted)
            for piece in response.iter_raw():
                # A server without ranges sends all of it.
                wanted = piece[max(0, begin - position) : None if end is None else max(0, end - position)]
                position += len(piece)
                if wanted:
                    yield wanted
                if end is not None and position >= end:
                    return

    def _open_client(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(**CLIENT_OPTIONS, **self._route.client_options())
            return self._client


def is_final(error: SourceError) -> bool:
    """Whether a part that cannot be fetched ends the film; any other is a gap in it."""
    return isinstance(error, SourceForbidden | SourceUnsupported)


def _read_local(file: int, begin: int, size_bytes: int | None) -> Iterator[bytes]:
    try:
        end = os.fstat(file).st_size if size_bytes is None else begin + size_bytes
        while begin < end and (piece := os.pread(file, min(_READ_BYTES, end - begin), begin)):
            begin += len(piece)
            yield piece
    finally:
        os.close(file)


def _decrypted(pieces: Iterator[bytes], decryption: Decryption) -> Iterator[bytes]:
    for piece in pieces:
        if plain := decryption.update(piece):
            yield plain
    yield decryption.end()
