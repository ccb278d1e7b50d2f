"""MediaUrl: an address with its secrets, and the form of it that may be shown.

The secrets in a media address: user info, the query, for RTMP the stream key (the last path segment), and for all
others the path except what cannot be secret (``redaction``). ``str``, ``repr`` and f-strings give the redacted form;
the real one has to be asked for by name.
"""

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from streamferry.media.platforms import platform_of
from streamferry.media.redaction import REDACTED, mark_of, redact_path
from streamferry.reasons import Code, InvalidValue

_DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443, "http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
# A bucket has no port.
_DEFAULT_PORTS["s3"] = 0
# Of proxies.
_DEFAULT_PORTS |= {"socks5": 1080, "socks5h": 1080}
# A listener has no host: srt://:9000?mode=listener, udp://:1234.
_HOSTLESS_SCHEMES = frozenset(("srt", "udp"))
_RTMP_SCHEMES = frozenset(("rtmp", "rtmps"))
# What follows the host is one text, of which nothing is escaped: a stream name, the key of an object.
_LITERAL_SCHEMES = _RTMP_SCHEMES | {"s3"}
# What stands before the names of files that a Flash Media Server plays.
_STORED_STREAM = re.compile("/(?=(?:mp4|f4v|flv|mp3):)")
# So Python represents bytes of an argument that are not UTF-8; neither JSON nor a peer can take them.
_undecoded = re.compile("[\ud800-\udfff]").search
_invisible, _invisible_but_spaces = re.compile("[\0- \x7f]").search, re.compile("[\0-\x1f\x7f]").search


__all__ = ["REDACTED", "MediaUrl", "readable"]


def readable(address: str) -> str:
    """An address with its names unescaped; invisible characters are marked. For display only."""
    return "".join(one if one.isprintable() else "\ufffd" for one in unquote(address))


@dataclass(frozen=True, slots=True)
class MediaUrl:
    """An absolute media address. Build it with :meth:`parse`."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = field(repr=False)
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    #: Server and stream key as they were given apart, if they were; all else is of the two joined.
    apart: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def of_server(cls, server: str, key: str) -> "MediaUrl":
        """An RTMP address of the two fields that platforms show. A slash at the end of the server and all of the key
        are sent as they stand, but for white space around them: as OBS does. The key may be empty.

        Raises ValueError as ``parse`` does.
        """
        server, key = server.strip(), key.strip()
        if server.partition("://")[0].lower() not in _RTMP_SCHEMES:
            raise InvalidValue(Code.ADDRESS_SERVER_SCHEME)
        cls.parse(server)
        return replace(cls.parse(server + ("" if server.endswith("/") or not key else "/") + key), apart=(server, key))

    @classmethod
    def parse(cls, text: str) -> "MediaUrl":
        """Parse ``scheme://[user:password@]host[:port]/path[?query]``, a ``file:`` address or a plain local path.

        Raises ValueError with a sentence that does not repeat the address, because it may hold a key.
        """
        if _undecoded(text):
            raise InvalidValue(Code.ADDRESS_NOT_UTF8)
        if "://" not in text:
            local = text.removeprefix("file:")
            if not local:
                raise InvalidValue(Code.ADDRESS_EMPTY)
            return cls("file", "", 0, str(Path(local).absolute()), "", None, None)
        text = text.strip(" ")
        # Names of some may have spaces, and encoders send them as they are.
        is_literal = text.partition("://")[0].lower() in _LITERAL_SCHEMES
        if (_invisible_but_spaces if is_literal else _invisible)(text):
            raise InvalidValue(Code.ADDRESS_UNPRINTABLE)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise InvalidValue(Code.ADDRESS_MALFORMED) from None
        scheme = parts.scheme.lower()
        if scheme == "file":
            return cls("file", "", 0, unquote(parts.path), "", None, None)
        if not parts.hostname and scheme not in _HOSTLESS_SCHEMES:
            raise InvalidValue(Code.ADDRESS_NO_HOST)
        if scheme == "s3":
            # All that follows the bucket is the key, as AWS's tools read it.
            key = text.partition("://")[2].partition("/")[2]
            parts = parts._replace(path=f"/{key}", query="", fragment="")
        return cls._from_parts(scheme, parts, port)

    @classmethod
    def _from_parts(cls, scheme: str, parts: SplitResult, port: int | None) -> "MediaUrl":
        path, query = parts.path, parts.query
        if scheme == "srt" and parts.fragment:
            # Stream ids of SRT's access control begin with "#!::", and users paste them unescaped.
            query += f"%23{parts.fragment}"
        elif scheme in _RTMP_SCHEMES and parts.fragment:
            # RTMP has no fragments: a "#" belongs to the key.
            path, query = (path, f"{query}#{parts.fragment}") if query else (f"{path}#{parts.fragment}", query)
        return cls(
            scheme=scheme,
            host=parts.hostname or "",
            port=port if port is not None else _DEFAULT_PORTS.get(scheme, 0),
            path=path,
            query=query,
            username=parts.username,
            password=parts.password,
        )

    @property
    def is_rtmp(self) -> bool:
        """True for rtmp and rtmps."""
        return self.scheme in _RTMP_SCHEMES

    @property
    def uses_tls(self) -> bool:
        """True for rtmps, https and rtsps."""
        return self.scheme in ("rtmps", "https", "rtsps")

    @property
    def origin(self) -> tuple[str, str, int]:
        """What decides whether two addresses belong to the same server (RFC 6454, 4)."""
        return self.scheme, self.host.lower(), self.port

    @property
    def authority(self) -> str:
        """``host[:port]`` as a URL and a Host header write it: IPv6 in brackets, the default port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def app_and_key(self) -> tuple[str, str]:
        """RTMP application and stream key, the query belonging to the key as encoders send it.

        The key is the last path segment and the application everything before it; ``mp4:`` and its like begin a key of
        several (Flash Media Server: ``/vod/mp4:folder/film.mp4``), as ffmpeg reads it. The key may be a query alone
        (Bilibili: ``/live-bvc/?streamname=...``), and the application may hold the query (``/app?vhost=x/key``), both
        read as ffmpeg and OBS read them. Two slashes after the host say that there is no application. Raises ValueError
        if either is missing, with the form that the platform wants if it is a known one.
        """
        if self.apart is not None:
            return _app_of(self.apart[0]), self.apart[1]
        path = self.path.lstrip("/")
        if "/" not in path and "/" in self.query:
            query, _, key = self.query.rpartition("/")
            if path and key:
                return f"{path}?{query}", key
        found = _STORED_STREAM.search(path)
        app, key = (path[: found.start()], path[found.end() :]) if found else path.rpartition("/")[::2]
        if app and self.query and not key:
            return app, f"?{self.query}"
        if not key or (not app and not self.path.startswith("//")):
            if platform := platform_of(self.host):
                raise InvalidValue(Code.ADDRESS_OF_PLATFORM, platform=platform.name, form=platform.form)
            raise InvalidValue(Code.ADDRESS_RTMP_PARTS)
        return app, f"{key}?{self.query}" if self.query else key

    @property
    def tc_url(self) -> str:
        """The ``tcUrl`` of the RTMP connect command: the address up to the application; a server that was given apart
        as it was given, as OBS sends it."""
        if self.apart is not None:
            server = self.apart[0]
            if self.username is not None:
                authority, slash, rest = server.partition("://")[2].partition("/")
                server = f"{self.scheme}://{authority.rpartition('@')[2]}{slash}{rest}"
            return server.removesuffix("/") if _app_of(server) else server
        return f"{self.scheme}://{self.authority}/{self.app_and_key[0]}"

    @property
    def target(self) -> str:
        """Request target of an HTTP GET: path and query."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    def reveal(self) -> str:
        """The whole address with its secrets: only for a peer, never for a log, an error or a command line."""
        if self.scheme == "file":
            return "file://" + quote(self.path)
        userinfo = ""
        if self.username is not None:
            userinfo = self.username + (f":{self.password}" if self.password is not None else "") + "@"
        return f"{self.scheme}://{userinfo}{self.authority}{self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def canonical(self) -> str:
        """One text for all spellings of the same address, with its secrets: for comparison, never to be shown.

        Case, a final dot and a default port of the host, user info, empty path segments and needless percent signs do
        not count (RFC 3986, section 6.2); the query does, it may hold the key.
        """
        host = self.host.lower().rstrip(".")
        with contextlib.suppress(ValueError):
            host = str(ipaddress.ip_address(host))
        path = re.sub("/{2,}", "/", _decode_needless(self.path))
        plain = replace(self, host=host, path=path, query=_decode_needless(self.query), username=None, password=None)
        return plain.reveal()

    @property
    def redacted(self) -> str:
        """The address as it may be shown, see ``redaction``; hidden parts carry a mark if its key is known."""
        shown, _ = self._redact()
        return shown.replace(REDACTED, REDACTED + mark_of(self.reveal()), 1) if REDACTED in shown else shown

    @property
    def shown(self) -> str:
        """The address as front ends show it: a local file as it was given, all else redacted."""
        return self.reveal() if self.scheme == "file" else self.redacted

    def is_shown_as(self, text: str) -> bool:
        """Whether this is how it is shown: with its mark, or without one, as an older version or a child shows it."""
        return text == self.redacted or text == self._redact()[0]

    @property
    def secrets(self) -> list[str]:
        """What ``redacted`` hides, longest first: to be removed from the messages of peers and programs."""
        _, hidden = self._redact()
        values = [part.partition("=")[2] for part in self.query.split("&")]
        found = {*hidden, *(self.apart or ())[1:], self.query, self.username or "", self.password or "", *values}
        found |= {unquote(secret) for secret in found}
        return sorted(filter(None, found), key=len, reverse=True)

    def _redact(self) -> tuple[str, list[str]]:
        """The redacted address without a mark, and the hidden parts of its path."""
        if self.scheme == "file":
            return self.path, []
        hidden: list[str] = []
        path = self.path
        if not self.is_rtmp:
            path, hidden = redact_path(path)
        elif parts := [part for part in path.split("/") if part]:
            # Only the server knows where the application ends and the key begins. The first segment is the application
            # if something follows it, be it in the query, see ``app_and_key``.
            has_app = len(parts) > 1 or "/" in self.query or (path.endswith("/") and self.query != "")
            hidden = parts[1:] if has_app else parts
            shown = [*parts[: len(parts) - len(hidden)], *([REDACTED] if hidden else ())]
            path = "/" + "/".join(shown) + ("/" if not hidden and path.endswith("/") else "")
        query = "?" + REDACTED if self.query else ""
        userinfo = REDACTED + "@" if self.username is not None else ""
        return f"{self.scheme}://{userinfo}{self.authority}{path}{query}", hidden

    def __str__(self) -> str:
        return self.redacted

    def __repr__(self) -> str:
        return f"MediaUrl({self.redacted!r})"


def _app_of(server: str) -> str:
    """All that follows the host, query included, without one slash at its end."""
    return server.partition("://")[2].partition("/")[2].removesuffix("/")


def _decode_needless(text: str) -> str:
    """Unescape what needs no percent-encoding (RFC 3986, section 2.3); the rest in upper case."""

    def decode(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character.isascii() and (character.isalnum() or character in "-._~") else found[0].upper()

    return re.sub("%([0-9A-Fa-f]{2})", decode, text)
