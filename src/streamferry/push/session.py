"""What every publish session has in common, whatever it speaks; ``push.rtmp`` has the one that others follow."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from streamferry.media.tag import LaidTag
from streamferry.net.connection import SendableFile
from streamferry.net.tcp_info import TcpInfo
from streamferry.push.forms import Forms
from streamferry.wire.rtmp.framed import Framed


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection of a session is doing. ``server_ack_s``: how long ago the server itself has acknowledged
    media, and not only its TCP; None if it never has, which many do not.
    """

    tcp: TcpInfo
    server_ack_s: float | None


class ChunkSession(Protocol):
    """What a session takes that speaks RTMP: chunks as they lie in a file (``wire.rtmp.chunk_file``).

    It takes all that it is given. What the kernel does not take is kept as views, and the session is blocked till then.
    """

    @property
    def message_stream_id(self) -> int:
        """The message stream of its media."""

    @property
    def has_begun(self) -> bool:
        """Whether there was media."""

    @property
    def zero_ms(self) -> int:
        """Where on the output clock its stamps are 0, once it has begun."""

    def begin_at(self, dts_ms: int) -> None:
        """The session's first media has that stamp on the output clock, unless it has begun."""

    def write_tags(self, tags: list[LaidTag]) -> None:
        """Send tags, each with its stamp; all of them are taken. Raises DestinationError."""

    def write_pieces(self, pieces: "list[bytes | memoryview]") -> None:
        """Send whole messages. Raises DestinationError."""

    def write_file(self, file: SendableFile, start: int, end: int) -> None:
        """The same of a stretch of a file: the hot path."""


class Session(Protocol):
    """One session to a destination. ``write`` and ``flush`` are for the beat; see ``push.rtmp`` for all of them."""

    #: Bytes on their way since the session began.
    sent_bytes: int

    @property
    def move_asked(self) -> asyncio.Event | None:
        """Set when the peer has asked to go on in another session; None where it cannot ask."""

    def lead_next(self) -> str:
        """Let the next session of the address begin where the peer has asked to go on; gives host and port of that."""

    @property
    def acked_bytes(self) -> int:
        """How many of ``sent_bytes`` have arrived, as far as can be known. Raises DestinationError."""

    @property
    def is_blocked(self) -> bool:
        """Whether the last write was not taken in full."""

    @property
    def forms(self) -> Forms | None:
        """The form in which codecs are written; None where they are taken as they come."""

    @property
    def link(self) -> Link | None:
        """How the connection is doing now; None where that is not known."""

    @property
    def chunks(self) -> ChunkSession | None:
        """The same session for media in chunks; None if it takes only tags."""

    @property
    def framed(self) -> Framed | None:
        """Where to put frames that are framed already, for the next ``write``; None while there is no such place."""

    def write(self, tags: list[LaidTag]) -> int:
        """Send what is in ``framed``, then the tags; return how many are on their way. Raises DestinationError."""

    def flush(self) -> bool:
        """Send what was not taken before; True when nothing is left over. Raises DestinationError."""

    def check(self) -> None:
        """Raise the DestinationError with which the session ended, if it did."""

    def drop_late(self, unsent_bytes: int) -> None:
        """Buffer little, not much more than that, so that late media can be dropped here."""

    async def aclose(self, *, goes_on: bool = False) -> None:
        """End the broadcast properly; only this session, where it ``goes_on`` in another. Bounded in time."""

    def abort(self) -> None:
        """Close at once."""
