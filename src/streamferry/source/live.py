"""Live inlets: what the beat pulls tags from, and the part that all inlets over a connection share.

A pull is one receive into a scratch buffer that all relays of a process share, and one pass over it. The incomplete
unit at the end is kept as bytes and put in front of the next ones; nothing else is copied.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from streamferry.media.errors import (
    PeerForbidden,
    PeerRejected,
    PeerUnreachable,
    RemoteProtocolError,
    SourceCorrupt,
    SourceEnded,
    SourceError,
    SourceForbidden,
    SourceRejected,
    SourceUnreachable,
)
from streamferry.media.tag import Tag
from streamferry.reasons import Code, said_by

#: Most bytes received in one pull, so that one stream's backlog cannot delay the beat for the others: 52 Mbps at a
#: visit every 160 ms.
MAX_PULL_BYTES = 1 << 20
#: Size of a scratch buffer: in front of the bytes there is as much room again, for the rest of the last pull.
SCRATCH_BYTES = 2 * MAX_PULL_BYTES
#: The work per byte varies: 1 MiB in pieces of one byte takes 800 ms to read. A pull that took longer than this is
#: followed by one of half the bytes, and TCP makes the source wait. This is the least: 1.6 Mbps at a beat of 80 ms.
SLOW_PULL_S = 0.003
MIN_PULL_BYTES = 16 << 10
#: After so many tags the rest of a pull is read in the next visits: a stream has 100 a second, and 1 MiB has room for
#: 60,000, which take 400 ms to send. They are counted after each stretch of so many bytes; in the midst of a large tag
#: stretches are longer, since all that has come of it is copied after each.
MANY_TAGS = 2_000
_STRETCH_BYTES, _MOST_STRETCH_BYTES = 32 << 10, 128 << 10

#: As ``Connection.recv_into``: bytes received, 0 at the end, None when there are none now. Raises OSError.
ReceiveInto = Callable[[memoryview], int | None]


#: A live source without media for this long is given up and reopened.
SILENCE_S = 5.0


class Reader(Protocol):
    """What makes tags of an inlet's bytes."""

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """Take the next bytes of the stream, ``view[start:]``, and append the complete tags; bodies may be views.

        It keeps the rest and puts it in front of the next bytes, into ``view[:start]`` if that is large enough.
        """


class LiveInlet(Protocol):
    """A live source, connected."""

    #: For how long it may be silent before it counts as stalled, in seconds.
    silence_s: float
    #: Whether the source is known to have no sound.
    is_mute: bool

    @property
    def lost_packets(self) -> int:
        """What never came in the session: packets of RTP and MPEG-TS, segments of HLS; 0 where none can be missed."""

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """Receive once, without waiting, and append the tags that are now complete to ``out``.

        Returns the number of bytes received, 0 when none are available. Bodies are views of ``scratch``, valid until
        the next pull of any inlet. Raises SourceError when the source has ended or failed; tags already appended count.
        """

    def close(self) -> None:
        """Close the connection. Closing again does nothing."""


class Closable(Protocol):
    """What an inlet closes: a connection, or a child process."""

    def close(self) -> None:
        """Close it. Closing again does nothing."""


class ConnectionInlet:
    """A LiveInlet over a connection: what differs between protocols is how bytes are received and read."""

    silence_s = SILENCE_S
    is_mute = False
    lost_packets = 0

    def __init__(
        self,
        connection: Closable,
        receive_into: ReceiveInto,
        reader: Reader,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``clock`` times the pulls."""
        self.clock = clock
        #: Most bytes received at a time; how they are received, and what reads them.
        self.room_bytes = MAX_PULL_BYTES
        self.receive_into = receive_into
        self.reader: Reader | None = reader
        self._connection = connection
        self._read = reader.read
        # What was received and has to be read before anything else is; there is less room then.
        self._unread = b""
        # The first pull parses even if nothing is received: bytes that came with the acceptance may hold complete tags.
        self._is_first = True

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See :meth:`LiveInlet.pull`."""
        start = MAX_PULL_BYTES
        if self._unread:
            end = start + len(self._unread)
            scratch[start:end], self._unread = self._unread, b""
            self.read(scratch[:end], start, out)
            return 0
        began_at = self.clock()
        try:
            received = self.receive_into(scratch[start : start + self.room_bytes])
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error
        if not received:
            if not self._is_first:
                if received is None:
                    return 0
                raise SourceEnded(Code.SOURCE_CLOSED)
            received = 0
        self._is_first = False
        self.read(scratch[: start + received], start, out)
        if self._unread:
            return received
        if received >= MIN_PULL_BYTES or self.room_bytes < MAX_PULL_BYTES:
            if self.clock() - began_at > SLOW_PULL_S:
                self.room_bytes = max(self.room_bytes // 2, MIN_PULL_BYTES)
            else:
                self.room_bytes = min(self.room_bytes * 2, MAX_PULL_BYTES)
        return received

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """Read what was received, ``view[start:]``, by a pull or instead of one. After ``MANY_TAGS`` the rest waits."""
        end, stretch_bytes = len(view), _STRETCH_BYTES
        try:
            while end - start > stretch_bytes:
                count = len(out)
                self._read(view[: start + stretch_bytes], start, out)
                start += stretch_bytes
                if len(out) > MANY_TAGS:
                    self._unread = bytes(view[start:])
                    self.room_bytes = max(self.room_bytes // 2, MIN_PULL_BYTES)
                    return
                stretch_bytes = _STRETCH_BYTES if len(out) > count else min(2 * stretch_bytes, _MOST_STRETCH_BYTES)
            self._read(view, start, out)
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        self._connection.close()
        # Often methods of this inlet's owner: the cycle would keep both until a full collection (relay.collector).
        self.receive_into, self._read, self.reader = _receive_nothing, _read_nothing, None


def _receive_nothing(view: memoryview) -> int | None:
    return None


def _read_nothing(view: memoryview, start: int, out: list[Tag]) -> None:
    return None


def as_source_error(error: OSError | RemoteProtocolError) -> SourceError:
    """The error of the source for one of receiving or reading."""
    if isinstance(error, OSError):
        return connection_broke(error)
    return SourceCorrupt(Code.SOURCE_UNREADABLE, why=error.why)


def connection_broke(error: OSError) -> SourceUnreachable:
    """The error for a connection to a source that broke while media came."""
    return SourceUnreachable(Code.SOURCE_CONNECTION_BROKE, why=said_by(error)).because_of(error)


@contextmanager
def as_source_errors() -> Iterator[None]:
    """Turn a peer's errors into errors of the source."""
    try:
        yield
    except PeerForbidden as error:
        raise SourceForbidden(error.why) from error
    except PeerUnreachable as error:
        raise SourceUnreachable(error.why).because_of(error) from error
    except PeerRejected as error:
        rejected = SourceRejected(error.why)
        rejected.retry_after_s = error.retry_after_s
        raise rejected from error
    except RemoteProtocolError as error:
        raise SourceCorrupt(Code.SOURCE_UNREADABLE, why=error.why) from error
