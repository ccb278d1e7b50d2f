"""Live inlets: what the beat pulls tags from, and the part that all inlets over a connection share.

A pull is one receive into a scratch buffer that all relays of a process share, and one scan over it. What is left
behind the last whole unit is kept as bytes and put in front of the next ones; nothing else is copied.
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
    SourceForbidden,
    SourceRejected,
    SourceUnreachable,
)
from streamferry.media.tag import Tag

#: Most bytes received in one pull, so that one stream's backlog cannot make the beat late for the others: 52 Mbps at a
#: beat of 80 ms. The scratch buffer should have twice that, for what was kept from the last pull.
MAX_PULL_BYTES = 512 << 10
#: Not all bytes are the same work: 512 KiB in pieces of a byte each take 400 ms to read. A pull that took longer than
#: this is followed by one of half the bytes, and TCP makes the source wait. At least so many are taken: 1.6 Mbps at a
#: beat of 80 ms.
SLOW_PULL_S = 0.003
MIN_PULL_BYTES = 16 << 10

#: Scan ``view[start:end]``, append tags whose bodies are views, return where the first incomplete unit begins.
Scan = Callable[[memoryview, int, int, list[Tag]], int]
#: As ``Connection.recv_into``: bytes received, 0 at the end, None when there are none now. Raises OSError.
ReceiveInto = Callable[[memoryview], int | None]


#: A live source without media for this long is given up and opened again.
SILENCE_S = 5.0


class LiveInlet(Protocol):
    """A live source, connected."""

    #: For how long it may be silent before it counts as stalled, in seconds.
    silence_s: float
    #: Whether it is certain that the source has no sound.
    is_mute: bool

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """Receive once, without waiting, and append the tags that are whole now to ``out``.

        Gives the number of bytes received, 0 when none are there now. Bodies are views of ``scratch``, valid until the
        next pull of anyone. Raises SourceError when the source has ended or failed; tags appended before that count.
        """

    def close(self) -> None:
        """Close the connection. Closing again does nothing."""


class Closable(Protocol):
    """What an inlet closes: a connection, or a child process."""

    def close(self) -> None:
        """Close it. Closing again does nothing."""


class ConnectionInlet:
    """A LiveInlet over a connection: what differs between protocols is how bytes are received and scanned."""

    silence_s = SILENCE_S
    is_mute = False

    def __init__(
        self,
        connection: Closable,
        receive_into: ReceiveInto,
        scan: Scan,
        leftover: bytes,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``leftover``: what was received after the handshake, not scanned yet. ``clock``: what pulls are timed by."""
        self._clock = clock
        self._room_bytes = MAX_PULL_BYTES
        self._connection = connection
        self._receive_into = receive_into
        self._scan = scan
        # Bytes to put in front of the next ones.
        self._kept = leftover
        # The first pull scans also when nothing is received: what came with the acceptance may be whole.
        self._is_first = True

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See :meth:`LiveInlet.pull`."""
        began_at = self._clock()
        kept = self._kept
        start = len(kept)
        if start + MAX_PULL_BYTES > len(scratch):
            # A unit larger than half the scratch is under way: a few pulls with a buffer of their own get it through.
            scratch = memoryview(bytearray(start + MAX_PULL_BYTES))
        try:
            received = self._receive_into(scratch[start : start + self._room_bytes])
            if not received:
                if not self._is_first:
                    if received is None:
                        return 0
                    raise SourceEnded("the source closed the stream")
                received = 0
            self._is_first = False
            if start:
                scratch[:start] = kept
            end = start + received
            start = self._scan(scratch, 0, end, out)
        except OSError as error:
            words = f"the connection to the source broke: {error.strerror or error}"
            raise SourceUnreachable(words).because_of(error) from error
        except RemoteProtocolError as error:
            raise SourceCorrupt(f"the source sent what cannot be read: {error}") from error
        self._kept = bytes(scratch[start:end])
        if received >= MIN_PULL_BYTES or self._room_bytes < MAX_PULL_BYTES:
            if self._clock() - began_at > SLOW_PULL_S:
                self._room_bytes = max(self._room_bytes // 2, MIN_PULL_BYTES)
            else:
                self._room_bytes = min(self._room_bytes * 2, MAX_PULL_BYTES)
        return received

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        self._connection.close()
        # Often methods of who has this inlet: the cycle would keep both until a full collection (relay.collector).
        self._receive_into, self._scan = _receive_nothing, _scan_nothing


def _receive_nothing(view: memoryview) -> int | None:
    return None


def _scan_nothing(view: memoryview, start: int, end: int, out: list[Tag]) -> int:
    return start


@contextmanager
def as_source_errors() -> Iterator[None]:
    """Say of a peer's errors that the peer is the source."""
    try:
        yield
    except PeerForbidden as error:
        raise SourceForbidden(str(error)) from error
    except PeerUnreachable as error:
        raise SourceUnreachable(str(error)).because_of(error) from error
    except PeerRejected as error:
        raise SourceRejected(str(error)) from error
    except RemoteProtocolError as error:
        raise SourceCorrupt(f"the source sent what cannot be read: {error}") from error
