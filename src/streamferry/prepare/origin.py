"""What version of a file an address gives now: its validator, by one cheap look; and HTTP as both sides speak it.

The validator (RFC 9110, section 8.8) is the ETag, else Last-Modified with the size, else the size with a digest of the
first bytes, because a video without any of them must still not be taken for another one. For a local file it is size,
modification time and inode. Not here: the download (``fetch``, in the preparation process).
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from streamferry.media.errors import SourceError, SourceRejected, SourceStalled, SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.prepare.faults import SourceGone

#: Seconds for connecting, and between two pieces of a body: a server silent for longer is asked again.
TIMEOUT = httpx.Timeout(10.0, read=20.0)
MAX_REDIRECTS = 10
#: Asked of every server: the bytes of the file itself, or offsets would mean nothing.
REQUEST_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "streamferry"}

_DIGESTED_BYTES = 64 << 10
#: Statuses that say nothing about the file: try again (RFC 9110 15.5.9, RFC 6585 section 4; 5xx as well).
_PASSING_STATUSES = frozenset((408, 425, 429))
#: Statuses that say the file is gone: what is cached of it is not played any more.
_GONE_STATUSES = frozenset((404, 410, 451))


@dataclass(frozen=True, slots=True)
class Version:
    """Validator of a file as one response (or one stat) showed it. Empty strings and None where it does not say."""

    etag: str = ""
    last_modified: str = ""
    size_bytes: int | None = None
    head_digest: str = ""

    @property
    def key(self) -> str:
        """The part of the cache key that changes when the file does."""
        if self.etag:
            return f"etag {self.etag}"
        return f"{self.last_modified} {self.size_bytes} {self.head_digest}"

    @property
    def if_range(self) -> str:
        """What an If-Range header may hold (RFC 9110, 13.1.5: no weak ETag), empty if nothing."""
        return self.last_modified if self.etag.startswith("W/") or not self.etag else self.etag

    def contradicts(self, other: "Version") -> bool:
        """True if the two cannot be the same file; what only one of them knows does not count."""
        if self.etag and other.etag:
            return self.etag != other.etag
        if self.last_modified and other.last_modified and self.last_modified != other.last_modified:
            return True
        return None not in (self.size_bytes, other.size_bytes) and self.size_bytes != other.size_bytes


def version_of_file(url: MediaUrl) -> Version:
    """Version of a local file. Raises SourceRejected."""
    try:
        status = os.stat(url.path)
    except OSError as error:
        raise SourceRejected(f"{url.redacted} cannot be read: {os.strerror(error.errno or 0)}") from None
    if not Path(url.path).is_file():
        raise SourceRejected(f"{url.redacted} is not a file")
    return Version(last_modified=f"{status.st_mtime_ns} {status.st_ino}", size_bytes=status.st_size)


async def version_of_http(client: httpx.AsyncClient, url: MediaUrl) -> Version:
    """Version of a remote file, by a GET of one byte: a HEAD is refused by signed addresses and many small servers.

    Raises SourceGone, SourceRejected, SourceUnreachable, SourceStalled.
    """
    headers = REQUEST_HEADERS | {"Range": "bytes=0-0"}
    try:
        async with client.stream("GET", url.reveal(), headers=headers) as response:
            raise_for_status(url, response.status_code)
            version = version_of_response(response.status_code, response.headers)
            if version.etag or version.last_modified:
                return version
            digest, digested_bytes = hashlib.sha256(), 0
            async for piece in response.aiter_raw(_DIGESTED_BYTES):
                digest.update(piece[: _DIGESTED_BYTES - digested_bytes])
                digested_bytes += len(piece)
                if digested_bytes >= _DIGESTED_BYTES:
                    break
            return Version(size_bytes=version.size_bytes, head_digest=digest.hexdigest())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise source_error(url, error) from None


def version_of_response(status: int, headers: Mapping[str, str]) -> Version:
    """Version as the headers of a 200, 206 or 416 say it."""
    size_bytes: int | None = None
    if status in (206, 416):
        total = headers.get("content-range", "").rpartition("/")[2]
        size_bytes = int(total) if total.isdecimal() else None
    elif headers.get("content-length", "").isdecimal():
        size_bytes = int(headers["content-length"])
    return Version(headers.get("etag", ""), headers.get("last-modified", ""), size_bytes)


def raise_for_status(url: MediaUrl, status: int) -> None:
    """Raise what a status means for the source; nothing for 2xx and for 416, an answer about ranges only."""
    if 200 <= status < 300 or status == 416:
        return
    words = f"{url.redacted} answered with HTTP status {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status in _GONE_STATUSES:
        raise SourceGone(words)
    if status >= 500 or status in _PASSING_STATUSES:
        raise SourceUnreachable(words)
    raise SourceRejected(words)


def source_error(url: MediaUrl, error: httpx.HTTPError | httpx.InvalidURL) -> SourceError:
    """A failure of httpx in our words: its own may hold the address a redirect led to."""
    if isinstance(error, httpx.ConnectTimeout):
        return SourceUnreachable(f"{url.redacted} did not accept a connection in time")
    if isinstance(error, httpx.TimeoutException):
        return SourceStalled(f"{url.redacted} sent nothing for {TIMEOUT.read:.0f} s")
    if isinstance(error, httpx.ConnectError):
        return SourceUnreachable(f"{url.redacted} cannot be connected to")
    if isinstance(error, httpx.TooManyRedirects):
        return SourceRejected(f"{url.redacted} redirects more than {MAX_REDIRECTS} times")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return SourceRejected(f"{url.redacted} leads to an address that is not http or https")
    return SourceUnreachable(f"{url.redacted} closed the connection in the middle")
