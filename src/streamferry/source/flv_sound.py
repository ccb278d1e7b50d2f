"""Sound of live FLV and RTMP that platforms and players refuse, encoded to AAC by a child of ffmpeg.

Cameras send G.711 in FLV, old encoders Speex, Nellymoser or plain samples. The child gets the sound alone, as FLV, and
gives FLV: so every codec of FLV is read, and each frame comes back with its time. The picture does not wait.

Specification: FLV E.4.2.1 (SoundFormat).
"""

from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, ENCODED_SOUNDS, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg import FLV_OUTPUT
from streamferry.source.flv import FlvReader
from streamferry.source.live import Closable, ConnectionInlet, Reader, ReceiveInto
from streamferry.source.sound_child import AT_ONCE, TO_AAC, SoundChild, SoundStarts
from streamferry.wire.flv import serialize_flv_header, serialize_tag

# It changes no stamps; what is missing becomes silence.
_READING = (*AT_ONCE, "-copyts", "-f", "flv", "-i", "pipe:0")
_ENCODING = (*TO_AAC, "-af", "aresample=async=1000")
# The child's stamps begin here, because the encoder puts some sound before the first.
_BEGIN_MS = 1_000
# Another step is not sound that is missing or mixed up, but another clock.
_MOST_BACK_MS, _MOST_STEP_MS = 500, 10_000
# Before the child's stamps reach their sign.
_LONGEST_MS = 1 << 30
_READ_BYTES = 32 << 10
#: Of sound that the child has not taken.
_MAX_UNSENT_BYTES = 1 << 20


class FlvSound:
    """Of one session. ``url``: of the source, whose secrets are removed from what ffmpeg says."""

    def __init__(self, url: MediaUrl, starts: SoundStarts) -> None:
        self._url = url
        self._starts = starts
        self._child: SoundChild | None = None
        self._reader = FlvReader()
        self._form = b""
        self._begun_ms = self._last_ms = 0
        self._unsent = bytearray()
        self._room = memoryview(bytearray(_READ_BYTES))

    def take(self, tags: list[Tag]) -> list[Tag]:
        """Keep the sound of such tags, and give the others. Raises SourceReaderFailed."""
        rest: list[Tag] = []
        for tag in tags:
            if tag[0] == AUDIO and is_encoded(tag[2]):
                self._put(tag[1], tag[2])
            else:
                rest.append(tag)
        return rest

    def _put(self, stamp: int, body: "bytes | memoryview") -> None:
        if (
            self._child is None
            or bytes(body[:1]) != self._form
            or not -_MOST_BACK_MS <= signed_delta_ms(stamp, self._last_ms) <= _MOST_STEP_MS
            or not -_BEGIN_MS <= signed_delta_ms(stamp, self._begun_ms) < _LONGEST_MS
        ):
            self.close()
            if not self._starts.take():
                return
            self._form, self._begun_ms = bytes(body[:1]), stamp
            self._reader, self._unsent = FlvReader(), bytearray(serialize_flv_header(True, False))
            self._child = SoundChild([*_READING, *_ENCODING, *FLV_OUTPUT], self._url)
        self._last_ms = stamp
        self._unsent += serialize_tag(AUDIO, _BEGIN_MS + signed_delta_ms(stamp, self._begun_ms), body)

    def work(self, out: list[Tag]) -> None:
        """Pass on what came, and append the frames that are done. Raises SourceReaderFailed."""
        child = self._child
        if child is None:
            return
        child.send(self._unsent, _MAX_UNSENT_BYTES)
        frames: list[Tag] = []
        for received in child.receive(self._room):
            self._reader.read(received, 0, frames)
            for tag_type, ms, body in frames:
                if tag_type == AUDIO:
                    # The header's is 0.
                    out.append((AUDIO, to_wire_ms(self._begun_ms + (ms - _BEGIN_MS if ms else 0)), bytes(body)))
            frames.clear()

    def close(self) -> None:
        """End the child. Closing again does nothing."""
        if self._child is not None:
            self._child.close()
            self._child = None


class FlvInlet(ConnectionInlet):
    """A LiveInlet of tags as servers have them. ``url``: of the source; ``starts``: of encoders of its sound."""

    def __init__(
        self, url: MediaUrl, starts: SoundStarts, connection: Closable, receive_into: ReceiveInto, reader: Reader
    ) -> None:
        super().__init__(connection, receive_into, reader)
        self._url = url
        self._starts = starts
        self._is_heard = False
        self._sound: FlvSound | None = None

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See :meth:`LiveInlet.pull`."""
        received = super().pull(scratch, out)
        if self._sound is not None:
            self._sound.work(out)
        return received

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``ConnectionInlet``. The fast path leaves sound that is to be encoded to this."""
        begin = len(out)
        super().read(view, start, out)
        if not self._is_heard:
            sound = next((tag[2] for tag in out[begin:] if tag[0] == AUDIO and tag[2]), None)
            if sound is not None:
                self._is_heard = True
                self._sound = FlvSound(self._url, self._starts) if is_encoded(sound) else None
        if self._sound is not None:
            out[begin:] = self._sound.take(out[begin:])
            self._sound.work(out)

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        super().close()
        if self._sound is not None:
            self._sound.close()


def is_encoded(body: "bytes | memoryview") -> bool:
    """Whether a tag's sound is of a codec that has to be encoded."""
    return len(body) > 1 and body[0] >> 4 in ENCODED_SOUNDS
