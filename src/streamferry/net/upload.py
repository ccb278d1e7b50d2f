"""PUT and DELETE of small bodies over HTTP(S): one connection each, and no redirects.

Specification: RFC 9110, 9.3.4 (PUT) and 9.3.5 (DELETE).
"""

import ssl

from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines, client_context, dial, step
from streamferry.net.http import exchange_heads, rejection


async def upload(
    url: MediaUrl,
    body: bytes,
    content_type: str,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
) -> None:
    """PUT ``body``; done when the server has answered that it took it.

    The deadline of a response is for sending, too. Raises PeerUnreachable, PeerRejected (any status but 2xx) and
    RemoteProtocolError.
    """
    fields = {"content-type": content_type, "content-length": str(len(body))}
    await _request("PUT", url, body, fields, deadlines, tls, allow)


async def remove(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
) -> None:
    """DELETE. Raises as ``upload``."""
    await _request("DELETE", url, b"", {}, deadlines, tls, allow)


async def _request(
    method: str,
    url: MediaUrl,
    body: bytes,
    fields: dict[str, str],
    deadlines: Deadlines,
    tls: ssl.SSLContext | None,
    allow: AllowAddress | None,
) -> None:
    secured = (tls or client_context()) if url.uses_tls else None
    connection = await dial(url.host, url.port, tls=secured, deadlines=deadlines, allow=allow)
    try:
        async with step(f"{method} to {connection.peer}", deadlines.response):
            fields = {"user-agent": "streamferry", "connection": "close"} | fields
            response, _ = await exchange_heads(connection, url, fields, method=method, body=body)
    except BaseException:
        connection.reset()  # What waits in the kernel is no use to anybody any more.
        raise
    connection.close()
    if not 200 <= response.status_code < 300:
        raise rejection(url, response.status_code)
