"""The live inlet of an RTSP session: packets to tags, and what keeps the session: reports, requests, goodbyes.

All of it in the beat's visits, by plain calls. Media comes at the pace of the camera, so nothing is held back.

Specification: RFC 2326, 10 (methods that a server may call), 10.12 (interleaved packets), 12.37 (timeout).
"""

import asyncio
import time
from collections.abc import Callable

from streamferry.media.errors import RemoteProtocolError, SourceEnded, SourceUnreachable
from streamferry.media.tag import Tag
from streamferry.net.rtsp import RtspLink
from streamferry.reasons import Code
from streamferry.source.hls_reader import NeedsFfmpeg
from streamferry.source.live import MAX_PULL_BYTES, SILENCE_S, SLOW_PULL_S, as_source_error
from streamferry.source.sound_encoder import SoundEncoder
from streamferry.source.stretch import Stretch
from streamferry.wire.rtsp.message import Message, Piece, interleaved, serialize_response
from streamferry.wire.rtsp.playing import Playing

# Reports and requests that the server has not taken: beyond it, it has not read for ages.
_MAX_UNSENT_BYTES = 64 << 10
# A session is kept this often, if its timeout does not ask for more.
_KEEP_EVERY_S = 30.0
_LEAST_KEEP_S = 1.0
_GONE = 454
# What is received and read at a time. Datagrams, which cannot wait for long, are read for longer before others have
# their turn; of one there is always room.
_STRETCH_BYTES = 32 << 10
_DATAGRAM_PULL_S, _DATAGRAM_BYTES = 0.02, 68 << 10
# What is answered to a server that asks, so that it does not ask for ever.
_KNOWN = frozenset(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "REDIRECT", "TEARDOWN"))
_ENDING = frozenset(("ANNOUNCE", "REDIRECT", "TEARDOWN"))
_LOOK_EVERY_S = 0.01
# For the first packet of the other track, so that it is known when it came.
_BESIDE_S = 1.0


class RtspInlet:
    """The LiveInlet of RTSP. ``playing`` has the tracks of ``link``."""

    silence_s = SILENCE_S

    def __init__(self, link: RtspLink, playing: Playing, *, is_mute: bool, encoder: SoundEncoder | None = None) -> None:
        """``encoder``: of its sound, if that has to be encoded."""
        self.is_mute = is_mute
        self._encoder = encoder
        #: Called with where the server sends its players, when it does so.
        self.on_redirect: Callable[[str], None] = lambda location: None
        #: Called when it is found that only ffmpeg reads the source.
        self.needs_ffmpeg: Callable[[], None] = lambda: None
        self._link = link
        self._playing = playing
        self._clock = asyncio.get_running_loop().time
        self._began_at = self._clock()
        self._is_udp = link.is_udp
        self._stretch = Stretch(_STRETCH_BYTES)
        self._unsent = b""
        self._keeps_by = "GET_PARAMETER"
        if link.methods and "GET_PARAMETER" not in link.methods:
            self._keeps_by = "OPTIONS"
        self._keep_every_s = max(_LEAST_KEEP_S, min(link.requests.timeout_s / 2, _KEEP_EVERY_S))
        self._keep_at = self._began_at + self._keep_every_s

    @property
    def is_aligned(self) -> bool:
        """Whether sender reports have laid sound and picture beside each other."""
        return self._playing.is_aligned

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet.lost_packets``."""
        return self._playing.lost_packets

    async def look(self, patience_s: float) -> bool:
        """Wait for the first packet of each track, ``patience_s`` for any. Returns whether one came.

        Raises SourceError.
        """
        scratch = memoryview(bytearray(MAX_PULL_BYTES))
        until = self._began_at + patience_s
        while not self._playing.has_all:
            self._receive(scratch)
            now = self._clock()
            if self._playing.has_any:
                until = min(until, now + _BESIDE_S)
            if now >= until:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return self._playing.has_any

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See :meth:`LiveInlet.pull`. Bodies do not lie in ``scratch``."""
        tags = self._playing.tags
        try:
            return self._receive(scratch)
        finally:
            out.extend(tags)
            tags.clear()

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        self._link.close()
        if self._encoder is not None:
            self._encoder.close()

    def _receive(self, scratch: memoryview) -> int:
        link, playing = self._link, self._playing
        now, began_at = self._clock() - self._began_at, time.perf_counter()
        received = 0
        try:
            if link.early:
                self._take_early(link.early, now)
            while True:
                size_bytes = self._stretch.size_bytes
                count = link.connection.recv_into(scratch[:size_bytes])
                if count:
                    received += count
                    with self._stretch:
                        messages = playing.read(link.reader, scratch[:count], now)
                    for message in messages:
                        self._hear(message)
                # Tiny packets take long: the others wait no longer than for an ordinary pull.
                if count != size_bytes or received >= MAX_PULL_BYTES or time.perf_counter() - began_at > SLOW_PULL_S:
                    break
            if self._is_udp:
                received += self._receive_datagrams(scratch, now, began_at)
            if self._encoder is not None:
                self._encoder.work(scratch, playing.tags)
            self._keep(now)
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error
        if count == 0 or playing.has_ended:
            raise SourceEnded(Code.SOURCE_CLOSED)
        if playing.unsupported:
            self.needs_ffmpeg()
            raise NeedsFfmpeg(Code.SOURCE_NEEDS_ENCODING, codec=playing.unsupported)
        return received

    def _take_early(self, pieces: list[Piece], now: float) -> None:
        """What came before the session played."""
        for piece in pieces:
            if isinstance(piece, Message):
                self._hear(piece)
            else:
                self._playing.take(*piece, now)
        pieces.clear()

    def _receive_datagrams(self, scratch: memoryview, now: float, began_at: float) -> int:
        received = 0
        for track in self._link.tracks:
            if track.ports is None:
                continue
            while True:
                size_bytes = self._stretch.size_bytes
                count = track.ports.receive_into(scratch[: _DATAGRAM_BYTES + size_bytes], track.channel)
                received += count
                with self._stretch:
                    self._playing.read_packets(bytes(scratch[:count]), now)
                if count < size_bytes or time.perf_counter() - began_at > _DATAGRAM_PULL_S:
                    break
        return received

    def _hear(self, message: Message) -> None:
        """A response to what keeps the session, or a request of the server."""
        requests = self._link.requests
        if message.status:
            again = requests.take(message)
            if again is not None:
                self._unsent += again
            elif message.status == _GONE:
                raise SourceEnded(Code.SOURCE_ENDED_STREAM, words=f"{_GONE} Session Not Found")
            elif message.status >= 400 and message.status != 401:
                # It keeps its session by other means; OPTIONS is known everywhere.
                self._keeps_by = "OPTIONS"
            return
        known = message.method in _KNOWN
        status, phrase = (200, "OK") if known else (501, "Not Implemented")
        fields = {"Session": requests.session} if requests.session else {}
        if message.method == "OPTIONS":
            fields["Public"] = ", ".join(sorted(_KNOWN))
        self._unsent += serialize_response(message, status, phrase, fields)
        if len(self._unsent) > _MAX_UNSENT_BYTES:
            self._send()
        if message.method in _ENDING:
            self._send()
            if message.method == "REDIRECT":
                self.on_redirect(message.fields.get("location", ""))
            raise SourceEnded(Code.SOURCE_ENDED_STREAM, words=message.method)

    def _keep(self, now: float) -> None:
        """Send what is due. Raises OSError and SourceUnreachable."""
        link = self._link
        for channel, report in self._playing.reports(now):
            for track in link.tracks:
                if track.channel == channel - 1:
                    if track.ports is not None:
                        track.ports.send(1, report)
                    else:
                        self._unsent += interleaved(channel, report)
        if now + self._began_at >= self._keep_at:
            self._keep_at = now + self._began_at + self._keep_every_s
            self._unsent += link.requests.ask(self._keeps_by, link.url)
        self._send()

    def _send(self) -> None:
        if self._unsent:
            self._unsent = self._unsent[self._link.connection.send([self._unsent]) :]
            if len(self._unsent) > _MAX_UNSENT_BYTES:
                raise SourceUnreachable(Code.SOURCE_DEAF)
