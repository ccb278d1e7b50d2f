"""Place: the application at a server that a session connects to, and where a redirect leads from there. Pure.

A server redirects by refusing ``connect`` with ``ex: {code: 302, redirect: "rtmp://other:1935/app"}``, as Flash Media
Server and load balancers after it do. No specification is public; librtmp, ffmpeg and servers agree on this form. The
redirect names an application, never a stream: the stream key stays ours. Some servers append the key nevertheless.
"""

from dataclasses import dataclass, field
from urllib.parse import urljoin

from streamferry.media.url import MediaUrl
from streamferry.wire.amf0 import Amf0Value

_FOUND = 302
# ``urljoin`` knows relative addresses of the web only.
_AS_ON_WEB = {"rtmp": "http", "rtmps": "https"}


@dataclass(frozen=True, slots=True)
class Place:
    """``server`` is where to connect to; nothing but its scheme, host and port counts."""

    server: MediaUrl
    app: str = field(repr=False)

    @classmethod
    def of(cls, url: MediaUrl) -> "Place":
        """Where an address points. Raises ValueError if it has no application or key."""
        return cls(url, url.app_and_key[0])

    @property
    def tc_url(self) -> str:
        """The ``tcUrl`` of the connect command."""
        return f"{self.server.scheme}://{self.server.authority}/{self.app}"

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """Equal for the same application at the same server."""
        return self.server.scheme, self.server.host.lower(), self.server.port, self.app

    def follow(self, redirect: str, key: str) -> "Place | None":
        """Where a redirect from here leads a stream with that key; None if that is no place of RTMP.

        It may be relative. A user and password in it are left out: ours are for it to ask.
        """
        text = redirect.strip()
        try:
            if "://" not in text:
                base = f"{_AS_ON_WEB[self.server.scheme]}://{self.server.authority}/{self.app}"
                joined = urljoin(base, text)
                text = self.server.scheme + joined[joined.find("://") :]
            server = MediaUrl.parse(text)
        except ValueError:
            return None
        if not server.is_rtmp or not server.host.isprintable():
            return None
        path = server.path.strip("/")
        name, _, query = key.partition("?")
        if name and path.endswith(f"/{name}"):
            path = path[: -len(name) - 1].strip("/")
            if server.query == query:
                return Place(server, path)
        app = path + (f"?{server.query}" if server.query else "")
        return Place(server, app if path else self.app)


def redirect_of(status: dict[str, Amf0Value]) -> str | None:
    """Where a refusal of ``connect`` redirects to, if it is a redirect."""
    extra = status.get("ex")
    if not isinstance(extra, dict):
        return None
    code, redirect = extra.get("code"), extra.get("redirect")
    is_found = code == _FOUND or (isinstance(code, str) and code.strip() == str(_FOUND))
    return redirect if is_found and isinstance(redirect, str) and redirect.strip() else None
