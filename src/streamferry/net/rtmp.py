"""The one RTMP driver: from an address to a session in which media may flow, for publishing and for playing.

It feeds ``wire.rtmp``'s client session from a connection until the server has accepted or refused. It never retries,
but what one session takes may be several connections, each asking in another way:

    the server                                            the next connection
    asks for authentication, which it does by refusing    with the answer, twice at most (``wire.rtmp.auth``)
    does so, and the address has no user and password     once with the name of a player and not of an encoder
    redirects                                             to where it says, five times at most, by the egress policy
    closes, is silent or fails before it has answered     once without the list of codecs, which servers before
    ``connect``                                           Enhanced RTMP may not be able to read

Which way worked is remembered for the address; the next session begins with that, but always where the address points.
"""

import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Unpack

from streamferry.media.errors import (
    PeerBusy,
    PeerClosed,
    PeerForbidden,
    PeerLacksCodecs,
    PeerRefusedLogin,
    PeerRejected,
    PeerUnreachable,
    RemoteProtocolError,
)
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection, TlsConnection
from streamferry.net.dial import Deadlines, DialOptions, dial_url, step
from streamferry.net.half_open import find_half_open, forget_half_open
from streamferry.reasons import Code, Reason, Value
from streamferry.wire.rtmp.client import MAX_TALK
from streamferry.wire.rtmp.connect import is_taken
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES
from streamferry.wire.rtmp.session import (
    AuthenticationRequired,
    ClientEvent,
    ClientSession,
    Place,
    PlayAccepted,
    PublishAccepted,
    Purpose,
    Redirected,
    Rejected,
    StreamEnded,
)

# Authentication takes three connections: unnamed, naming the user, answering the challenge (wire.rtmp.auth).
_MAX_CHALLENGES = 2
_MAX_REDIRECTS = 5
_SEED_BYTES = 32
# Codes with which a server refuses what it could not read. The others tell that it has.
_UNREAD = frozenset(("", "NetConnection.Connect.Failed", "NetConnection.Call.Failed", "NetConnection.Call.BadVersion"))
# Words with which nginx-rtmp, node-media-server, ZLMediaKit and Wowza say that the name is taken. Others use the same
# code for a key that they do not know.
_BUSY_CODE, _BUSY_WORDS = "NetStream.Publish.BadName", re.compile("already|in use|busy", re.IGNORECASE)
# How ``connect`` is asked: whether it lists codecs, and whether it is an encoder's.
_AS_USUAL = (True, True)
_MAX_REMEMBERED = 1000
# Where the next session of an address is to begin, because the server of the last one asked for that.
_moves: "OrderedDict[MediaUrl, Place]" = OrderedDict()
_remembered: "OrderedDict[MediaUrl, tuple[bool, bool]]" = OrderedDict()


@dataclass(slots=True)
class RtmpLink:
    """An RTMP session that the server has accepted, and its connection.

    Bytes received after the acceptance are in the session, complete or not; it may already have something to send.
    """

    connection: Connection
    session: ClientSession


def note_move(url: MediaUrl, place: Place) -> None:
    """The server of a session asks for another one (``ClientSession.moves_to``): the next begins there."""
    _moves[url] = place
    if len(_moves) > _MAX_REMEMBERED:
        _moves.popitem(last=False)


async def open_publish(url: MediaUrl, needs: frozenset[str] = frozenset(), **network: Unpack[DialOptions]) -> RtmpLink:
    """Connect and publish; media may be sent on the link.

    ``needs``: FourCCs of what is to be published. A server that does not list them is left before it hears of a stream.
    Raises PeerUnreachable, PeerRejected or RemoteProtocolError; ValueError if ``url`` has no application or key.
    """
    return await _open(url, Purpose.PUBLISH, network, needs)


async def open_play(url: MediaUrl, **network: Unpack[DialOptions]) -> RtmpLink:
    """Connect and play; media comes on the link. Otherwise as :func:`open_publish`."""
    return await _open(url, Purpose.PLAY, network)


async def _open(url: MediaUrl, purpose: Purpose, network: DialOptions, needs: frozenset[str] = frozenset()) -> RtmpLink:
    name = Reason.of(Code.STEP_RTMP_SESSION, purpose=purpose.name.lower(), peer=url.authority)
    opening = _Opening(url, purpose, network, needs)
    async with step(name, network["deadlines"].session):
        return await opening.run()


class _Opening:
    """The connections that it takes until a session is open, each asking in the way the last answer calls for."""

    def __init__(self, url: MediaUrl, purpose: Purpose, network: DialOptions, needs: frozenset[str]) -> None:
        self._url = url
        self._purpose = purpose
        self._network = network
        self._needs = needs
        self._options = network.get("options", NO_OPTIONS)
        self._place = Place.of(url)
        self._seen = {self._place.identity}
        self._redirects = 0
        self._auth: str | None = None
        self._challenges = 0
        self._lists_codecs, self._is_encoder = _remembered.get(url, (True, True))
        if purpose is Purpose.PUBLISH and (place := _moves.pop(url, None)) is not None:
            self._move(place)

    async def run(self) -> RtmpLink:
        """Connect until the server has accepted or refused for good."""
        while True:
            asked_as = (self._lists_codecs, self._is_encoder)
            session = ClientSession(
                self._url,
                self._purpose,
                random=os.urandom(_SEED_BYTES),
                auth=self._auth,
                options=self._options,
                place=self._place,
                lists_codecs=self._lists_codecs,
                is_encoder=self._is_encoder,
            )
            connection = await self._dial()
            try:
                answer = await _set_up(connection, session, self._purpose, self._network["deadlines"], self._needs)
                if answer is None:
                    _remember(self._url, asked_as)
                    forget_half_open(self._url, self._options)
                    return RtmpLink(connection, session)
                self._adapt(answer, connection.peer)
            except PeerUnreachable:
                connection.close()
                if session.is_connecting and self._leave_out_codecs():
                    continue
                _remember(self._url, _AS_USUAL)
                raise
            except BaseException:
                connection.close()
                raise
            connection.close()

    async def _dial(self) -> Connection:
        try:
            again = find_half_open(self._url, self._options) if self._purpose is Purpose.PUBLISH else None
            return await dial_url(self._place.server, again=again, **self._network)
        except PeerForbidden as error:
            if not self._redirects:
                raise
            # The server may lead elsewhere next time; of an address of the task it would be final.
            host = self._place.server.host
            raise PeerRejected(Code.PEER_REDIRECT_FORBIDDEN, peer=self._url.authority, host=host) from error

    def _adapt(self, answer: ClientEvent, peer: str) -> None:
        """Ask in another way next. Raises PeerRejected if there is none."""
        match answer:
            case Redirected(redirect):
                self._follow(redirect, peer)
            case AuthenticationRequired(auth):
                self._challenges += 1
                if self._challenges > _MAX_CHALLENGES:
                    raise PeerRejected(Code.PEER_ASKS_AUTH_AGAIN, peer=peer)
                self._auth = auth
            case Rejected(wants_login=True):
                if self._url.username and self._url.password:
                    raise PeerRefusedLogin(Code.PEER_REFUSED_LOGIN, peer=peer, words=_words(answer))
                if not self._is_encoder or self._options.flash_ver or self._purpose is Purpose.PLAY:
                    raise PeerRefusedLogin(Code.PEER_WANTS_LOGIN, peer=peer)
                self._is_encoder = False
            case Rejected(code, _) if code in _UNREAD and self._leave_out_codecs():
                pass
            case Rejected(code, words) if "Publish" in code and _is_busy(code, words):
                raise PeerBusy(Code.PEER_REFUSED, peer=peer, words=_words(answer))
            case Rejected():
                raise PeerRejected(Code.PEER_REFUSED, peer=peer, words=_words(answer))
            case StreamEnded(reason):
                raise PeerRejected(Code.PEER_ENDED_AT_ONCE, peer=peer, words=reason)

    def _follow(self, redirect: str, peer: str) -> None:
        place = self._place.follow(redirect, self._url.app_and_key[1])
        if place is None:
            raise PeerRejected(Code.PEER_REDIRECTS_OFF_RTMP, peer=peer)
        if self._place.server.uses_tls and not place.server.uses_tls:
            raise PeerRejected(Code.PEER_REDIRECTS_TO_PLAIN, peer=peer)
        if place.identity in self._seen:
            raise PeerRejected(Code.PEER_REDIRECTS_IN_A_CIRCLE, peer=self._url.authority)
        if self._redirects == _MAX_REDIRECTS:
            raise PeerRejected(Code.PEER_REDIRECTS_TOO_OFTEN, url=self._url.authority, count=_MAX_REDIRECTS)
        self._redirects += 1
        self._seen.add(place.identity)
        self._place, self._auth, self._challenges = place, None, 0

    def _move(self, place: Place) -> None:
        """Begin elsewhere; what is less safe is where the address points."""
        if place.identity in self._seen or (self._url.uses_tls and not place.server.uses_tls):
            return
        self._redirects += 1
        self._seen.add(place.identity)
        self._place = place

    def _leave_out_codecs(self) -> bool:
        """Whether it may be the list of codecs that the server does not understand: then it is left out from now on."""
        may_be = self._lists_codecs and self._auth is None
        self._lists_codecs = self._lists_codecs and not may_be
        return may_be


def _remember(url: MediaUrl, asked_as: tuple[bool, bool]) -> None:
    """Ask in this way next time. Only what differs from the usual is kept, of the last addresses."""
    _remembered.pop(url, None)
    if asked_as != _AS_USUAL:
        _remembered[url] = asked_as
        if len(_remembered) > _MAX_REMEMBERED:
            _remembered.popitem(last=False)


async def _set_up(
    connection: Connection, session: ClientSession, purpose: Purpose, deadlines: Deadlines, needs: frozenset[str]
) -> ClientEvent | None:
    """Negotiate until the server has accepted; returns None then, or what it answered instead.

    One that does not list what the stream ``needs`` is left before ``publish``, with which broadcasts begin.
    """
    # Servers that want TLS close, or are silent, at the sight of anything else.
    may_want_tls = connection.peer.endswith(":443") and not isinstance(connection, TlsConnection)
    code = Code.STEP_RTMP_HANDSHAKE_443 if may_want_tls else Code.STEP_RTMP_HANDSHAKE
    name = Reason.of(code, peer=connection.peer)
    async with step(name, deadlines.handshake):
        handshake_bytes = HELLO_BYTES + PACKET_BYTES
        events: list[ClientEvent] = []
        while handshake_bytes > 0:
            await connection.write(session.data_to_send())
            data = await _read(connection, name)
            handshake_bytes -= len(data)
            events += session.receive(data)
    name = Reason.of(Code.STEP_RTMP_SESSION, purpose=purpose.name.lower(), peer=connection.peer)
    talk = 0
    try:
        async with step(name, deadlines.response):
            while True:
                await connection.write(session.data_to_send())
                for event in events:
                    if not isinstance(event, PublishAccepted | PlayAccepted):
                        return event
                if events:
                    return None
                events = session.receive(await _read(connection, name))
                if not (events or session.is_connecting or is_taken(needs, session.peer_codecs)):
                    codecs = ", ".join(sorted(needs - session.peer_codecs))
                    raise PeerLacksCodecs(Code.PEER_LACKS_CODECS, peer=connection.peer, codecs=codecs)
                talk += session.talk
                if talk > MAX_TALK:
                    raise RemoteProtocolError(Code.PROTOCOL_RTMP_MUCH_TALK, count=MAX_TALK)
    except PeerUnreachable as error:
        if error.__cause__ is None or isinstance(error.__cause__, ConnectionError):
            raise PeerClosed(error.why) from error
        raise


async def _read(connection: Connection, name: Reason) -> bytes:
    data = await connection.read()
    if not data:
        raise PeerUnreachable(Code.PEER_STEP_FAILED, step=name, why=Reason.of(Code.PEER_CLOSED))
    return data


def _is_busy(code: str, words: str) -> bool:
    return bool(_BUSY_WORDS.search(words)) or (code == _BUSY_CODE and not words)


def _words(rejected: Rejected) -> Value:
    """The server's message, already free of secrets and limited in length."""
    return ": ".join(filter(None, (rejected.code, rejected.description))) or Reason.of(Code.PEER_NO_REASON)
