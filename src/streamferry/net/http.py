"""A GET whose body may never end.

The body is not read here: ``open_get`` returns the connection with the head parsed, and the beat moves the rest.
``http_heads`` and h11 read the heads. Not for files: those are fetched with httpx.

Specification: RFC 9110 (semantics; 15.4 redirection, 11 authentication), RFC 9112 (syntax).
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Unpack
from urllib.parse import quote, unquote, urljoin

import h11

from streamferry.media.errors import PeerRejected, PeerUnreachable, RemoteProtocolError
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.chunked import ChunkedDecoder
from streamferry.net.connection import Connection
from streamferry.net.dial import DialOptions, dial_url, step
from streamferry.net.http_heads import ResponseHead, plain_response, request_head
from streamferry.net.kept import KeptConnections
from streamferry.net.retry_after import retry_after_s
from streamferry.reasons import Code, Reason

#: The schemes that may be fetched; also those that a playlist may name.
WEB_SCHEMES = frozenset(("http", "https"))

#: How many redirects are followed.
MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
# Received with a head: of media the rest is received where it is needed.
_HEAD_BYTES = 4096
# RFC 9110, 14.4.
_RANGE = re.compile(r"bytes\s+([0-9]{1,19})-", re.IGNORECASE).match
# Characters of a target that are not escaped: those with a meaning in an address, and existing escapes.
_TARGET_SAFE = "%/:?@!$&'()*+,;=~-._[]"


@dataclass(slots=True)
class HttpStream:
    """An answer whose body is still to come."""

    connection: Connection
    #: Bytes of the body that came with the head, as received: in chunks if ``chunked``.
    leftover: bytes
    #: None when the head does not say how long the body is, as for anything live.
    content_length: int | None
    content_type: str
    chunked: bool
    #: Where the redirects led.
    final_url: MediaUrl
    #: Whether it begins where it was asked for, and is not all there is.
    is_partial: bool = False
    #: Takes the connection when all of the body has come, None if it is of no further use.
    keep: Callable[[], None] | None = None


class HttpBody:
    """The payload of an answer, chunked or not, received by plain calls.

    A reader takes ``leftover`` first: payload that came with the head.
    """

    def __init__(self, stream: HttpStream) -> None:
        """Raises RemoteProtocolError, and closes, if the bytes received so far are not a chunk."""
        self._connection = stream.connection
        self._keep = stream.keep
        self._is_released = False
        self._decoder = ChunkedDecoder() if stream.chunked else None
        # Bytes that have not come, None where the head does not tell; below 0 if more came.
        self._missing = stream.content_length
        self.leftover = self._payload(stream.leftover)

    def receive_into(self, view: memoryview) -> int | None:
        """As ``Connection.recv_into``; 0 at the end of the payload. Raises OSError and RemoteProtocolError."""
        if self.is_whole:
            return 0
        missing = self._missing if self._decoder is None else None
        received = self._connection.recv_into(view if missing is None else view[:missing])
        if not received:
            return received
        if self._decoder is not None:
            return self._decoder.decode(view, 0, received) or None
        if missing is not None:
            self._missing = missing - received
        return received

    @property
    def receiver(self) -> Callable[[memoryview], int | None]:
        """``receive_into``, or what it would only pass on to."""
        is_plain = self._decoder is None and self._missing is None
        return self._connection.recv_into if is_plain else self.receive_into

    async def read_all(self, max_bytes: int) -> bytes:
        """Wait for all of a small payload, and release. Raises OSError, also if it breaks off, and RemoteProtocolError.

        That is when it is larger, or not in chunks as told.
        """
        data = self.leftover
        while not self.is_whole and (more := await self._connection.read()):
            data += self._payload(more)
            if len(data) > max_bytes:
                raise RemoteProtocolError(
                    Code.PROTOCOL_ANSWER_TOO_LONG, peer=self._connection.peer, max_bytes=max_bytes
                )
        if not self.is_whole and (self._decoder is not None or self._missing is not None):
            raise ConnectionError("the end of the answer is missing")
        self.release()
        return data

    def release(self) -> None:
        """The connection is for the next request if this one's answer has come as it should, else it is closed.

        Releasing again does nothing.
        """
        if self._is_released:
            return
        self._is_released = True
        decoder = self._decoder
        is_over = decoder.ended and not decoder.is_followed if decoder is not None else self._missing == 0
        if self._keep is not None and is_over:
            self._keep()
        else:
            self._connection.close()

    @property
    def is_whole(self) -> bool:
        """Whether all of the payload has come."""
        if self._decoder is not None:
            return self._decoder.ended
        return self._missing is not None and self._missing <= 0

    def _payload(self, data: bytes) -> bytes:
        if self._decoder is None:
            missing = self._missing
            if missing is None:
                return data
            self._missing = missing - len(data)
            return data[: max(0, missing)]
        buffer = bytearray(data)
        try:
            return bytes(buffer[: self._decoder.decode(memoryview(buffer), 0, len(buffer))])
        except RemoteProtocolError:
            self._connection.close()
            raise


async def first_payload(stream: HttpStream, at_least: int) -> bytes:
    """Wait for the first bytes of the payload, fewer if there are no more. They stay to be read. Raises OSError."""
    while True:
        body = HttpBody(stream)
        data = b"" if len(body.leftover) >= at_least or body.is_whole else await stream.connection.read()
        if not data:
            return body.leftover
        stream.leftover += data


async def open_get(
    url: MediaUrl,
    given_for: MediaUrl | None = None,
    byte_range: tuple[int, int] | None = None,
    kept: KeptConnections | None = None,
    **network: Unpack[DialOptions],
) -> HttpStream:
    """GET ``url``, follow up to 5 redirects, and stop where the body begins. The deadlines hold for each.

    The headers of the options are added or replace ours. ``given_for``: the address that they were given for, if that
    is another one; what may be a secret of its server is sent to no other, here or after a redirect (RFC 9110, 15.4).
    ``byte_range``: the first byte and the one after the last that are asked for; the server may send all.
    ``kept``: connections that are used before new ones are opened, and where they come back to.
    Raises PeerUnreachable, PeerRejected (a status other than 200 and 206, a redirect that leads nowhere, an address of
    another kind) or RemoteProtocolError (no HTTP).
    """
    options, given_for = network.get("options", NO_OPTIONS), given_for or url
    if url.scheme not in WEB_SCHEMES:
        raise PeerRejected(Code.PEER_NOT_ON_WEB, url=url.redacted)
    for _ in range(MAX_REDIRECTS + 1):
        fields = {"user-agent": "streamferry", "accept": "*/*"}
        if kept is None:
            fields["connection"] = "close"
        fields |= options.headers_for(url, given_for)
        if byte_range is not None:
            fields["range"] = f"bytes={byte_range[0]}-{byte_range[1] - 1}"
        connection = kept.take(url) if kept is not None else None
        answer = None
        if connection is not None:
            answer = await _ask_again(connection, url, fields, network["deadlines"].response)
        if connection is None or answer is None:
            connection = await dial_url(url, **network)
        try:
            if answer is None:
                async with step(Reason.of(Code.STEP_ANSWER, peer=connection.peer), network["deadlines"].response):
                    answer = await exchange_heads(connection, url, fields)
            response, leftover = answer
            if response.status not in _REDIRECTS:
                stream = _stream(connection, response, leftover, url, byte_range[0] if byte_range else 0)
                if kept is not None and response.is_kept:
                    stream.keep = partial(kept.keep, url, connection)
                return stream
        except BaseException:
            connection.close()
            raise
        connection.close()
        url = redirect_target(url, response)
    raise PeerRejected(Code.PEER_REDIRECTS_TOO_OFTEN, url=url.redacted, count=MAX_REDIRECTS)


async def _ask_again(
    connection: Connection, url: MediaUrl, fields: Mapping[str, str], seconds: float
) -> tuple[ResponseHead, bytes] | None:
    """Ask on a connection that was used before; None, and it is closed, if its server no longer answers there.

    Raises PeerUnreachable if it takes too long.
    """
    try:
        async with step(Reason.of(Code.STEP_ANSWER, peer=connection.peer), seconds):
            try:
                return await exchange_heads(connection, url, fields)
            except (OSError, PeerUnreachable, RemoteProtocolError):
                connection.close()
                return None
    except BaseException:
        connection.close()
        raise


async def exchange_heads(
    connection: Connection, url: MediaUrl, fields: Mapping[str, str], *, method: str = "GET", body: bytes = b""
) -> tuple[ResponseHead, bytes]:
    """Send the request, and give the final response's head and what came after it.

    Raises OSError, PeerUnreachable and RemoteProtocolError.
    """
    headers = _request_headers(url, fields)
    target = _target(url)
    await connection.write(request_head(method, target, headers) + body)
    begin = b""
    while not begin:
        # The end of a chunked body on the same connection, which was of no interest, may come first.
        begin = (await _received(connection)).lstrip(b"\r\n")
    if (plain := plain_response(begin)) is not None:
        return plain
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method=method, target=target, headers=headers))
    http.send(h11.Data(body))
    http.send(h11.EndOfMessage())
    http.receive_data(begin)
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:  # Its words may repeat what came.
            raise RemoteProtocolError(Code.PROTOCOL_NOT_HTTP, peer=connection.peer) from None
        if event is h11.NEED_DATA:
            http.receive_data(await _received(connection))
        elif isinstance(event, h11.Response):
            told: dict[bytes, bytes] = {}
            for name, value in event.headers:
                told.setdefault(name, value)
            return ResponseHead(event.status_code, event.http_version >= b"1.1", told), http.trailing_data[0]


async def _received(connection: Connection) -> bytes:
    data = await connection.read(_HEAD_BYTES)
    if not data:
        raise PeerUnreachable(Code.PEER_CLOSED_UNANSWERED, peer=connection.peer)
    return data


def _request_headers(url: MediaUrl, fields: Mapping[str, str]) -> list[tuple[str, str]]:
    try:
        headers = {"host": url.authority.encode("idna").decode("ascii")}
    except UnicodeError:  # A label that is empty or over 63 bytes.
        raise _no_host_name(url.host) from None
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["authorization"] = "Basic " + b64encode(credentials.encode()).decode("ascii")
    return list((headers | dict(fields)).items())


def _no_host_name(host: str) -> PeerUnreachable:
    why = Reason.of(Code.PEER_NOT_A_HOST_NAME)
    return PeerUnreachable(Code.PEER_STEP_FAILED, step=Reason.of(Code.STEP_RESOLVING, host=host), why=why)


def _target(url: MediaUrl) -> str:
    return quote(url.target, safe=_TARGET_SAFE)


def _stream(connection: Connection, response: ResponseHead, leftover: bytes, url: MediaUrl, begin: int) -> HttpStream:
    """``begin``: the first byte that was asked for."""
    status = response.status
    if status not in (200, 206):
        raise rejection(url, response)
    # Servers and caches are seen that give another range; those that do not say which are believed.
    found = _RANGE(response.value(b"content-range"))
    return HttpStream(
        connection=connection,
        leftover=leftover,
        content_length=response.content_length,
        content_type=response.value(b"content-type").lower(),
        chunked=response.is_chunked,
        final_url=url,
        is_partial=status == 206 and (found is None or int(found[1]) == begin),
    )


def rejection(url: MediaUrl, response: ResponseHead) -> PeerRejected:
    """The error that an answer with such a status is."""
    status = response.status
    phrase = f" {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else ""
    refusal = PeerRejected(Code.PEER_ANSWERED, url=url.redacted, answer=f"{status}{phrase}")
    refusal.status = status
    refusal.retry_after_s = retry_after_s(response.value(b"retry-after"))
    return refusal


def redirect_target(url: MediaUrl, response: ResponseHead) -> MediaUrl:
    """Where a redirect leads, with the user of ``url`` at the same server only. Raises PeerRejected."""
    location = response.value(b"location")
    try:
        target = MediaUrl.parse(urljoin(url.reveal(), location))
    except ValueError:
        raise PeerRejected(Code.PEER_REDIRECTS_NOWHERE, url=url.redacted) from None
    if target.scheme not in WEB_SCHEMES or not location:
        raise PeerRejected(Code.PEER_REDIRECTS_OFF_WEB, url=url.redacted)
    if target.username is None and target.origin == url.origin:
        return replace(target, username=url.username, password=url.password)
    return target
