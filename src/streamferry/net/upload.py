"""PUT and DELETE of small bodies over HTTP(S): one connection each, and no redirects.

Specification: RFC 9110, 9.3.4 (PUT) and 9.3.5 (DELETE).
"""

from typing import Unpack

from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, dial_url, step
from streamferry.net.http import exchange_heads, rejection
from streamferry.reasons import Code, Reason


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
    connection = await dial_url(url, **network)
    try:
        async with step(
            Reason.of(Code.STEP_UPLOAD, method=method, peer=connection.peer), network["deadlines"].response
        ):
            told = network.get("options", NO_OPTIONS).headers_for(url, url)
            fields = {"user-agent": "streamferry", "connection": "close"} | told | fields
            response, _ = await exchange_heads(connection, url, fields, method=method, body=body)
    except BaseException:
        connection.reset()  # Data still waiting in the kernel is of no use any more.
        raise
    connection.close()
    if not 200 <= response.status_code < 300:
        raise rejection(url, response)
