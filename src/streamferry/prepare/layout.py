"""The prepared file: FLV laid out so that it can be played as it is, and an index of where playing can start.

    FLV header | onMetaData | sequence headers | frames in strict DTS order, the first at 0 ms

Stamps rise strictly per track and never fall across tracks; the offset between audio and video is the source's.
A sequence header that changes later is written where it changes, and repeated before each keyframe from then on,
so that playing can start at every entry of the index. Not here: where tags come from, and files: the writer gives
bytes. Specification: Adobe Video File Format 10.1, annex E.
"""

from bisect import bisect_right
from collections.abc import Iterable

from streamferry.media.enhanced import HeaderKey, headers_in, tag_kind
from streamferry.media.errors import SourceUnsupported
from streamferry.media.starts import Starts
from streamferry.media.tag import AUDIO, OTHER, SCRIPT, SEQUENCE_HEADER, SIDE_DATA, START, VIDEO, Tag
from streamferry.prepare.form import AudioForm
from streamferry.reasons import Code
from streamferry.wire.aac import FRAME_SAMPLES, silent_frame, silent_header
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.flv import parse_metadata, serialize_flv_header, serialize_metadata, serialize_tag

# How long the first frames wait for a track the header promised: ffmpeg's own interleaving waits 10 s as well.
_PROMISED_TRACK_WAIT_MS = 10_000
_PROMISED_TRACK_WAIT_BYTES = 16 << 20
# ffmpeg interleaves by DTS, so a late tag is rounding (1-2 ms) or a source interleaved worse than ffmpeg's window.
_LATE_LIMIT_MS = 500
# Without video a player may start at any frame; one place a second keeps the index small.
_AUDIO_INDEX_STEP_MS = 1000
# Duration of a track's only frame: there is no other to measure against.
_LONE_FRAME_MS = {VIDEO: 40, AUDIO: 23}
# What ffmpeg puts into onMetaData that is not true of a file still growing, or of no use to a player.
_METADATA_LEFT_OUT = frozenset(("duration", "filesize", "encoder"))


class BadInterleave(SourceUnsupported):
    """A tag came so late that order cannot be kept: the source must be read with seeking, or the tag dropped."""


class _Track:
    __slots__ = ("frame_ms", "last_ms")

    def __init__(self, lone_frame_ms: int) -> None:
        self.last_ms = -1
        self.frame_ms = lone_frame_ms


class FlvLayout:
    """Lays tags in the prepared order. Feed tags, take ``pending`` bytes to the file, then ``finish``.

    ``promised`` holds the tag types the input says it has. Offsets count from the file's start.
    ``drop_late`` says what becomes of tags too late to be put in order: False raises BadInterleave, True drops them.
    ``silence`` is laid beside a picture without sound.
    """

    def __init__(self, promised: frozenset[int], drop_late: bool = False, silence: AudioForm | None = None) -> None:
        self.pending = bytearray()
        self.first_offset = 0
        self.end_offset = 0
        self.keyframes: list[tuple[int, int]] = []
        self.dropped_tags = 0
        self.started = False
        self._promised = promised
        self._drop_late = drop_late
        self._metadata: dict[str, Amf0Value] = {}
        self._tracks = {kind: _Track(_LONE_FRAME_MS[kind]) for kind in (VIDEO, AUDIO)}
        self._headers: dict[HeaderKey, bytes] = {}
        self._starts = Starts()
        self._held: list[tuple[int, int, bytes, int]] = []
        self._held_bytes = 0
        self._seen: set[int] = set()
        self._base_ms = 0
        self._last_ms = 0
        self._last_index_ms = -_AUDIO_INDEX_STEP_MS
        self._headers_changed = False
        self._silence = silence
        self._silent_frame = silent_frame(silence.channels) if silence else b""
        self._silent_frames_laid = 0

    @property
    def media_ms(self) -> int:
        """Stamp of the last frame laid."""
        return self._last_ms

    @property
    def duration_ms(self) -> int:
        """Where the next item joins: the latest end of a track, an end being last DTS + last frame's duration."""
        return max((t.last_ms + t.frame_ms for t in self._tracks.values() if t.last_ms >= 0), default=0)

    def keyframe_at_or_before(self, ms: int) -> int:
        """Offset of the last place to start that is not after ``ms``; of the first if there is none."""
        return self.keyframes[max(0, bisect_right(self.keyframes, ms, key=lambda place: place[0]) - 1)][1]

    def keyframe_behind(self, offset: int) -> int:
        """Offset of the last place to start that is not after ``offset``; 0 if there is none."""
        count = bisect_right(self.keyframes, offset, key=lambda place: place[1])
        return self.keyframes[count - 1][1] if count else 0

    def feed(self, tags: Iterable[Tag]) -> None:
        """Lay tags in the order a muxer gave them; raises BadInterleave."""
        for tag_type, stamp_ms, body in tags:
            if tag_type == SCRIPT:
                if not self.started:
                    self._metadata |= parse_metadata(body)
                continue
            kind = tag_kind(tag_type, body)
            if kind in (SEQUENCE_HEADER, SIDE_DATA):
                self._take_header(tag_type, body)
                continue
            if kind == OTHER:
                # An end of sequence would end the picture at the first loop.
                continue
            if tag_type == VIDEO:
                kind = self._starts.mark_picture(kind)
            if tag_type in self._seen or tag_type == AUDIO or kind == START:
                self._seen.add(tag_type)
                self._take(tag_type, stamp_ms, body, kind)

    def finish(self) -> None:
        """The input has ended: lay what still waits. Raises SourceUnsupported if there was no frame at all."""
        if not self.started:
            if not self._seen:
                raise SourceUnsupported(Code.FILE_NO_FRAME)
            self._start()
        self._lay_silence(self.duration_ms)

    def _take(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview", kind: int) -> None:
        if self.started:
            self._lay(tag_type, stamp_ms, body, kind)
            return
        self._held.append((tag_type, stamp_ms, bytes(body), kind))
        self._held_bytes += len(body)
        waited_ms = stamp_ms - self._held[0][1]
        if (
            self._seen >= self._promised
            or waited_ms > _PROMISED_TRACK_WAIT_MS
            or self._held_bytes > _PROMISED_TRACK_WAIT_BYTES
        ):
            self._start()

    def _take_header(self, tag_type: int, body: "bytes | memoryview") -> None:
        for key, header in headers_in(tag_type, body).items():
            # Two bytes are an AAC header before the muxer knows what is in it.
            if header == self._headers.get(key) or len(header) <= 2:
                continue
            self._headers[key] = header
            if self.started:
                self._headers_changed = True
                self._write(tag_type, self._last_ms, header)

    def _start(self) -> None:
        self.started = True
        has_audio = AUDIO in self._promised or self._silence is not None
        self._append(serialize_flv_header(has_audio, VIDEO in self._promised))
        metadata = {name: value for name, value in self._metadata.items() if name not in _METADATA_LEFT_OUT}
        if self._silence is not None:
            self._headers[(AUDIO, 0, 0)] = silent_header(self._silence.rate_hz, self._silence.channels)
            metadata |= {
                "audiocodecid": 10.0,
                "audiosamplerate": float(self._silence.rate_hz),
                "audiosamplesize": 16.0,
                "stereo": self._silence.channels == 2,
            }
        self._write(SCRIPT, 0, serialize_metadata(metadata))
        self._write_headers(0)
        self.first_offset = self.end_offset
        self._held.sort(key=lambda held: held[1])
        self._base_ms = self._held[0][1]
        for held in self._held:
            self._lay(*held)
        self._held.clear()

    def _lay(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview", kind: int) -> None:
        track = self._tracks[tag_type]
        dts_ms = max(stamp_ms - self._base_ms, track.last_ms + 1)
        if dts_ms < self._last_ms:
            if self._last_ms - dts_ms > _LATE_LIMIT_MS:
                if not self._drop_late:
                    raise BadInterleave(Code.FILE_BAD_INTERLEAVE)
                self.dropped_tags += 1
                return
            dts_ms = max(self._last_ms, track.last_ms + 1)
        self._lay_silence(dts_ms)
        self._last_ms = dts_ms
        mark = kind if tag_type == VIDEO else self._starts.sound
        if mark == START and (tag_type == VIDEO or dts_ms - self._last_index_ms >= _AUDIO_INDEX_STEP_MS):
            self._last_index_ms = dts_ms
            self.keyframes.append((dts_ms, self.end_offset))
            if self._headers_changed:
                self._write_headers(dts_ms)
        if track.last_ms >= 0:
            track.frame_ms = dts_ms - track.last_ms
        track.last_ms = dts_ms
        self._write(tag_type, dts_ms, body)

    def _lay_silence(self, until_ms: int) -> None:
        """Silence up to a moment, so that the picture of that moment is the next tag."""
        if self._silence is None:
            return
        track = self._tracks[AUDIO]
        samples_ms = FRAME_SAMPLES * 1000 / self._silence.rate_hz
        while (stamp_ms := round(self._silent_frames_laid * samples_ms)) < until_ms:
            self._silent_frames_laid += 1
            self._last_ms = track.last_ms = stamp_ms
            track.frame_ms = round(samples_ms)
            self._write(AUDIO, stamp_ms, self._silent_frame)

    def _write_headers(self, dts_ms: int) -> None:
        for (tag_type, _, _), body in self._headers.items():
            self._write(tag_type, dts_ms, body)

    def _write(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview") -> None:
        self._append(serialize_tag(tag_type, stamp_ms, body))

    def _append(self, data: bytes) -> None:
        self.pending += data
        self.end_offset += len(data)
