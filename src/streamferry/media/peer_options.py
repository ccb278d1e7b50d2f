"""PeerOptions: how the peers of one end of a task are reached, what they are told, and how what they send or get is
treated: proxy, local address, headers of HTTP requests, parameters of RTMP's connect command, drift, which of live HLS
is played, rotation. Pure.

Most of it is secret or may be. ``shown`` is the form for people; ``to_json`` reveals, for the store and for what is
sealed or inherited, never for a log or a command line.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, fields
from enum import Enum
from ipaddress import ip_address
from typing import Any

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code, InvalidPart, InvalidValue

#: Those that are texts for RTMP's connect.
CONNECT_PARAMETERS = ("flash_ver", "tc_url", "swf_url", "page_url")
PROXY_SCHEMES = ("http", "socks5", "socks5h")
#: Schemes that no proxy and no local address are for: they are not TCP.
DATAGRAMS = frozenset(("srt", "udp"))
MAX_HEADERS = 32
#: Platforms begin a broadcast with each session; no task is longer than a week.
MIN_ROTATE_S, MAX_ROTATE_S = 60, 7 * 24 * 3600
#: A playlist that lists fewer is begun with its first segment.
MAX_SEGMENTS_BEHIND, MAX_KBPS = 100, 1_000_000
MAX_VALUE_CHARS = 4096
#: Headers that say who asks and from where: they are passed on to other hosts. All others are for the host alone that
#: they were given for, whatever they are named.
PASSED_ON = frozenset(("user-agent", "referer", "accept", "accept-language", "origin"))
# Headers that a request is made of, and those of a single connection (RFC 9110, 7.6.1): ours to set.
_OURS = frozenset(
    (
        *("host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade"),
        *("keep-alive", "expect", "range", "accept-encoding", "if-range", "if-match", "if-none-match"),
        *("if-modified-since", "if-unmodified-since"),
    )
)
# RFC 9110, 5.1 and 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~](?:[ -~\t]*[!-~])?")
# SOCKS5 counts user and password in a byte each (RFC 1929, 2).
_MAX_CREDENTIAL_BYTES = 255
# Up to the last ``@``: a password may hold some.
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
# A zone of an IPv6 address (RFC 4007, 11.2), as interfaces are named.
_ZONE = re.compile(r"(?:%[0-9A-Za-z._-]{1,32})?")


class End(Enum):
    """Whose peers they are."""

    LIVE = "live"
    FILES = "files"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """``proxy``: http://, socks5:// (this machine resolves names) or socks5h:// (the proxy does). ``bind``: the address
    of this machine to connect from. ``headers``: names as given, with their values. ``flash_ver`` and what follows:
    parameters of RTMP's connect, instead of ours; empty for ours. ``keep_drift``: sound of a live source stays as it is
    stamped, though its clock drifts. ``segments_behind``: a session of live HLS begins with so many of the segments
    that are listed, the latest; 0: with three. ``max_kbps``: of its variants the best is played whose bandwidth is no
    higher, else the lowest; 0: the best. ``rotate_s``: a publish session ends after so long, and the next begins where
    it ended; 0: it does not. ``overlap``: the destination takes a second publisher of a stream, so that a
    worker that is drained publishes until the next one does. Raises InvalidPart.
    """

    proxy: MediaUrl | None = None
    bind: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    flash_ver: str = ""
    tc_url: str = field(default="", repr=False)
    swf_url: str = field(default="", repr=False)
    page_url: str = field(default="", repr=False)
    keep_drift: bool = False
    segments_behind: int = 0
    max_kbps: int = 0
    rotate_s: int = 0
    overlap: bool = False

    def __post_init__(self) -> None:
        if self.proxy is not None:
            _check_proxy(self.proxy)
        if self.bind:
            try:
                ip_address(str(self.bind))
                if not _ZONE.fullmatch(self.bind[self.bind.find("%") :] if "%" in self.bind else ""):
                    raise ValueError
            except ValueError:
                raise InvalidPart("bind", Code.FIELD_BIND) from None
        if self.rotate_s and not MIN_ROTATE_S <= self.rotate_s <= MAX_ROTATE_S:
            raise InvalidPart("rotate_s", Code.FIELD_ROTATE, least=MIN_ROTATE_S, most=MAX_ROTATE_S)
        for name, most in (("segments_behind", MAX_SEGMENTS_BEHIND), ("max_kbps", MAX_KBPS)):
            if not 0 <= getattr(self, name) <= most:
                raise InvalidPart(name, Code.FIELD_BETWEEN, least=0, most=most)
        _check_headers(self.headers)
        for name in CONNECT_PARAMETERS:
            text = getattr(self, name)
            if len(text) > MAX_VALUE_CHARS:
                raise InvalidPart(name, Code.FIELD_TOO_LONG, count=MAX_VALUE_CHARS)
            if not text.isprintable():
                raise InvalidPart(name, Code.FIELD_CONTROL_CHARACTERS)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "PeerOptions":
        """The options again. Raises ValueError, KeyError and TypeError for anything else."""
        proxy = told.get("proxy")
        headers = tuple((name, value) for name, value in told.get("headers", {}).items())
        return cls(**{**told, "proxy": proxy and read_proxy(proxy), "headers": headers})

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, secrets revealed."""
        return self._told(lambda url: url.reveal(), lambda _, value: value, lambda text: text)

    def shown(self) -> dict[str, Any]:
        """The same as it may be shown: without values of headers but User-Agent, and what is secret of an address."""
        return self._told(lambda url: url.redacted, _shown_header, shown_text)

    def _told(
        self, proxy: Callable[[MediaUrl], str], header: Callable[[str, str], str], text: Callable[[str], str]
    ) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.proxy is not None:
            told["proxy"] = proxy(self.proxy)
        if self.bind:
            told["bind"] = self.bind
        if self.headers:
            told["headers"] = {name: header(name, value) for name, value in self.headers}
        told |= {name: text(getattr(self, name)) for name in CONNECT_PARAMETERS if getattr(self, name)}
        return told | {name: getattr(self, name) for name in _OF_ONE_END if getattr(self, name)}

    def headers_for(self, url: MediaUrl, given_for: MediaUrl) -> dict[str, str]:
        """Headers by their lower-case names for a request to ``url``: what is for ``given_for`` alone only there."""
        everything = url.origin == given_for.origin
        return {name.lower(): value for name, value in self.headers if everything or name.lower() in PASSED_ON}

    @property
    def way(self) -> "PeerOptions":
        """Only by which way peers are reached."""
        return PeerOptions(self.proxy, self.bind)

    @property
    def secrets(self) -> list[str]:
        """What ``shown`` hides, to be removed from the messages of peers."""
        found: list[str] = []
        for name, value in self.headers:
            if name.lower() != "user-agent":
                # Also what follows the scheme of Authorization, and the values of cookies.
                found += (value, value.partition(" ")[2], *(one.partition("=")[2] for one in value.split(";")))
        for name in CONNECT_PARAMETERS:
            text = getattr(self, name)
            query = text.partition("?")[2]
            found += (query, *(one.partition("=")[2] for one in query.split("&")))
            if (user := _USER_INFO.search(text)) is not None:
                found += user[0].removesuffix("@").partition(":")
        found += self.proxy.secrets if self.proxy is not None else ()
        return [one.strip() for one in found if len(one.strip()) > 3]


def usable_options(end: End, schemes: Set[str]) -> frozenset[str]:
    """Names of the options that have an effect on addresses of these schemes."""
    usable: set[str] = {"keep_drift"} if end is End.LIVE else {"rotate_s"} if end is End.DESTINATION else set()
    if end is End.DESTINATION and schemes - {"http", "https"}:
        # Two who put the segments of one playlist would overwrite each other's.
        usable.add("overlap")
    if schemes - {"file"} and not schemes & DATAGRAMS:
        usable |= {"proxy", "bind"}
    if schemes & {"http", "https"}:
        usable |= {"headers", "segments_behind", "max_kbps"} if end is End.LIVE else {"headers"}
    if schemes & {"rtmp", "rtmps"}:
        usable.update(CONNECT_PARAMETERS)
    return frozenset(usable)


def check_use(end: End, options: PeerOptions, urls: Iterable[MediaUrl]) -> None:
    """Raises InvalidPart for an option that would have no effect on any of these addresses."""
    schemes = {url.scheme for url in urls}
    usable = usable_options(end, schemes)
    for name in OPTION_NAMES:
        if getattr(options, name) and name not in usable:
            if name in _OF_ONE_END and _OF_ONE_END[name][0] is not end:
                raise InvalidPart(name, _OF_ONE_END[name][1])
            if name in ("proxy", "bind") and schemes & DATAGRAMS:
                raise InvalidPart(name, Code.FIELD_NOT_FOR_DATAGRAMS)
            raise InvalidPart(name, Code.FIELD_NO_EFFECT, schemes=tuple(sorted(schemes)))


def read_proxy(text: str) -> MediaUrl:
    """The address of a proxy. Raises InvalidPart, without repeating it."""
    try:
        url = MediaUrl.parse(text.strip()) if "://" in text else None
    except InvalidValue as error:
        raise InvalidPart("proxy", error.why) from None
    if url is None:
        raise InvalidPart("proxy", Code.FIELD_PROXY)
    _check_proxy(url)
    return url


def shown_text(text: str) -> str:
    """A connect parameter without user and query, which may be secret."""
    before, mark, _ = _USER_INFO.sub(f"{REDACTED}@", text).partition("?")
    return before + (f"?{REDACTED}" if mark else "")


def _shown_header(name: str, value: str) -> str:
    return value if name.lower() == "user-agent" else REDACTED


def _check_proxy(url: MediaUrl) -> None:
    if url.scheme not in PROXY_SCHEMES or not url.host or not url.port or url.path.strip("/") or url.query:
        raise InvalidPart("proxy", Code.FIELD_PROXY)
    if not url.host.isascii():
        raise InvalidPart("proxy", Code.FIELD_HOST_NOT_ASCII)
    if any(len(part.encode()) > _MAX_CREDENTIAL_BYTES for part in (url.username or "", url.password or "")):
        raise InvalidPart("proxy", Code.FIELD_PROXY_CREDENTIALS, count=_MAX_CREDENTIAL_BYTES)


def _check_headers(headers: tuple[tuple[str, str], ...]) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidPart("headers", Code.FIELD_HEADER_COUNT, count=MAX_HEADERS)
    seen = set[str]()
    for name, value in headers:
        check_header_name(name, seen)
        seen.add(name.lower())
        check_header_value(name, value)


def check_header_name(name: str, others: Set[str]) -> None:
    """A name that may be given beside ``others``, which are in lower case. Raises InvalidPart."""
    if not _NAME.fullmatch(name):
        raise InvalidPart("headers", Code.FIELD_HEADER_NAME)
    if name.lower() in _OURS or name.lower().startswith("proxy-"):
        raise InvalidPart("headers", Code.FIELD_HEADER_OURS, name=name)
    if name.lower() in others:
        raise InvalidPart("headers", Code.FIELD_HEADER_TWICE, name=name)


def check_header_value(name: str, value: str) -> None:
    """Raises InvalidPart, which says the name alone."""
    if len(value) > MAX_VALUE_CHARS or not _VALUE.fullmatch(value):
        raise InvalidPart("headers", Code.FIELD_HEADER_VALUE, name=name, count=MAX_VALUE_CHARS)


_OF_ONE_END = {
    "keep_drift": (End.LIVE, Code.FIELD_OF_LIVE_SOURCES),
    "segments_behind": (End.LIVE, Code.FIELD_OF_LIVE_SOURCES),
    "max_kbps": (End.LIVE, Code.FIELD_OF_LIVE_SOURCES),
    "rotate_s": (End.DESTINATION, Code.FIELD_OF_DESTINATIONS),
    "overlap": (End.DESTINATION, Code.FIELD_OF_DESTINATIONS),
}
NO_OPTIONS = PeerOptions()
OPTION_NAMES = tuple(one.name for one in fields(PeerOptions))
