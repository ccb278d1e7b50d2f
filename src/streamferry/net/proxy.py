"""The way to a peer through a proxy: asks it for a connection over a socket to it (``wire.proxy``).

Not here: our own proxies on loopback, which hold ffmpeg and httpx to the egress policy (``egress_proxy``).
"""

import asyncio
import socket
from urllib.parse import unquote

from streamferry.media.errors import PeerRejected, PeerUnreachable
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code
from streamferry.wire.proxy import HEAD_END, MAX_HEAD_BYTES, NotAProxy, ProxyRefused, ask_connect, ask_socks5


async def ask_proxy(sock: socket.socket, proxy: MediaUrl, host: str, port: int) -> None:
    """Have the proxy that ``sock`` is connected to connect to ``host:port``; afterwards the socket leads there.

    Raises PeerRejected and PeerUnreachable, which name the proxy, and OSError.
    """
    credentials = None
    if proxy.username is not None:
        credentials = unquote(proxy.username), unquote(proxy.password or "")
    asking = (ask_connect if proxy.scheme == "http" else ask_socks5)(host, port, credentials)
    named = proxy.authority
    try:
        data, wanted = next(asking)
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, data)
            data, wanted = asking.send(await _read(sock, wanted, named))
    except StopIteration:
        return
    except ProxyRefused as error:
        code = Code.PEER_PROXY_CREDENTIALS if error.wants_credentials else Code.PEER_PROXY_REFUSED
        raise PeerRejected(code, proxy=named, words=error.words) from None
    except NotAProxy:
        kind = "HTTP" if proxy.scheme == "http" else "SOCKS5"
        raise PeerRejected(Code.PEER_PROXY_SPEAKS_OTHERWISE, proxy=named, kind=kind) from None


async def _read(sock: socket.socket, wanted: int | bytes, named: str) -> bytes:
    """So many bytes, or up to a mark; never more, because what follows is the peer's."""
    loop, data = asyncio.get_running_loop(), b""
    limit = wanted if isinstance(wanted, int) else MAX_HEAD_BYTES
    while len(data) < limit and not (isinstance(wanted, bytes) and data.endswith(HEAD_END)):
        # The end of a head is not known before it has come: that takes some hundred calls, once a connection.
        more = await loop.sock_recv(sock, limit - len(data) if isinstance(wanted, int) else 1)
        if not more:
            raise PeerUnreachable(Code.PEER_PROXY_CLOSED, proxy=named)
        data += more
    return data
