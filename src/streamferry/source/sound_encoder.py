"""Sound that FLV cannot carry, encoded to AAC by a child of ffmpeg that gets nothing else. The picture does not wait.

Its input has no holes, so the time of a frame that it gives follows from how many came before.
"""

from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.source.sound_child import AT_ONCE, RATE_HZ, TO_AAC, SoundChild, SoundStarts
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.rtsp.plain_sound import MAX_WAITING_BYTES, StreamedSound

# The encoder puts so many samples before the first.
_PRIMING_TICKS = 1024 * 90_000 // RATE_HZ
_OUTPUT = ("-flush_packets", "1", "-f", "adts", "pipe:1")


class SoundEncoder:
    """Of one session's track. ``url``: of the source, whose secrets are removed from what ffmpeg says."""

    def __init__(self, track: StreamedSound, url: MediaUrl, starts: SoundStarts) -> None:
        self._track = track
        self._starts = starts
        self._url = url
        self._child: SoundChild | None = None
        self._frames = Sounds("aac")
        self._begins_at: int | None = None

    def work(self, scratch: memoryview, out: list[Tag]) -> None:
        """Pass on what came, and append the frames that are done. Raises SourceReaderFailed."""
        track = self._track
        if track.is_new:
            track.is_new = False
            self.close()
            if not self._starts.take():
                track.begin_anew()
                return
            self._begins_at = (track.begins_at or 0) - _PRIMING_TICKS
            self._frames = Sounds("aac")
            reading = (*AT_ONCE, *track.input_words, "-i", "pipe:0")
            self._child = SoundChild([*reading, *TO_AAC, *_OUTPUT], self._url)
        child = self._child
        if child is None:
            return
        if track.stream:
            child.send(track.stream, MAX_WAITING_BYTES)
        for received in child.receive(scratch):
            self._frames.put(bytes(received), self._begins_at, out)
            self._begins_at = None

    def close(self) -> None:
        """End the child. Closing again does nothing."""
        if self._child is not None:
            self._child.close()
            self._child = None
