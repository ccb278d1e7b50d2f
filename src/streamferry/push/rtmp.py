"""A publish session over RTMP and RTMPS: what ``wire.rtmp`` makes of laid tags leaves by one gathered write.

It never retries.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Unpack

from streamferry.media.errors import (
    DestinationClosed,
    DestinationStalled,
    DestinationUnreachable,
    MediaError,
    PublishEvicted,
    PublishRejected,
    RemoteProtocolError,
)
from streamferry.media.tag import LaidTag
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Buffers, SendableFile
from streamferry.net.dial import DialOptions
from streamferry.net.half_open import note_half_open
from streamferry.net.rtmp import RtmpLink, note_move, open_publish
from streamferry.push.forms import Forms
from streamferry.push.peer_errors import as_destination_errors
from streamferry.push.session import Link
from streamferry.reasons import Code, Reason, said_by
from streamferry.wire.flv import MAX_TAG_BYTES
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE
from streamferry.wire.rtmp.framed import Framed

# What a server says to a publisher whose key another one has taken.
_UNPUBLISHED = "NetStream.Unpublish.Success"
#: How long an unpublish may take: past it the destination sees the connection close instead.
UNPUBLISH_S = 2.0
# No bound on what waits in the kernel, beyond its own.
_ANY_BYTES = (1 << 31) - 1
# How much of a peer is heard at a time, which is 900 pings and takes 5 ms; in all, and for each second after that; and
# how much may wait for it: the rest of one tag, and answers. Servers say some bytes a second.
_HEARD_BYTES = 16 << 10
_MAX_SAID_BYTES, _SAID_BYTES_A_SECOND = 256 << 10, 16 << 10
_MAX_PENDING_BYTES = MAX_TAG_BYTES + (1 << 20)


class RtmpSession:
    """A stream that the destination accepted. ``write`` is for the beat; ``aclose`` for the end."""

    __slots__ = (
        "_connection",
        "_failure",
        "_heard_at",
        "_pending",
        "_rest",
        "_said_bytes",
        "_server_acked_at",
        "_server_acks",
        "_session",
        "forms",
        "framed",
        "move_asked",
        "sent_bytes",
    )

    def __init__(self, link: RtmpLink) -> None:
        self._session = link.session
        self._connection = link.connection
        # What the kernel has not taken: the rest of a tag, and answers, of which the acceptance may have asked for one.
        self._pending = self._session.data_to_send()
        #: Bytes given to the kernel since the session began.
        self.sent_bytes = 0
        # Of a file: what the kernel has not taken, up to the end of a message. It goes before ``_pending``.
        self._rest: list[bytes | memoryview] = []
        self._failure: MediaError | None = None
        # What the peer has said, less what it may say in the time up to when it was last heard.
        self._said_bytes = 0.0
        self._heard_at = 0.0
        #: See ``Session``.
        self.forms = Forms(self._session.peer_codecs)
        self._server_acks = self._session.acknowledgements
        self._server_acked_at: float | None = None
        #: See ``Session``; there is none before the first frame, while something waits, and after a failure.
        self.framed: Framed | None = None
        #: See ``Session``.
        self.move_asked = asyncio.Event()
        self._connection.on_readable(self._read_peer)
        self._note_asked()

    @property
    def acked_bytes(self) -> int:
        """Bytes that the peer's TCP has acknowledged since the session began. Raises DestinationUnreachable."""
        try:
            return self.sent_bytes - self._connection.unacked_bytes()
        except OSError as error:
            raise _lost(error) from None

    @property
    def link(self) -> Link | None:
        """See ``Session``."""
        told = self._connection.tcp_info()
        if told is None:
            return None
        acked_at = self._server_acked_at
        return Link(told, None if acked_at is None else asyncio.get_running_loop().time() - acked_at)

    @property
    def is_blocked(self) -> bool:
        """Whether the kernel did not take everything that was last written."""
        return True if self._rest or self._pending else self._connection.is_holding

    def write(self, tags: list[LaidTag]) -> int:
        """Send what is in ``framed``, then the tags; return how many of them all are on their way.

        The last may be half sent: its rest is kept here.
        Raises DestinationError when the peer closed, reset or refused the stream since the last call.
        """
        if self._failure is not None:
            raise self._failure
        framed, connection = self.framed, self._connection
        count = 0
        ends: list[int] = []
        if framed is not None and framed.pieces:
            pieces, count = framed.pieces, framed.count
            if tags:
                more, ends = self._session.send_tags(tags)
                pieces = pieces + more
        elif not self.flush():
            return 0
        else:
            pieces, ends = self._session.send_tags(tags)
            if not pieces:
                return len(tags)
        try:
            taken = connection.send(pieces)
        except OSError as error:
            raise self._broken(error) from None
        self.sent_bytes += taken
        if taken == sum(map(len, pieces)):
            if connection.is_holding:
                self.framed = None
            elif framed is None:
                self.framed = self._session.framed()
            return count + len(ends)
        self.framed = None
        if framed is not None and count:
            messages = framed.messages()
            pieces = messages + pieces[len(framed.pieces) :]
            ends = [*range(1, count + 1), *(count + end for end in ends)]
        return self._keep_rest(pieces, ends, taken)

    def check(self) -> None:
        """Raise the DestinationError with which the peer ended the session, if it did."""
        if self._failure is not None:
            raise self._failure

    @property
    def chunks(self) -> "RtmpSession | None":
        """See ``Session``: chunks of a file have the size that the session has announced."""
        return self if self._session.out_chunk_size == CHUNK_SIZE else None

    @property
    def message_stream_id(self) -> int:
        """See ``ChunkSession``."""
        return self._session.message_stream_id

    @property
    def has_begun(self) -> bool:
        """See ``ChunkSession``."""
        return self._session.has_begun

    @property
    def zero_ms(self) -> int:
        """See ``ChunkSession``."""
        return self._session.zero_ms

    def begin_at(self, dts_ms: int) -> None:
        """See ``ChunkSession``."""
        self._session.begin_at(dts_ms)

    def write_tags(self, tags: list[LaidTag]) -> None:
        """See ``ChunkSession``."""
        self.write_pieces(self._session.send_tags(tags)[0])

    def write_pieces(self, pieces: list[bytes | memoryview]) -> None:
        """See ``ChunkSession``."""
        if self._failure is not None:
            raise self._failure
        self._rest += pieces
        if len(self._rest) == len(pieces):
            self._send_rest()

    def write_file(self, file: SendableFile, start: int, end: int) -> None:
        """See ``ChunkSession``."""
        if self._failure is not None or self._rest:
            self.write_pieces([file.view()[start:end]])
            return
        try:
            taken = self._connection.send_file(file, start, end)
        except OSError as error:
            raise self._broken(error) from None
        self.sent_bytes += taken
        if taken < end - start:
            self._rest = [file.view()[start + taken : end]]

    def _send_rest(self) -> None:
        rest = self._rest
        taken = self._send(rest)
        for index, piece in enumerate(rest):
            if taken < len(piece):
                self._rest = [memoryview(piece)[taken:], *rest[index + 1 :]]
                return
            taken -= len(piece)
        self._rest = []

    def flush(self) -> bool:
        """Send what the kernel did not take before; True when nothing is left over."""
        if self._rest:
            self._send_rest()
            if self._rest:
                return False
        if self._pending:
            self._pending = self._pending[self._send([self._pending]) :]
        elif self._connection.is_holding:
            self._send(())
        return not self.is_blocked

    def drop_late(self, unsent_bytes: int) -> None:
        """Keep what the kernel buffers small, so that media can be dropped here when the peer is slow."""
        self._connection.limit_unsent(unsent_bytes)

    def _send(self, pieces: Buffers) -> int:
        try:
            taken = self._connection.send(pieces)
        except OSError as error:
            raise self._broken(error) from None
        self.sent_bytes += taken
        return taken

    def _broken(self, error: OSError) -> MediaError:
        self.framed = None
        # It may have sent a reason before it closed.
        self._read_peer()
        return self._failure or _lost(error)

    def _keep_rest(self, pieces: list[bytes | memoryview], ends: Sequence[int], taken: int) -> int:
        """Find the tag at which the kernel stopped; keep the rest of that tag, so that whole tags remain outside."""
        start = 0
        for index, end in enumerate(ends):
            size = sum(map(len, pieces[start:end]))
            if taken < size:
                if taken == 0:
                    return index
                self._pending = b"".join(pieces[start:end])[taken:]
                return index + 1
            taken -= size
            start = end
        return len(ends)

    def _read_peer(self) -> None:
        """Called by the event loop when the peer sends something, which is rare while publishing."""
        session = self._session
        scratch = bytearray(_HEARD_BYTES)
        failure: MediaError | None = None
        try:
            # Once: a peer that never stops sending must not delay the others. The loop calls again if there is more.
            if received := self._connection.recv_into(memoryview(scratch)):
                session.receive(bytes(scratch[:received]))
            if received == 0:
                failure = DestinationClosed(Code.DESTINATION_CLOSED)
        except OSError as error:
            failure = _lost(error)
        except RemoteProtocolError as error:
            failure = DestinationUnreachable(Code.DESTINATION_BAD_RTMP, why=error.why)
        if session.acknowledgements != self._server_acks:
            self._server_acks = session.acknowledgements
            self._server_acked_at = asyncio.get_running_loop().time()
        if session.ended is not None:
            # Its message tells more than the way it closed afterwards.
            ending = PublishEvicted if session.ended == _UNPUBLISHED else PublishRejected
            failure = ending(Code.DESTINATION_ENDED_STREAM, words=session.ended)
        self._note_asked()
        if failure is None:
            self._pending += session.data_to_send()
            if self._pending:
                self.framed = None
                # At once: with an answer that waits the session is blocked, and a list would skip a visit.
                with suppress(MediaError):
                    self.flush()
            if len(self._pending) > _MAX_PENDING_BYTES:
                self._fail(DestinationStalled(Code.DESTINATION_DEAF))
            elif self._talks_too_much(received or 0):
                # Each ping costs an answer: a flood of them would cost all other streams of the process their time.
                self._fail(DestinationUnreachable(Code.DESTINATION_TALKS_TOO_MUCH))
        else:
            self._fail(failure)

    def _talks_too_much(self, received: int) -> bool:
        now = asyncio.get_running_loop().time()
        self._said_bytes = max(0.0, self._said_bytes - (now - self._heard_at) * _SAID_BYTES_A_SECOND) + received
        self._heard_at = now
        return self._said_bytes > _MAX_SAID_BYTES

    def _note_asked(self) -> None:
        if self._session.moves_to is not None:
            self.move_asked.set()

    def lead_next(self) -> str:
        """See ``Session``."""
        place = self._session.moves_to
        if place is None:
            return ""
        note_move(self._session.url, place)
        return place.server.authority

    def _fail(self, failure: MediaError) -> None:
        self._failure = failure
        self.framed = None
        self._connection.on_readable(None)

    async def aclose(self, *, goes_on: bool = False) -> None:
        """Unpublish and close, so that the destination ends the broadcast now; bounded by a short deadline.

        A broadcast that ``goes_on`` is not unpublished: platforms wait for a while for who just closes. To a peer that
        takes little the kernel goes on sending what it has, and the end after it.
        """
        connection, session = self._connection, self._session
        connection.on_readable(None)
        is_handed_over = False
        try:
            if self._failure is None:
                if not goes_on:
                    session.unpublish()
                async with asyncio.timeout(UNPUBLISH_S):
                    # Nothing comes after this that would be late.
                    connection.limit_unsent(_ANY_BYTES)
                    await connection.write(b"".join((*self._rest, self._pending, session.data_to_send())))
                    connection.finish_sending()
                    is_handed_over = True
                    # Closing with answers unread would reset the connection, and the peer could lose the end.
                    while await connection.read():
                        pass
        except (OSError, TimeoutError):
            pass
        except BaseException:
            is_handed_over = False
            raise
        finally:
            if is_handed_over:
                connection.close()
            self.abort()

    def abort(self) -> None:
        """Reset at once, discarding what the peer has not received yet. Closing again does nothing."""
        if (ends := self._connection.ends()) is not None:
            note_half_open(self._session.url, self._session.options, ends)
        self._connection.reset()


async def open_rtmp_session(
    url: MediaUrl, needs: frozenset[str] = frozenset(), **network: Unpack[DialOptions]
) -> RtmpSession:
    """Connect and publish, if the server lists what the stream ``needs``. Raises DestinationUnreachable or
    PublishRejected.
    """
    try:
        with as_destination_errors():
            link = await open_publish(url, needs, **network)
    except RemoteProtocolError as error:
        raise DestinationUnreachable(Code.DESTINATION_NOT_RTMP, why=error.why) from None
    return RtmpSession(link)


def _lost(error: OSError) -> DestinationUnreachable:
    why = said_by(error) or Reason.of(Code.DESTINATION_CONNECTION_CLOSED)
    kind = DestinationClosed if isinstance(error, ConnectionError) else DestinationUnreachable
    return kind(Code.DESTINATION_CONNECTION_BROKE, why=why).because_of(error)
