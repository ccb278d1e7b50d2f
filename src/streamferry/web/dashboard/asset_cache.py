"""AssetCache: an ASGI layer that keeps the page framework's scripts and styles in memory, compressed once.

The framework reads and compresses each of them on every request; for the twenty of a first visit that takes longer
than the page itself. They do not change while the process lives, and their paths contain the framework's version.
"""

from nicegui import __version__ as nicegui_version
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamferry.web.dashboard.session_gate import BASE

_KEPT = f"{BASE}/_nicegui/{nicegui_version}/"
#: Assets that are made for a single open page.
_NOT_KEPT = f"{_KEPT}dynamic_resources/"
#: All that the pages use takes 2 MB.
_MAX_BYTES = 16_000_000


class AssetCache:
    """See the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: dict[tuple[str, str], list[Message]] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or pass on and cache the response."""
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        if key in self._answers:
            for message in self._answers[key]:
                await send(_copy(message))
            return
        came: list[Message] = []

        async def note(message: Message) -> None:
            came.append(_copy(message))
            await send(message)

        await self._app(scope, receive, note)
        self._keep(key, came)

    def _keep(self, key: tuple[str, str], came: list[Message]) -> None:
        size = sum(len(message.get("body", b"")) for message in came)
        kinds = {message["type"] for message in came}
        is_whole = bool(came) and came[0].get("status") == 200 and not came[-1].get("more_body", False)
        if is_whole and kinds == {"http.response.start", "http.response.body"} and self._bytes + size <= _MAX_BYTES:
            self._answers[key] = came
            self._bytes += size


def _key(scope: Scope) -> tuple[str, str] | None:
    """What a response depends on; None for one that is not cached."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path: str = scope["path"]
    headers = Headers(scope=scope)
    if not path.startswith(_KEPT) or path.startswith(_NOT_KEPT) or "range" in headers or "if-none-match" in headers:
        return None
    return path, "gzip" if "gzip" in headers.get("accept-encoding", "") else ""


def _copy(message: Message) -> Message:
    """Layers around this one add headers to what they are given."""
    return {**message, "headers": list(message["headers"])} if "headers" in message else dict(message)
