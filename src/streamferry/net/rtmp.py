"""The one RTMP driver: from an address to a session in which media may flow, for publishing and for playing.

It feeds ``wire.rtmp``'s client session from a connection until the server has accepted or refused. It connects again
only when the server asks for authentication, which RTMP servers do by refusing; otherwise it never retries.
"""

import os
from dataclasses import dataclass
from typing import Unpack

from streamferry.media.errors import PeerRejected, PeerUnreachable
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection
from streamferry.net.dial import Deadlines, DialOptions, dial_url, step
from streamferry.reasons import Code, Reason, Value
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES
from streamferry.wire.rtmp.session import (
    AuthenticationRequired,
    ClientEvent,
    ClientSession,
    PlayAccepted,
    PublishAccepted,
    Purpose,
    Rejected,
    StreamEnded,
)

# Authentication takes three connections: unnamed, naming the user, answering the challenge (wire.rtmp.auth).
_MAX_CONNECTIONS = 3
_SEED_BYTES = 32


@dataclass(slots=True)
class RtmpLink:
    """An RTMP session that the server has accepted, and its connection.

    Bytes received after the acceptance are in the session, complete or not; it may already have something to send.
    """

    connection: Connection
    session: ClientSession


async def open_publish(url: MediaUrl, **network: Unpack[DialOptions]) -> RtmpLink:
    """Connect and publish; media may be sent on the link.

    Raises PeerUnreachable, PeerRejected or RemoteProtocolError; ValueError if ``url`` has no application or key.
    """
    return await _open(url, Purpose.PUBLISH, network)


async def open_play(url: MediaUrl, **network: Unpack[DialOptions]) -> RtmpLink:
    """Connect and play; media comes on the link. Otherwise as :func:`open_publish`."""
    return await _open(url, Purpose.PLAY, network)


async def _open(url: MediaUrl, purpose: Purpose, network: DialOptions) -> RtmpLink:
    auth: str | None = None
    for _ in range(_MAX_CONNECTIONS):
        options = network.get("options", NO_OPTIONS)
        session = ClientSession(url, purpose, random=os.urandom(_SEED_BYTES), auth=auth, options=options)
        connection = await dial_url(url, **network)
        try:
            auth = await _set_up(connection, session, purpose, network["deadlines"])
            if auth is None:
                return RtmpLink(connection, session)
        except BaseException:
            connection.close()
            raise
        connection.close()
    raise PeerRejected(Code.PEER_ASKS_AUTH_AGAIN, peer=connection.peer)


async def _set_up(connection: Connection, session: ClientSession, purpose: Purpose, deadlines: Deadlines) -> str | None:
    """Negotiate until the server has accepted; returns None then, or the ``auth`` it wants in a new session."""
    name = Reason.of(Code.STEP_RTMP_HANDSHAKE, peer=connection.peer)
    async with step(name, deadlines.handshake):
        handshake_bytes = HELLO_BYTES + PACKET_BYTES
        events: list[ClientEvent] = []
        while handshake_bytes > 0:
            await connection.write(session.data_to_send())
            data = await _read(connection, name)
            handshake_bytes -= len(data)
            events += session.receive(data)
    name = Reason.of(Code.STEP_RTMP_SESSION, purpose=purpose.name.lower(), peer=connection.peer)
    async with step(name, deadlines.response):
        while True:
            await connection.write(session.data_to_send())
            for event in events:
                if isinstance(event, AuthenticationRequired):
                    return event.auth
                if isinstance(event, Rejected):
                    raise PeerRejected(Code.PEER_REFUSED, peer=connection.peer, words=_words(event))
                if isinstance(event, StreamEnded):
                    raise PeerRejected(Code.PEER_ENDED_AT_ONCE, peer=connection.peer, words=event.reason)
            if any(isinstance(event, PublishAccepted | PlayAccepted) for event in events):
                return None
            events = session.receive(await _read(connection, name))


async def _read(connection: Connection, name: Reason) -> bytes:
    data = await connection.read()
    if not data:
        raise PeerUnreachable(Code.PEER_STEP_FAILED, step=name, why=Reason.of(Code.PEER_CLOSED))
    return data


def _words(rejected: Rejected) -> Value:
    """The server's message, already free of secrets and limited in length."""
    return ": ".join(filter(None, (rejected.code, rejected.description))) or Reason.of(Code.PEER_NO_REASON)
