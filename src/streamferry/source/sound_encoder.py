"""Sound that FLV cannot carry, encoded to AAC by a child of ffmpeg that gets nothing else. The picture does not wait.

Its input has no holes, so the time of a frame that it gives follows from how many came before.
"""

from streamferry.media.errors import SourceReaderFailed
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import Ffmpeg
from streamferry.reasons import Code
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.rtsp.plain_sound import MAX_WAITING_BYTES, PlainForm, PlainSoundTrack

_RATE_HZ = 48_000
# The encoder puts so many samples before the first.
_PRIMING_TICKS = 1024 * 90_000 // _RATE_HZ
# Reads and writes at once what there is.
_AT_ONCE = ("-probesize", "32", "-analyzeduration", "0")
_ENCODING = ("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", str(_RATE_HZ))
_OUTPUT = ("-flush_packets", "1", "-f", "adts", "pipe:1")


class SoundEncoder:
    """Of one session's track. ``url``: of the source, whose secrets are removed from what ffmpeg says."""

    def __init__(self, track: PlainSoundTrack, url: MediaUrl) -> None:
        self._track = track
        self._url = url
        self._child: Ffmpeg | None = None
        self._frames = Sounds("aac")
        self._begins_at: int | None = None

    def work(self, scratch: memoryview, out: list[Tag]) -> None:
        """Pass on what came, and append the frames that are done. Raises SourceReaderFailed."""
        track = self._track
        if track.is_new:
            track.is_new = False
            self.close()
            self._begins_at = (track.begins_at or 0) - _PRIMING_TICKS
            self._frames = Sounds("aac")
            self._child = self._start(track.form)
        child = self._child
        if child is None:
            return
        if track.stream:
            try:
                del track.stream[: child.send([bytes(track.stream)])]
            except OSError:  # It has ended; its status follows.
                track.stream.clear()
            # The child does not compute fast enough.
            if len(track.stream) > MAX_WAITING_BYTES:
                raise SourceReaderFailed(Code.SOURCE_BROKE_OFF, words="the sound cannot be encoded in time")
        while received := child.receive_into(scratch):
            self._frames.put(bytes(scratch[:received]), self._begins_at, out)
            self._begins_at = None
        if received == 0:
            raise SourceReaderFailed(Code.SOURCE_BROKE_OFF, words=child.complaint)

    def close(self) -> None:
        """End the child. Closing again does nothing."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self, form: PlainForm) -> Ffmpeg:
        reading = ["-f", form.name]
        if form.code_bits:
            reading += ["-code_size", str(form.code_bits), "-ar", str(form.rate_hz)]
        elif form.name != "g722":  # Whose rate is given.
            reading += ["-ar", str(form.rate_hz), "-ac", str(form.channels)]
        try:
            return Ffmpeg([*_AT_ONCE, *reading, "-i", "pipe:0", *_ENCODING, *_OUTPUT], self._url, takes_stdin=True)
        except ChildError as error:
            raise SourceReaderFailed(error.why) from error
