"""Sender: posts one callback and says in a sentence what went wrong. It tries once, and knows nothing of the store.

The address is a user's, so it is dialled under the egress policy: the name is resolved here, the policy is asked about
the very address that is then connected to, and redirects are not followed. A receiver can waste neither time nor
memory: there is one deadline over everything, and no more of its answer is read than a connection needs to end well.
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType

import httpx

from streamferry.media.errors import PeerUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines, resolve

#: A receiver gets this long, from resolving its name to the end of its answer. The convention asks for 15 to 30 s;
#: less keeps a dead one from taking up a place for long, and what a slow one missed is sent again.
SEND_S = 10.0
#: Of an answer's body no more is read.
_MAX_ANSWER_BYTES = 16 << 10


class Sender:
    """Async context manager. ``allow``: the egress policy, None allows all."""

    def __init__(self, *, tls: ssl.SSLContext, allow: AllowAddress | None, send_s: float = SEND_S) -> None:
        self._send_s = send_s
        self._client = httpx.AsyncClient(
            transport=_GuardedTransport(tls, allow),
            # There is one deadline over all of it, in ``send``.
            timeout=None,
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def send(self, url: MediaUrl, headers: Mapping[str, str], body: bytes) -> str | None:
        """None when the receiver took it (any 2xx), else what went wrong, without path and query of the address."""
        try:
            async with (
                asyncio.timeout(self._send_s),
                self._client.stream("POST", url.reveal(), headers=headers, content=body) as response,
            ):
                size_bytes = 0
                async for piece in response.aiter_raw():
                    size_bytes += len(piece)
                    if size_bytes >= _MAX_ANSWER_BYTES:
                        break
                return _judge(url, response.status_code)
        except TimeoutError:
            return f"{url.authority} did not answer within {self._send_s:g} s"
        except PeerUnreachable as error:
            return str(error)
        except httpx.InvalidURL:
            return "the address cannot be used"
        except (httpx.HTTPError, OSError) as error:
            return _explain(url, error)


def _judge(url: MediaUrl, status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"{url.authority} answered {status}, and redirects are not followed"
    return f"{url.authority} answered {status}"


def _explain(url: MediaUrl, error: BaseException) -> str:
    """httpx's own words may hold the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate of {url.authority} refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS with {url.authority} failed"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return f"{url.authority} cannot be connected to"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return f"{url.authority} closed the connection without an answer"
    return f"{url.authority} cannot be posted to ({type(error).__name__})"


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """Connects to addresses that the policy allows, and says the name in the Host header and in TLS."""

    def __init__(self, tls: ssl.SSLContext, allow: AllowAddress | None) -> None:
        # No connection is kept: it would be found again by its IP address, where another name may live.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        super().__init__(verify=tls, trust_env=False, limits=limits)
        self._allow = allow

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Try the addresses of the name in turn, until one can be connected to. Raises PeerUnreachable."""
        name, url = request.url.host, request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await resolve(name, port, deadlines=Deadlines(), allow=self._allow)
        request.extensions = {**request.extensions, "sni_hostname": name}
        for left, (_, address) in reversed(list(enumerate(reversed(addresses)))):
            request.url = url.copy_with(host=str(address[0]))
            try:
                return await super().handle_async_request(request)
            except httpx.ConnectError:
                if not left:
                    raise
        raise AssertionError("resolve gives one address at least")
