"""RTSP: from an address to a session that plays. What comes in it is the business of ``wire.rtsp`` and ``source``.

One connection at a time, over which everything is asked. Media comes over it too, unless the server will not have that
(461) or UDP is wanted first; then in datagrams from the server's address, or another one that the egress policy allows.

Specification: RFC 2326, 10 (methods), 12.39 (Transport), appendix C (descriptions).
"""

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_address
from typing import Unpack
from urllib.parse import unquote, urljoin

from streamferry.media.errors import (
    PeerForbidden,
    PeerRefusedLogin,
    PeerRejected,
    PeerUnreachable,
    RemoteProtocolError,
)
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.net.connection import Connection
from streamferry.net.dial import DialOptions, dial_url, step
from streamferry.net.rtp_ports import RtpPorts
from streamferry.reasons import Code, Reason
from streamferry.wire.rtsp.message import Message, MessageReader, Piece
from streamferry.wire.rtsp.requests import Requests, numbers_of, transport_of
from streamferry.wire.rtsp.sdp import Description, Media, joined, parse_description, without_user

#: Given the tracks of a description, in its order, returns those to play.
Choose = Callable[[list[Media]], Sequence[Media]]

_SCHEMES = ("rtsp", "rtsps")
_AGENT = "streamferry"
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 305, 307, 308))
#: The server has no such way to send: Unsupported Transport; what others say instead.
_OTHER_TRANSPORT = frozenset((461, 406, 400, 415, 501))
_INVALID_RANGE = frozenset((457, 455, 400))
# Before the first packets, so that a firewall between lets them in; a version of RTP and nothing else.
_OPENER = b"\x80\x00" + bytes(10)
_MAX_WORDS, _MIN_SECRET = 100, 4
# What may come until a session plays, its first media among it; and what each piece of it costs beside its bytes.
_MAX_EARLY_BYTES = 8 << 20
_PIECE_BYTES = 200


class Way(Enum):
    """How media comes: between the responses, or in datagrams."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(slots=True)
class RtspTrack:
    """A track that was set up. ``channel``: of its packets, the next has its reports. ``ports``: if it comes by UDP."""

    media: Media
    channel: int
    ports: RtpPorts | None = None


@dataclass(slots=True)
class RtspLink:
    """A session that plays. ``early``: what came before the last response did."""

    connection: Connection
    requests: Requests
    reader: MessageReader
    #: Of the session, for requests about it.
    url: str
    tracks: list[RtspTrack] = field(default_factory=list)
    early: list[Piece] = field(default_factory=list)
    #: So many of them are no responses; and what all that came costs, until it plays.
    looked: int = 0
    early_bytes: int = 0
    #: What the server says it can do; empty if it does not say.
    methods: frozenset[str] = frozenset()

    @property
    def is_udp(self) -> bool:
        """Whether packets come in datagrams."""
        return any(track.ports is not None for track in self.tracks)

    def close(self) -> None:
        """Take leave, as far as that can be sent now, and close. Closing again does nothing."""
        with suppress(OSError):
            if self.requests.session:
                self.connection.send([self.requests.ask("TEARDOWN", self.url)])
        self.connection.close()
        for track in self.tracks:
            if track.ports is not None:
                track.ports.close()


class RtspDialler:
    """Opens a session of one address. ``ways``: in which order media is asked for, over the connection or by UDP.

    ``moved_to``: where its server said to go at the end of a session before.
    """

    def __init__(
        self, url: MediaUrl, ways: Sequence[Way], moved_to: MediaUrl | None = None, **network: Unpack[DialOptions]
    ) -> None:
        self._url = url
        self._begins_at = moved_to or url
        # What no sentence repeats: also what is secret where the server leads.
        self._secrets = url.secrets
        self._network = network
        # TLS is over the connection alone, and proxies pass no datagrams.
        may_udp = url.scheme == "rtsp" and network.get("options", NO_OPTIONS).proxy is None
        self._ways = [way for way in ways if may_udp or way is Way.TCP] or [Way.TCP]

    async def open(self, choose: Choose) -> RtspLink:
        """Connect, ask for the description, set up and play what ``choose`` returns of it.

        Raises PeerUnreachable, PeerRejected, PeerForbidden or RemoteProtocolError, and what ``choose`` does.
        """
        url, seen = self._begins_at, {self._begins_at.reveal()}
        for _ in range(_MAX_REDIRECTS + 1):
            if url != self._url:
                self._secrets = url.secrets + self._secrets
            connection = await self._dial(url)
            link = RtspLink(connection, self._requests(url), MessageReader(), without_user(url.reveal()))
            try:
                moved_to = await self._set_up(link, choose)
            except BaseException:
                link.close()
                raise
            if moved_to is None:
                return link
            link.close()
            url = redirected(url, moved_to, connection.peer)
            if url.reveal() in seen:
                raise PeerRejected(Code.PEER_REDIRECTS_IN_A_CIRCLE, peer=self._url.authority)
            seen.add(url.reveal())
        raise PeerRejected(Code.PEER_REDIRECTS_TOO_OFTEN, url=self._url.redacted, count=_MAX_REDIRECTS)

    async def _dial(self, url: MediaUrl) -> Connection:
        try:
            return await dial_url(url, **self._network)
        except PeerForbidden as error:
            if url == self._url:
                raise
            # The server may lead elsewhere next time; of an address of the task it would be final.
            raise PeerRejected(Code.PEER_REDIRECT_FORBIDDEN, peer=self._url.authority, host=url.host) from error

    def _requests(self, url: MediaUrl) -> Requests:
        user = unquote(url.username) if url.username is not None else None
        return Requests(user, unquote(url.password or ""), lambda: secrets.token_hex(8), _AGENT)

    async def _set_up(self, link: RtspLink, choose: Choose) -> str | None:
        """Returns where the server says to go instead, if it does."""
        options = await self._ask(link, "OPTIONS", link.url)
        if options.status in _REDIRECTS:
            return options.fields.get("location", "")
        if options.status == 200:
            link.methods = frozenset(one.strip().upper() for one in options.fields.get("public", "").split(","))
        described = await self._ask(link, "DESCRIBE", link.url, {"Accept": "application/sdp"})
        if described.status in _REDIRECTS:
            return described.fields.get("location", "")
        self._judge(described)
        base = _base(link.url, described)
        description: Description = parse_description(described.body)
        wanted = choose(description.media)
        for media in wanted:
            set_up = await self._set_up_track(link, media, joined(base, media.control))
            if set_up.status in _REDIRECTS:
                return set_up.fields.get("location", "")
            if not 200 <= set_up.status < 300:
                if link.tracks:
                    continue  # Sound that cannot be had takes no picture away.
                self._judge(set_up)
        if not link.tracks:
            raise PeerRejected(Code.PEER_RTSP_NO_TRACK, url=self._url.redacted)
        link.reader.channels = frozenset(one for track in link.tracks for one in (track.channel, track.channel + 1))
        link.url = joined(base, description.control)
        played = await self._ask(link, "PLAY", link.url, {"Range": "npt=0.000-"})
        if played.status in _INVALID_RANGE:
            played = await self._ask(link, "PLAY", link.url)
        if played.status in _REDIRECTS:
            return played.fields.get("location", "")
        self._judge(played)
        for track in link.tracks:
            if track.ports is not None:
                for number in (0, 1):
                    track.ports.send(number, _OPENER)
        return None

    async def _set_up_track(self, link: RtspLink, media: Media, address: str) -> Message:
        """Over the connection or in datagrams; in the other way if the server has not the one."""
        ways = self._ways
        if link.tracks:
            ways = [Way.UDP if link.is_udp else Way.TCP]
        response = Message()
        for way in ways:
            track = RtspTrack(media, 2 * len(link.tracks))
            if way is Way.UDP:
                local = link.connection.local_address
                track.ports = RtpPorts(socket.AF_INET6 if ":" in local else socket.AF_INET, local)
                first = track.ports.first_port
                transport = f"RTP/AVP;unicast;client_port={first}-{first + 1}"
            else:
                transport = f"RTP/AVP/TCP;unicast;interleaved={track.channel}-{track.channel + 1}"
            try:
                response = await self._ask(link, "SETUP", address, {"Transport": transport})
                if 200 <= response.status < 300 and self._accept(link, track, response):
                    link.tracks.append(track)
                    return response
            except BaseException:
                if track.ports is not None:
                    track.ports.close()
                raise
            if track.ports is not None:
                track.ports.close()
            if 200 <= response.status < 300:
                response = replace(response, status=461, phrase="Unsupported Transport")
            if response.status not in _OTHER_TRANSPORT:
                break
        return response

    def _accept(self, link: RtspLink, track: RtspTrack, response: Message) -> bool:
        """Whether the server sends as it was asked to; notes from where."""
        told = transport_of(response.fields.get("transport", ""))
        if track.ports is None:
            if "TCP" not in told[""] and "interleaved" not in told and ("server_port" in told or "multicast" in told):
                return False
            channels = numbers_of(told.get("interleaved", ""))
            # Two tracks in one channel could not be told apart: some servers repeat what they told of the first.
            taken = {one.channel + number for one in link.tracks for number in (-1, 0, 1)}
            if channels is not None and channels[0] < 255 and channels[0] not in taken:
                track.channel = channels[0]
            return True
        if "TCP" in told[""] or "multicast" in told:
            return False
        server = link.connection.peer_address
        source = told.get("source", "").strip("[]")
        with suppress(ValueError):
            if source and not ip_address(source).is_unspecified and ip_address(source) != ip_address(server):
                allow = self._network.get("allow")
                if allow is not None and not allow(source):
                    raise PeerRejected(Code.PEER_REDIRECT_FORBIDDEN, peer=self._url.authority, host=source)
                server = source
        track.ports.server = server
        track.ports.server_ports = numbers_of(told.get("server_port", "")) or (0, 0)
        return True

    async def _ask(self, link: RtspLink, method: str, url: str, fields: dict[str, str] | None = None) -> Message:
        """Send a request and wait for its response; with credentials if they are asked for."""
        request: bytes | None = link.requests.ask(method, url, fields)
        waiting = Reason.of(Code.STEP_ANSWER, peer=link.connection.peer)
        async with step(waiting, self._network["deadlines"].response):
            while True:
                if request is not None:
                    await link.connection.write(request)
                response = await self._response(link)
                if response.status < 200:
                    request = None
                    continue
                request = link.requests.take(response)
                if request is None and response.status == 401:
                    raise self._refused_login(link, response)
                if request is None:
                    return response

    async def _response(self, link: RtspLink) -> Message:
        early = link.early
        while True:
            for number in range(link.looked, len(early)):
                piece = early[number]
                if isinstance(piece, Message) and piece.status:
                    del early[number]
                    link.looked = number
                    return piece
            link.looked = len(early)
            if link.early_bytes > _MAX_EARLY_BYTES:
                raise RemoteProtocolError(Code.PROTOCOL_RTSP_LARGE, max_bytes=_MAX_EARLY_BYTES)
            data = await link.connection.read()
            if not data:
                raise PeerUnreachable(Code.PEER_CLOSED_UNANSWERED, peer=link.connection.peer)
            link.reader.feed(data, early)
            link.early_bytes += len(data) + _PIECE_BYTES * (len(early) - link.looked)

    def _judge(self, response: Message) -> None:
        """Raise for a response that is a refusal."""
        if 200 <= response.status < 300:
            return
        refusal = PeerRejected(Code.PEER_ANSWERED, url=self._url.redacted, answer=self._words(response))
        refusal.status = response.status
        raise refusal

    def _refused_login(self, link: RtspLink, response: Message) -> PeerRejected:
        peer = link.connection.peer
        if link.requests.has_user:
            return PeerRefusedLogin(Code.PEER_REFUSED_LOGIN, peer=peer, words=self._words(response))
        return PeerRefusedLogin(Code.PEER_RTSP_WANTS_LOGIN, peer=peer)

    def _words(self, response: Message) -> str:
        """What a server answers, in one line without what is secret in the address."""
        words = "".join(one if one.isprintable() else " " for one in response.phrase)
        for secret in self._secrets:
            if len(secret) >= _MIN_SECRET:
                words = words.replace(secret, REDACTED)
        return f"{response.status} {words[:_MAX_WORDS]}".strip()


def _base(url: str, described: Message) -> str:
    """What the addresses of the tracks count from; where a server tells nonsense, the address that was asked for."""
    told = described.fields.get("content-base") or described.fields.get("content-location") or url
    try:
        return without_user(urljoin(url, told.split("\n")[0].strip()))
    except ValueError:
        return url


def redirected(url: MediaUrl, location: str, peer: str) -> MediaUrl:
    """Where a server at ``url`` leads; with the user of ``url`` if it is the same server. Raises PeerRejected."""
    try:
        target = MediaUrl.parse(urljoin(url.reveal(), location.split("\n")[0].strip()))
    except ValueError:
        raise PeerRejected(Code.PEER_REDIRECTS_NOWHERE, url=url.redacted) from None
    # Nor from TLS to what can be read on the way.
    if not location or target.scheme not in _SCHEMES or (url.scheme == "rtsps" and target.scheme != "rtsps"):
        raise PeerRejected(Code.PEER_REDIRECTS_OFF_RTSP, peer=peer)
    if target.username is None and target.origin == url.origin:
        return replace(target, username=url.username, password=url.password)
    return target
