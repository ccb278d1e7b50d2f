"""PUT and DELETE of small bodies over HTTP(S), one connection each. 307 and 308 are followed with the same body: other
redirects ask for another method.

Specification: RFC 9110, 9.3.4 (PUT), 9.3.5 (DELETE), 15.4.8 and 15.4.9 (redirects that keep the method).
"""

from typing import Unpack

from streamferry.media.errors import PeerForbidden, PeerRejected
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, dial_url, step
from streamferry.net.http import MAX_REDIRECTS, exchange_heads, redirect_target, rejection
from streamferry.net.http_heads import ResponseHead
from streamferry.reasons import Code, Reason

_REDIRECTS = frozenset((307, 308))


async def upload(
    url: MediaUrl,
    body: bytes,
    content_type: str,
    **network: Unpack[DialOptions],
) -> None:
    """PUT ``body``; returns when the server has confirmed it.

    The deadline for the response includes sending. Raises PeerUnreachable, PeerRejected (any status but 2xx) and
    RemoteProtocolError.
    """
    fields = {"content-type": content_type, "content-length": str(len(body))}
    await _request("PUT", url, body, fields, network)


async def remove(url: MediaUrl, **network: Unpack[DialOptions]) -> None:
    """DELETE. Raises the same errors as ``upload``."""
    await _request("DELETE", url, b"", {}, network)


async def _request(
    method: str,
    url: MediaUrl,
    body: bytes,
    fields: dict[str, str],
    network: DialOptions,
) -> None:
    target = url
    for _ in range(MAX_REDIRECTS + 1):
        try:
            response = await _ask(method, target, url, body, fields, network)
        except PeerForbidden as error:
            if target is url:
                raise
            # The server may lead elsewhere next time; of an address of the task it would be final.
            raise PeerRejected(Code.PEER_REDIRECT_FORBIDDEN, peer=url.authority, host=target.host) from error
        if response.status not in _REDIRECTS:
            if not 200 <= response.status < 300:
                raise rejection(target, response)
            return
        before, target = target, redirect_target(target, response)
        if before.uses_tls and not target.uses_tls:
            raise PeerRejected(Code.PEER_REDIRECTS_TO_HTTP, url=before.redacted)
    raise PeerRejected(Code.PEER_REDIRECTS_TOO_OFTEN, url=target.redacted, count=MAX_REDIRECTS)


async def _ask(
    method: str, url: MediaUrl, given_for: MediaUrl, body: bytes, fields: dict[str, str], network: DialOptions
) -> ResponseHead:
    connection = await dial_url(url, **network)
    try:
        async with step(
            Reason.of(Code.STEP_UPLOAD, method=method, peer=connection.peer), network["deadlines"].response
        ):
            told = network.get("options", NO_OPTIONS).headers_for(url, given_for)
            fields = {"user-agent": "streamferry", "connection": "close"} | told | fields
            response, _ = await exchange_heads(connection, url, fields, method=method, body=body)
    except BaseException:
        connection.reset()  # Data still waiting in the kernel is of no use any more.
        raise
    connection.close()
    return response
