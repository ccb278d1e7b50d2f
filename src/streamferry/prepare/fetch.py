"""The download of one remote file into the cache, front to back, resumed as often as needed; read while it grows.

A thread of the preparation process. What is on the disk from an earlier process is continued when the server says that
it is the same file (Range with If-Range, RFC 9110 sections 13.1.5 and 14.2). A server that ignores ranges sends the
start again: that is compared with what is there, so that a file that changed in the middle is noticed in any case.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import httpx

from streamferry.media.errors import MediaError, SourceRejected, SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.prepare.cache import Entry
from streamferry.prepare.errors import CacheError, SourceChanged
from streamferry.prepare.faststart import MAX_TAIL_BYTES
from streamferry.prepare.file_version import Version
from streamferry.prepare.origin import (
    CLIENT_OPTIONS,
    MAX_SIZE_DIGITS,
    raise_for_status,
    source_error,
    version_of_response,
)
from streamferry.prepare.room import Room
from streamferry.prepare.route import STRAIGHT, Route
from streamferry.prepare.window import free_blocks
from streamferry.reasons import Code, system_reason

# Attempts in a row that bring no byte. With the pauses below that is 8 s for a server that restarts.
MAX_FRUITLESS = 6
FIRST_PAUSE, LAST_PAUSE = 0.25, 8.0
# A stopped download writes to a file that is about to be removed: it may, but that is not waited for much longer.
_STOP_SECONDS = 1.0
# A server that ends the body at the same byte this often, in good order, has announced a length it does not have.
_ENDS_TO_BELIEVE = 3


class Fetch:
    """Downloads ``url`` into ``entry``; all methods but ``run`` may be called from any thread."""

    def __init__(
        self,
        url: MediaUrl,
        entry: Entry,
        expected: Version,
        route: Route = STRAIGHT,
        *,
        room: Room,
        ahead_bytes: int | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.url = url
        self.path = entry.source
        self.final_url = route.address(url)
        self.fetched_bytes = 0
        self.total_bytes: int | None = None
        self.cut_short = False
        self._state_path = entry.source_state
        self._expected = expected
        self._route = route
        self._room = room
        self._ahead_bytes = ahead_bytes
        # None: all of it.
        self._may_fetch_bytes = ahead_bytes
        self._gone_bytes = 0
        self._sleep = sleep
        self._changed = threading.Condition()
        self._done = False
        self._stopped = False
        self._error: Exception | None = None
        self._file = -1
        self._state: dict[str, object] = {}
        self._fruitless = 0
        self._early_ends = 0

    @property
    def done(self) -> bool:
        """True when there is nothing more to come, for good or ill."""
        return self._done

    def raise_failure(self) -> None:
        """Raise what ended the download, if it was an error."""
        if self._error is not None:
            raise self._error

    def wait_for(self, size_bytes: int) -> bool:
        """Wait until that many bytes are there, or until no more will come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._done or self.fetched_bytes >= size_bytes)

    def wait_done(self, timeout: float | None) -> bool:
        """Want all of it, and wait until there is nothing more to come; False if that is not so in time."""
        with self._changed:
            self._may_fetch_bytes = None
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._done, timeout)

    def read_at(self, offset: int, size_bytes: int) -> bytes:
        """Bytes of the file, waited for; fewer where it ends."""
        with self._changed:
            self._want(offset + size_bytes)
        self.wait_for(offset + size_bytes)
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size_bytes)

    def note_read(self, offset: int, *, is_done_with: bool) -> None:
        """The reader is at ``offset``. With a window the download keeps near it, and what it is done with goes."""
        if self._ahead_bytes is None:
            return
        with self._changed:
            self._want(offset)
            if is_done_with and not self._done:
                self._gone_bytes = free_blocks(self._file, self._gone_bytes, offset)

    def _want(self, size_bytes: int) -> None:
        """Fetch that much, and as much further as may be."""
        if self._ahead_bytes is not None and self._may_fetch_bytes is not None:
            self._may_fetch_bytes = max(self._may_fetch_bytes, size_bytes + self._ahead_bytes)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the download at the next piece that comes."""
        self._stopped = True
        with self._changed:
            self._changed.notify_all()
        self.wait_done(_STOP_SECONDS)

    def run(self) -> None:
        """The thread: fetch everything, then set ``done``."""
        try:
            if not self._open_file():
                with httpx.Client(**CLIENT_OPTIONS, **self._route.client_options()) as client:
                    self._fetch_all(client)
                if not self.cut_short:
                    self._state_path.write_text(json.dumps(self._state | {"whole_bytes": self.fetched_bytes}))
        except MediaError as error:
            self._error = error
        except OSError as error:
            self._error = CacheError(Code.CACHE_DOWNLOAD_UNWRITABLE, why=system_reason(error.errno))
        except Exception as error:
            # A bug, for whoever reads: with this thread it would end, and what has come would count as the whole file.
            self._error = error
        finally:
            if self._file >= 0:
                os.close(self._file)
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _open_file(self) -> bool:
        """Open what an earlier process left of the same file, or begin; True if nothing is missing."""
        # After a crash of the machine the tail of the file may be zeros that were never written: only a file of
        # this boot is continued.
        self._state = asdict(self._expected) | {"boot": _boot_id()}
        try:
            left = json.loads(self._state_path.read_bytes())
            whole_bytes = left.pop("whole_bytes", None)
        except (FileNotFoundError, ValueError):
            left = whole_bytes = None
        begins = left != self._state
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if begins else 0), 0o600)
        if begins:
            self._state_path.write_text(json.dumps(self._state))
        self._advance(os.fstat(self._file).st_size)
        return not begins and whole_bytes == self.fetched_bytes

    def _fetch_all(self, client: httpx.Client) -> None:
        while True:
            before = self.fetched_bytes
            try:
                self._fetch_once(client)
            except httpx.RemoteProtocolError as error:
                # The body ended before its announced length; anything else of this class is garbage from the server.
                failure: MediaError = source_error(self.url, error)
                if self._early_ends >= _ENDS_TO_BELIEVE and self.fetched_bytes:
                    self.cut_short = True
                    return
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = source_error(self.url, error)
            except SourceUnreachable as error:
                failure = error
            else:
                return
            self._fruitless = 0 if self.fetched_bytes > before else self._fruitless + 1
            if self._fruitless >= MAX_FRUITLESS or isinstance(failure, SourceRejected) or self._stopped:
                raise failure
            pause = min(FIRST_PAUSE * 2 ** max(0, self._fruitless - 1), LAST_PAUSE)
            self._sleep(max(pause, failure.retry_after_s))

    def _fetch_once(self, client: httpx.Client) -> None:
        start = self.fetched_bytes
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._expected.if_range:
                headers["If-Range"] = self._expected.if_range
        with client.stream("GET", self._route.address(self.url), headers=headers) as response:
            raise_for_status(self.url, response)
            version = version_of_response(response.status_code, response.headers)
            if response.status_code == 416 and start == (version.size_bytes or self._expected.size_bytes):
                self.cut_short = start < (self.total_bytes or 0)
                return
            if response.status_code == 416 or self._expected.contradicts(version):
                raise self._changed_error()
            self.total_bytes = version.size_bytes
            self.final_url = str(response.url)
            position = range_start(response)
            if position > start:
                raise SourceUnreachable(Code.FILE_WRONG_PART, url=self.url.redacted)
            received = False
            try:
                # As it comes: pieces of a size would hold back, and at a break lose, what is not a whole one.
                for piece in response.iter_raw():
                    position = self._store(position, piece)
                    received = received or position > start
            except httpx.RemoteProtocolError:
                self._early_ends = 1 if received else self._early_ends + 1
                raise

    def _store(self, position: int, piece: bytes) -> int:
        """Write what is new of a piece, compare what is not; the position behind it."""
        known = self.fetched_bytes - position
        if known > 0:
            with self._changed:
                # What is gone cannot be compared.
                gone = min(max(0, self._gone_bytes - position), known)
                if os.pread(self._file, min(known, len(piece)) - gone, position + gone) != piece[gone:known]:
                    raise self._changed_error()
            position += min(known, len(piece))
            piece = piece[known:]
        if piece:
            self._wait_for_room(position)
        if self._stopped:
            raise SourceUnreachable(Code.FILE_DOWNLOAD_STOPPED, url=self.url.redacted)
        end = position + len(piece)
        self._room.write(piece, lambda view: os.pwrite(self._file, view, end - len(view)))
        position = end
        if position > self.fetched_bytes:
            self._advance(position)
        return position

    def _wait_for_room(self, position: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._may_fetch_bytes is None or position < self._may_fetch_bytes
            )

    def _advance(self, fetched_bytes: int) -> None:
        with self._changed:
            self.fetched_bytes = fetched_bytes
            self._changed.notify_all()

    def _changed_error(self) -> SourceChanged:
        self._state_path.unlink(missing_ok=True)
        return SourceChanged(Code.FILE_CHANGED, url=self.url.redacted)


def fetch_bytes(url: MediaUrl, wanted: MediaUrl, max_bytes: int, route: Route) -> tuple[bytes, str]:
    """The first bytes at ``wanted`` and where redirects led; ``url`` is what led there. Raises SourceError."""
    try:
        with (
            httpx.Client(**CLIENT_OPTIONS, **route.client_options()) as client,
            client.stream("GET", wanted.reveal()) as response,
        ):
            raise_for_status(url, response)
            data = bytearray()
            for piece in response.iter_raw():
                data += piece
                if len(data) > max_bytes:
                    break
            return bytes(data[:max_bytes]), str(response.url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise source_error(url, error) from None


def fetch_tail(url: MediaUrl, start: int, expected: Version, route: Route) -> bytes | None:
    """All that lies behind an offset, fetched beside the download; None where that cannot be had, or is too much."""
    headers = {"Range": f"bytes={start}-"} | ({"If-Range": expected.if_range} if expected.if_range else {})
    try:
        with (
            httpx.Client(**CLIENT_OPTIONS, **route.client_options()) as client,
            client.stream("GET", route.address(url), headers=headers) as response,
        ):
            version = version_of_response(response.status_code, response.headers)
            if response.status_code != 206 or range_start(response) != start or expected.contradicts(version):
                return None
            if version.size_bytes is not None and version.size_bytes - start > MAX_TAIL_BYTES:
                return None
            tail = bytearray()
            for piece in response.iter_raw():
                tail += piece
                if len(tail) > MAX_TAIL_BYTES:
                    return None
            return bytes(tail)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def range_start(response: httpx.Response) -> int:
    if response.status_code != 206:
        return 0
    start = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() and len(start) <= MAX_SIZE_DIGITS else 0


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
