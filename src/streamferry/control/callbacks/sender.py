"""Sender: posts one callback and reports in a sentence what went wrong. It tries once, and does not know the store.

The address is a user's, so it is dialled under the egress policy: the name is resolved here, the policy checks the very
address that is then connected to, and redirects are not followed. A receiver can waste neither time nor memory: one
deadline covers everything, and no more of its answer is read than is needed to end the connection cleanly.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

import httpx

from streamferry.media.errors import PeerUnreachable, own_lack
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines, resolve
from streamferry.net.retry_after import retry_after_s
from streamferry.reasons import Code, Reason

#: A receiver gets this long, from resolving its name to the end of its answer. The convention asks for 15 to 30 s;
#: less keeps a dead one from taking up a place for long, and a callback that a slow one missed is sent again.
SEND_S = 10.0
#: No more than this is read of an answer's body.
_MAX_ANSWER_BYTES = 16 << 10
#: Answers after which a callback is given up, by how likely another one is: a receiver that understood the request and
#: refuses it, or is somewhere else; and one that fails over this very callback, perhaps. With the pauses between
#: attempts that is after about half a minute, and ten: as long as the cloud tries.
REFUSALS, FAILURES = 4, 8
#: The receiver, or a proxy in front of it, is too busy now: that says nothing about the callback.
_BUSY = frozenset((408, 425, 429, 502, 503, 504))
#: Retry-After is obeyed up to this long.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a callback was not taken.

    ``refusals``: it is given up after that many such answers; None: keep trying. ``is_gone``: the address wants no
    more callbacks. ``wait_s``: wait at least this long.
    """

    problem: Reason
    refusals: int | None = None
    is_gone: bool = False
    wait_s: float = 0.0


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

    async def send(self, url: MediaUrl, headers: Mapping[str, str], body: bytes) -> Failure | None:
        """None if the receiver accepted it (any 2xx), else what went wrong, without path and query of the address."""
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
                return judge(url, response.status_code, response.headers.get("retry-after", ""), datetime.now(UTC))
        except TimeoutError:
            return Failure(Reason.of(Code.CALLBACK_TIMED_OUT, peer=url.authority, seconds=self._send_s))
        except PeerUnreachable as error:
            return Failure(error.why)
        except httpx.InvalidURL:
            return Failure(Reason.of(Code.CALLBACK_BAD_ADDRESS))
        except (httpx.HTTPError, OSError) as error:
            return Failure(_explain(url, error))


def judge(url: MediaUrl, status: int, retry_after: str, now: datetime) -> Failure | None:
    """What an answer means, by its status and its header Retry-After. RFC 9110, sections 10.2.3 and 15."""
    if 200 <= status < 300:
        return None
    answered = Reason.of(Code.CALLBACK_ANSWERED, peer=url.authority, status=status)
    wait_s = retry_after_s(retry_after, LONGEST_WAIT_S, now=now)
    if status == 410:
        return Failure(Reason.of(Code.CALLBACK_GONE, peer=url.authority, status=status), is_gone=True)
    if status in _BUSY:
        return Failure(answered, wait_s=wait_s)
    if 300 <= status < 400:
        redirected = Reason.of(Code.CALLBACK_REDIRECTED, peer=url.authority, status=status)
        return Failure(redirected, REFUSALS, wait_s=wait_s)
    return Failure(answered, REFUSALS if 400 <= status < 500 else FAILURES, wait_s=wait_s)


def _explain(url: MediaUrl, error: BaseException) -> Reason:
    """The reason, without httpx's own message, which may contain the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Reason.of(Code.CALLBACK_CERTIFICATE_REFUSED, peer=url.authority, words=cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            return Reason.of(Code.CALLBACK_TLS_FAILED, peer=url.authority)
        cause = cause.__cause__ or cause.__context__
    if (lack := own_lack(error)) is not None:
        return Reason.of(Code.CALLBACK_UNREACHABLE_BECAUSE, peer=url.authority, why=lack)
    if isinstance(error, httpx.ConnectError):
        return Reason.of(Code.CALLBACK_UNREACHABLE, peer=url.authority)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return Reason.of(Code.CALLBACK_CLOSED, peer=url.authority)
    return Reason.of(Code.CALLBACK_NOT_POSTED, peer=url.authority, words=type(error).__name__)


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """Connects to addresses that the policy allows, with the name in the Host header and in TLS."""

    def __init__(self, tls: ssl.SSLContext, allow: AllowAddress | None) -> None:
        # No connection is kept: it would be reused by IP address, which may belong to another name as well.
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
