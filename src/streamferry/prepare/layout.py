"""The prepared file: RTMP chunks laid out so that they can be sent as they are, and the index of where they lie.

    onMetaData | sequence headers | frames in strict DTS order, the first at 0 ms

Stamps rise strictly per track and never fall across tracks; the offset between audio and video is the source's.
A sequence header that changes later is written where it changes, and repeated before each keyframe from then on,
so that playing can start at every place of the index. Parameter sets that only a picture brings become a header.

A *stretch* is what one ffmpeg wrote: almost always all of the file. Each further one, which may be of another form,
begins where the tracks of the one before ended, as the next file of a list does.

Not here: where tags come from, and files: the writer gives bytes. The bytes are those of ``wire.rtmp.chunk_file``.
"""

from collections.abc import Iterable

from streamferry.media.enhanced import HeaderKey, headers_in, same_meaning, tag_kind
from streamferry.media.errors import SourceUnsupported
from streamferry.media.starts import Starts
from streamferry.media.tag import (
    AUDIO,
    EX_AUDIO_FORMAT,
    OTHER,
    SCRIPT,
    SEQUENCE_HEADER,
    SIDE_DATA,
    START,
    VIDEO,
    Tag,
)
from streamferry.prepare.form import AudioForm
from streamferry.prepare.laid_track import LaidTrack, lag_ms
from streamferry.reasons import Code, Reason, ReasonCode
from streamferry.wire.aac import FRAME_SAMPLES, silent_frame, silent_header
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.flv import parse_metadata, serialize_metadata
from streamferry.wire.parameter_sets import SequenceHeader
from streamferry.wire.rtmp.chunk_file import Index, IndexWriter, serialize_header, serialize_message

# How long the first frames wait for a track the header promised: ffmpeg's own interleaving waits 10 s as well.
_PROMISED_TRACK_WAIT_MS = 10_000
_PROMISED_TRACK_WAIT_BYTES = 16 << 20
# ffmpeg interleaves by DTS, so a late tag is rounding (1-2 ms) or a source interleaved worse than ffmpeg's window.
_LATE_LIMIT_MS = 500
# Without video a player may start at any frame; one place a second keeps the index small.
_AUDIO_INDEX_STEP_MS = 1000
# Duration of a track's only frame: there is no other to measure against.
_LONE_FRAME_MS = {VIDEO: 40, AUDIO: 23}
_PICTURE: HeaderKey = (VIDEO, 0, 0)
_SOUND: HeaderKey = (AUDIO, 0, 0)
_AAC = 10
# What ffmpeg puts into onMetaData that is not true of a file still growing, or of no use to a player.
_METADATA_LEFT_OUT = frozenset(("duration", "filesize", "encoder"))


class BadInterleave(SourceUnsupported):
    """A tag came so late that order cannot be kept: the source must be read with seeking, or the tag dropped."""


class CannotCopy(SourceUnsupported):
    """What lies in the file cannot be passed on, but what a decoder makes of it may: encode these tracks."""

    def __init__(self, why: ReasonCode | Reason, tracks: frozenset[str]) -> None:
        super().__init__(why)
        self.tracks = tracks


def _has_own_layout(header: bytes) -> bool:
    """Whether AAC's loudspeakers are told by a table of its own (ISO/IEC 14496-3, 1.6.3.5: configuration 0).

    Decoders find their number in it, but players and platforms look at the configuration only.
    """
    if header[0] >> 4 != _AAC or len(header) < 4:
        return False
    bits = int.from_bytes(header[2:4])
    # Five bits of object type and four of the rate come before it. Their longer forms are left alone.
    is_plain = bits >> 11 != 31 and bits >> 7 & 15 != 15
    return is_plain and bits >> 3 & 15 == 0


class ChunkLayout:
    """Lays tags in the prepared order. Feed tags, take ``pending`` bytes to the file, then ``finish_stretch``.

    ``promised`` holds the tag types the input says it has. Offsets count from the file's start.
    ``drop_late`` says what becomes of tags too late to be put in order: False raises BadInterleave, True drops them.
    ``silence`` is laid beside a picture without sound.
    """

    def __init__(self, promised: frozenset[int], drop_late: bool = False, silence: AudioForm | None = None) -> None:
        self.pending = bytearray()
        self.first_offset = 0
        self.end_offset = 0
        self.dropped_tags = 0
        self.started = False
        #: Whether its headers change in its midst.
        self.changes_headers = False
        self._promised = promised
        self._drop_late = drop_late
        self._metadata: dict[str, Amf0Value] = {}
        self._tracks = {kind: LaidTrack(_LONE_FRAME_MS[kind]) for kind in (VIDEO, AUDIO)}
        self._headers: dict[HeaderKey, bytes] = {}
        self._starts = Starts()
        self._held: list[tuple[int, int, bytes, int]] = []
        self._held_bytes = 0
        self._seen: set[int] = set()
        self._is_open = False
        # Headers of a stretch that is not open yet.
        self._new_headers: dict[HeaderKey, bytes] = {}
        self._picture_header: SequenceHeader | None = None
        self._shift_ms = 0
        self._last_ms = 0
        self._last_index_ms = -_AUDIO_INDEX_STEP_MS
        self._index: IndexWriter | None = None
        self._set_silence(silence)

    def _set_silence(self, silence: AudioForm | None) -> None:
        self._silence = silence
        self._silent_frame = silent_frame(silence.channels) if silence else b""
        self._silent_frames_laid = 0
        self._silence_begins_ms = 0

    def begin_stretch(self, promised: frozenset[int], silence: AudioForm | None) -> None:
        """Another stretch follows; what was fed of one that was never opened is forgotten."""
        self._promised = promised
        self._is_open = False
        self._held.clear()
        self._held_bytes = 0
        self._seen.clear()
        self._starts = Starts()
        self._new_headers.clear()
        self._picture_header = None
        if not self.started:
            self._metadata.clear()
        self._set_silence(silence)

    @property
    def is_open(self) -> bool:
        """Whether anything of the present stretch was laid."""
        return self._is_open

    @property
    def media_ms(self) -> int:
        """Stamp of the last frame laid."""
        return self._last_ms

    @property
    def duration_ms(self) -> int:
        """Where the next item joins: the latest end of a track, an end being last DTS + last frame's duration."""
        return max(track.end_ms for track in self._tracks.values())

    @property
    def ends(self) -> dict[int, tuple[int, int]]:
        """Of each track that has frames: stamp and length of its last one."""
        return {tag_type: (t.last_ms, t.end_ms - t.last_ms) for tag_type, t in self._tracks.items() if t.last_ms >= 0}

    @property
    def index(self) -> Index:
        """Where what was laid lies; without any place as long as nothing was."""
        return self._index.index if self._index is not None else Index()

    def take_steps(self) -> bytes:
        """The index's steps since the last call, as pairs of 64-bit words: stamp and offset."""
        if self._index is None:
            return b""
        steps = self._index.new_steps.tobytes()
        del self._index.new_steps[:]
        return steps

    @property
    def tracks(self) -> list[int]:
        """Tag types that it has, or may have later."""
        return sorted(self._promised | self._seen | ({AUDIO} if self._silence is not None else set()))

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
                if kind == START:
                    self._follow_sets(body)
            if tag_type in self._seen or tag_type == AUDIO or kind == START:
                self._seen.add(tag_type)
                self._take(tag_type, stamp_ms, body, kind)

    def finish_stretch(self) -> None:
        """The input has ended: lay what still waits. Raises CannotCopy if there was no frame at all."""
        if not self._is_open:
            if not self._seen:
                raise CannotCopy(Code.FILE_NO_FRAME, frozenset(("video", "audio")))
            self._open()
        self._lay_silence(self.duration_ms)

    def _take(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview", kind: int) -> None:
        if self._is_open:
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
            self._open()

    def _take_header(self, tag_type: int, body: "bytes | memoryview") -> None:
        for key, header in headers_in(tag_type, body).items():
            # Two bytes are an AAC header before the muxer knows what is in it.
            if len(header) <= 2:
                continue
            if tag_type == AUDIO and _has_own_layout(header):
                raise CannotCopy(Code.FILE_SOUND_LAYOUT, frozenset(("audio",)))
            if key == _PICTURE:
                self._picture_header = SequenceHeader.parse(header)
            self._put_header(key, header)

    def _put_header(self, key: HeaderKey, header: bytes) -> None:
        if not self._is_open:
            self._new_headers[key] = header
        elif self._is_news(key, header) and not self._is_strange(key):
            self._headers[key] = header
            self.changes_headers = True
            self._write(key[0], self._last_ms, header)

    def _is_news(self, key: HeaderKey, header: bytes) -> bool:
        before = self._headers.get(key)
        return before is None or not same_meaning(key[0], before, header)

    def _is_strange(self, key: HeaderKey) -> bool:
        """Whether it is an Enhanced RTMP header beside sound of plain RTMP, which nobody there understands."""
        sound = self._new_headers.get(_SOUND) or self._headers.get(_SOUND)
        return key[0] == AUDIO and key != _SOUND and sound is not None and sound[0] >> 4 != EX_AUDIO_FORMAT

    def _follow_sets(self, body: "bytes | memoryview") -> None:
        """A picture to begin with: what it brings belongs into the header."""
        before = self._picture_header
        if before is None:
            return
        header = before.with_sets_of(body)
        if not header.has_all:
            raise CannotCopy(Code.FILE_NO_PARAMETER_SETS, frozenset(("video",)))
        if header is not before:
            self._picture_header = header
            self._put_header(_PICTURE, header.body)

    def _open(self) -> None:
        """Lay the first frames of the stretch, and before them what has to be known of it."""
        self._is_open = True
        if self._silence is not None:
            self._new_headers[_SOUND] = silent_header(self._silence.rate_hz, self._silence.channels)
            self._silence_begins_ms = max(self._tracks[AUDIO].end_ms, self._last_ms)
        headers = {key: header for key, header in self._new_headers.items() if not self._is_strange(key)}
        self._new_headers.clear()
        self._held.sort(key=lambda held: held[1])
        if self.started:
            for key, header in headers.items():
                if not self._is_news(key, header):
                    continue
                self._headers[key] = header
                self.changes_headers = True
                # That of the picture is repeated before its first frame anyway.
                if key[0] == AUDIO:
                    self._write(AUDIO, self._last_ms, header)
            self._shift_ms = self._join()
        else:
            self._headers |= headers
            self._begin_file()
            self._shift_ms = -self._held[0][1]
        for held in self._held:
            self._lay(*held)
        self._held.clear()

    def _join(self) -> int:
        """The shift of a further stretch: no track begins before its end, nor anything before what was laid last."""
        firsts: dict[int, int] = {}
        for tag_type, stamp_ms, _, _ in self._held:
            firsts.setdefault(tag_type, stamp_ms)
        fits = [self._tracks[tag_type].end_ms - stamp_ms for tag_type, stamp_ms in firsts.items()]
        return max(*fits, self._last_ms - self._held[0][1])

    def _begin_file(self) -> None:
        self.started = True
        metadata = {name: value for name, value in self._metadata.items() if name not in _METADATA_LEFT_OUT}
        if self._silence is not None:
            metadata |= {
                "audiocodecid": 10.0,
                "audiosamplerate": float(self._silence.rate_hz),
                "audiosamplesize": 16.0,
                "stereo": self._silence.channels == 2,
            }
        self._append(serialize_header(SCRIPT, serialize_metadata(metadata)))
        for (tag_type, _, _), body in self._headers.items():
            self._append(serialize_header(tag_type, body))
        self.first_offset = self.end_offset
        self._index = IndexWriter(self.first_offset)

    def _lay(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview", kind: int) -> None:
        track = self._tracks[tag_type]
        dts_ms = max(stamp_ms + self._shift_ms, track.last_ms + 1)
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
            assert self._index is not None
            self._index.note_place(dts_ms, self.end_offset)
            if self.changes_headers:
                for (header_type, _, _), header in self._headers.items():
                    self._write(header_type, dts_ms, header)
        track.advance(dts_ms, lag_ms(body) if tag_type == VIDEO else 0)
        self._write(tag_type, dts_ms, body)

    def _lay_silence(self, until_ms: int) -> None:
        """Silence up to a moment, so that the picture of that moment is the next tag."""
        if self._silence is None:
            return
        track = self._tracks[AUDIO]
        samples_ms = FRAME_SAMPLES * 1000 / self._silence.rate_hz
        begin_ms = self._silence_begins_ms
        while (stamp_ms := begin_ms + round(self._silent_frames_laid * samples_ms)) < until_ms:
            self._silent_frames_laid += 1
            self._last_ms = stamp_ms
            track.advance(stamp_ms)
            self._write(AUDIO, stamp_ms, self._silent_frame)

    def _write(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview") -> None:
        track = self._tracks[tag_type]
        assert self._index is not None
        self._index.note_message(tag_type, stamp_ms, self.end_offset)
        self._append(serialize_message(tag_type, stamp_ms - track.stamp_ms, body))
        track.stamp_ms = stamp_ms

    def _append(self, data: bytes) -> None:
        self.pending += data
        self.end_offset += len(data)
