"""SRT destinations: MPEG-TS of an ffmpeg child, sent by libsrt from this process.

Acknowledged is what the child has read, less what the peer's SRT has not acknowledged. SRT itself drops media that is
later than its latency: a peer on a slow line gets gaps, and its acknowledgements continue. SRT detects a peer that is
gone or stopped after 5 s. A peer keeps what it has received for its latency, and throws it away when the connection
ends: so at the end of a broadcast that stays open for as long.
"""

import asyncio
from contextlib import suppress
from typing import Unpack

from streamferry.media.errors import (
    DestinationUnreachable,
    DestinationUnsupported,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.srt import MESSAGE_BYTES, LibraryMissing, SrtSender, open_sender
from streamferry.push.mpegts import RemuxSession
from streamferry.push.peer_errors import as_destination_errors
from streamferry.push.rtmp import UNPUBLISH_S
from streamferry.reasons import Code, InvalidValue
from streamferry.wire.ts import TS_PACKET_BYTES

_READ_BYTES = 200 * MESSAGE_BYTES
_POLL_S = 0.02
#: A peer whose latency is longer loses what it still keeps when the connection ends.
MOST_LATENCY_S = 8.0
# So much later than its latency says a peer may hand something on.
_LATE_S = 0.2


class SrtSession(RemuxSession):
    """A session with the surface of ``RtmpSession``."""

    def __init__(self, sender: SrtSender, url: MediaUrl) -> None:
        """Take over ``sender``. Raises DestinationSenderFailed."""
        super().__init__(url)
        self._sender = sender
        # MPEG-TS of the child that was not passed to the library yet.
        self._unsent = b""
        self._scratch = memoryview(bytearray(_READ_BYTES))
        self._acked_bytes = 0
        # When something was last passed to the library, on the loop's clock.
        self._sent_at = 0.0
        self._child.on_readable(self._pump)

    @property
    def acked_bytes(self) -> int:
        """See the module's docstring; in bytes of FLV, like ``sent_bytes``."""
        on_its_way = self._unread_bytes() + len(self._unsent) + self._sender.unacked_bytes()
        self._acked_bytes = max(self._acked_bytes, self.sent_bytes - on_its_way)
        return self._acked_bytes

    def check(self) -> None:
        """See ``RemuxSession.check``."""
        if not self._sender.is_connected:
            raise DestinationUnreachable(Code.DESTINATION_SRT_BROKE, peer=self._sender.peer)
        super().check()
        if self._unsent:
            self._child.on_readable(self._pump)

    def _pump(self) -> None:
        """Called by the event loop when the child has written."""
        while self._send_unsent():
            received = self._child.receive_into(self._scratch)
            if not received:
                if self._child.has_closed_output:
                    self._child.on_readable(None)
                return
            self._unsent += bytes(self._scratch[:received])
        # The library's buffer is full, or the connection broke: what is in the pipe stays there until the next check.
        self._child.on_readable(None)

    def _send_unsent(self) -> bool:
        """Send all whole packets; False when the library does not take them now."""
        unsent = self._unsent
        end = len(unsent) - len(unsent) % TS_PACKET_BYTES
        for start in range(0, end, MESSAGE_BYTES):
            try:
                is_taken = self._sender.send(unsent[start : min(start + MESSAGE_BYTES, end)])
            except OSError:  # ``check`` finds what happened.
                is_taken = False
            if not is_taken:
                self._unsent = unsent[start:]
                return False
            self._sent_at = asyncio.get_running_loop().time()
        self._unsent = unsent[end:]
        return True

    async def aclose(self, *, goes_on: bool = False) -> None:
        """Send what the child still has, wait for its acknowledgement, and close; bounded by a short deadline.

        The end of a broadcast waits until the peer has handed everything on, up to ``MOST_LATENCY_S``. One that
        ``goes_on`` in another session does not: the peer may take one at a time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(UNPUBLISH_S):
                while not self.flush():  # noqa: ASYNC110 - bounded by the deadline
                    await asyncio.sleep(_POLL_S)
                self._child.finish_sending()
                while self._sender.is_connected:
                    self._pump()
                    if (
                        self._child.ended.done()
                        and len(self._unsent) < TS_PACKET_BYTES
                        and not self._sender.unacked_bytes()
                    ):
                        break
                    await asyncio.sleep(_POLL_S)
            if not goes_on:
                await self._wait_until_handed_on()
        self.abort()

    async def _wait_until_handed_on(self) -> None:
        clock = asyncio.get_running_loop()
        kept_s = min(self._sender.peer_latency_s, MOST_LATENCY_S) + _LATE_S
        while self._sender.is_connected and clock.time() < self._sent_at + kept_s:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_POLL_S)

    def abort(self) -> None:
        """Close at once: the peer is gone or stuck."""
        self._child.on_readable(None)
        self._child.close()
        self._sender.close()


async def open_srt_session(url: MediaUrl, **network: Unpack[DialOptions]) -> SrtSession:
    """Connect, as caller or listener. Raises DestinationError."""
    try:
        with as_destination_errors():
            sender = await open_sender(url, **network)
    except (LibraryMissing, InvalidValue) as error:
        raise DestinationUnsupported(error.why) from None
    try:
        return SrtSession(sender, url)
    except BaseException:
        sender.close()
        raise
