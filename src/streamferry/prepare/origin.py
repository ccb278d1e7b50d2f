"""HTTP as both sides of a preparation speak it: what version of a file an address gives now, and what answers mean.

Not here: the download (``fetch``, in the preparation process).
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import httpx

from streamferry.media.errors import (
    PeerLacking,
    SourceError,
    SourceForbidden,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
    own_lack,
)
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg_options import FORBIDDEN_STATUS, LACKING_STATUS, PROXY_STATUS, UNREACHABLE_STATUS
from streamferry.net.retry_after import retry_after_s
from streamferry.prepare.errors import SourceGone
from streamferry.prepare.file_version import Version
from streamferry.prepare.route import FROM_PROXY, STRAIGHT, Route
from streamferry.reasons import Code, Reason

# At INFO httpx writes each address in full, with its tokens.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: Seconds for connecting, and between two pieces of a body: a server silent for longer is asked again.
TIMEOUT = httpx.Timeout(10.0, read=20.0)
MAX_REDIRECTS = 10
#: Of every client. Asked of every server: the bytes of the file itself, or offsets would mean nothing.
CLIENT_OPTIONS: dict[str, Any] = {
    "follow_redirects": True,
    "max_redirects": MAX_REDIRECTS,
    "timeout": TIMEOUT,
    "headers": {"Accept-Encoding": "identity", "User-Agent": "streamferry"},
}

#: More are no size of a file, and Python reads no number of thousands of digits.
MAX_SIZE_DIGITS = 18
_DIGESTED_BYTES = 64 << 10
#: Statuses that say nothing about the file: try again (RFC 9110 15.5.9, RFC 6585 section 4; 5xx as well).
_PASSING_STATUSES = frozenset((408, 425, 429))
#: Statuses that say the file is gone: what is cached of it is not played any more.
_GONE_STATUSES = frozenset((404, 410, 451))


def open_client(route: Route, url: MediaUrl) -> httpx.AsyncClient:
    """A client on that route. Reads the certificates of all authorities if the address has TLS."""
    options = route.client_options(is_async=True)
    if url.uses_tls:
        options["verify"].read()
    return httpx.AsyncClient(**CLIENT_OPTIONS, **options)


async def version_of_http(client: httpx.AsyncClient, url: MediaUrl, route: Route = STRAIGHT) -> Version:
    """Version of a remote file, by a GET of one byte: a HEAD is refused by signed addresses and many small servers.

    Raises SourceGone, SourceRejected, SourceUnreachable, SourceStalled.
    """
    try:
        async with client.stream("GET", route.address(url), headers={"Range": "bytes=0-0"}) as response:
            raise_for_status(url, response)
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
        size_bytes = int(total) if total.isdecimal() and len(total) <= MAX_SIZE_DIGITS else None
    elif headers.get("content-length", "").isdecimal():
        size_bytes = int(headers["content-length"])
    return Version(headers.get("etag", ""), headers.get("last-modified", ""), size_bytes)


def raise_for_status(url: MediaUrl, response: httpx.Response) -> None:
    """Raise what a status means for the source; nothing for 2xx and for 416, an answer about ranges only."""
    status = response.status_code
    if 200 <= status < 300 or status == 416:
        return
    if response.extensions.get(FROM_PROXY):
        raise _of_proxy(url, status, response.reason_phrase)
    answer = f"{status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    why = Reason.of(Code.FILE_HTTP_STATUS, url=url.redacted, answer=answer)
    if url.scheme == "s3":
        why = _of_bucket(url, status, answer) or why
    if status in _GONE_STATUSES:
        raise SourceGone(why)
    if status >= 500 or status in _PASSING_STATUSES:
        error = SourceUnreachable(why)
        error.retry_after_s = retry_after_s(response.headers.get("retry-after", ""))
        raise error
    raise SourceRejected(why)


def _of_bucket(url: MediaUrl, status: int, answer: str) -> Reason | None:
    """What a status of an S3 server asks of the settings, if it does."""
    if status in (401, 403):
        return Reason.of(Code.S3_FORBIDDEN, url=url.redacted, bucket=url.host)
    if status == 404:
        return Reason.of(Code.S3_MISSING, url=url.redacted, bucket=url.host)
    # Another region's server answers with either; also one that wants the bucket in the host's name.
    if status in (301, 307, 400):
        return Reason.of(Code.S3_ELSEWHERE, url=url.redacted, bucket=url.host, answer=answer)
    return None


def source_error(url: MediaUrl, error: httpx.HTTPError | httpx.InvalidURL) -> SourceError:
    """A failure of httpx in our words: its own may hold the address a redirect led to."""
    if (lack := own_lack(error)) is not None:
        return SourceUnreachable(Code.FILE_UNREACHABLE_BECAUSE, url=url.redacted, why=lack).because_of(error)
    if isinstance(error, httpx.ConnectTimeout):
        return SourceUnreachable(Code.FILE_CONNECT_TIMED_OUT, url=url.redacted)
    if isinstance(error, httpx.TimeoutException):
        return SourceStalled(Code.FILE_SILENT, url=url.redacted, seconds=TIMEOUT.read or 0)
    if isinstance(error, httpx.ProxyError):
        # What it answered to CONNECT: its status and words.
        status, _, words = str(error).partition(" ")
        return _of_proxy(url, int(status) if status.isdecimal() else UNREACHABLE_STATUS, words)
    if isinstance(error, httpx.ConnectError):
        return SourceUnreachable(Code.FILE_UNREACHABLE, url=url.redacted)
    if isinstance(error, httpx.TooManyRedirects):
        return SourceRejected(Code.FILE_REDIRECTS_TOO_OFTEN, url=url.redacted, count=MAX_REDIRECTS)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return SourceRejected(Code.FILE_OFF_WEB, url=url.redacted)
    return SourceUnreachable(Code.FILE_BROKEN_OFF, url=url.redacted)


def _of_proxy(url: MediaUrl, status: int, words: str) -> SourceError:
    """What our own proxy's answer means."""
    if status == FORBIDDEN_STATUS:
        return SourceForbidden(Code.FILE_NOT_ALLOWED, url=url.redacted)
    if status == LACKING_STATUS:
        lack = PeerLacking(Code.LACK_CONNECTION)
        return SourceUnreachable(Code.FILE_UNREACHABLE_BECAUSE, url=url.redacted, why=lack.why).because_of(lack)
    if status == PROXY_STATUS:
        return SourceUnreachable(Code.FILE_UNREACHABLE_BECAUSE, url=url.redacted, why=words)
    return SourceUnreachable(Code.FILE_UNREACHABLE, url=url.redacted)
