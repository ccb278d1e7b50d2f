"""Fragmented MP4, as browsers play it, made of laid tags: an init segment, then fragments that can be played at once.

Sound and picture keep their distance; time begins at 0 with the first tag that is marked as a START. Where that is a
sound there is no picture, or none any more, and none is announced until a keyframe comes. Of several tracks of a type
the first is shown. A frame is written once the next of its track tells how long it lasts, so how tags are batched
changes nothing but where fragments end. A changed header gives another init segment, and pictures go on at a keyframe.

An init segment begins with ``ftyp``, then a ``free`` box with the MIME type, which tells a player what decoders it
needs. Specification: ISO/IEC 14496-12; ISO BMFF Byte Stream Format of the W3C for what browsers take.
"""

from collections.abc import Iterable
from struct import pack
from typing import NamedTuple

from streamferry.media.enhanced import FirstTracks
from streamferry.media.tag import AUDIO, FRAME, SEQUENCE_HEADER, START, VIDEO, LaidTag
from streamferry.wire.codecs import (
    TrackForm,
    box,
    parse_audio_header,
    parse_video_header,
    split_audio,
    split_video,
)

#: Ticks a second of every clock in the file: FLV's.
_TIMESCALE = 1000
_KEY_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000
_UNITY = pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FTYP = box(b"ftyp", b"iso5", pack(">I", 1), b"iso5", b"iso6", b"mp41")
#: How long the last frame before a new header lasts, if it was the only one.
_FRAME_MS = 40
_TRUN_BYTES, _TFDT_BYTES, _TFHD_BYTES = 20, 20, 20


class Piece(NamedTuple):
    """An init segment, which has a ``mime`` type, or a fragment; a player can begin at one that ``is_start``."""

    data: bytes
    mime: str = ""
    is_start: bool = False


class _Track:
    """One track: its form, the frame whose duration is not known yet, and those that are to be written."""

    def __init__(self, number: int, is_video: bool) -> None:
        self.number = number
        self.is_video = is_video
        self.header = b""
        self.form: TrackForm | None = None
        self.needs_keyframe = is_video
        #: DTS, ms from decoding to showing, flags, sample.
        self.held: tuple[int, int, int, bytes] | None = None
        self.frame_ms = _FRAME_MS
        self.first_ms = 0
        self.fields: list[int] = []
        self.samples: list[bytes] = []

    def traf(self, data_offset: int) -> bytes:
        """What ``moof`` tells of the samples. Pictures: duration, size, flags, offset; sound: duration, size."""
        per_sample = 4 if self.is_video else 2
        run = pack(f">{len(self.fields)}I", *self.fields)
        flags = 0x01000F01 if self.is_video else 0x01000301
        return box(
            b"traf",
            # The base is the moof; flags of samples that do not tell theirs.
            box(b"tfhd", pack(">III", 0x020020, self.number, _KEY_FLAGS)),
            box(b"tfdt", pack(">IQ", 0x01000000, self.first_ms)),
            box(b"trun", pack(">III", flags, len(self.fields) // per_sample, data_offset), run),
        )

    @property
    def traf_bytes(self) -> int:
        return 8 + _TFHD_BYTES + _TFDT_BYTES + _TRUN_BYTES + 4 * len(self.fields)


class Fragmenter:
    """See the module. Not safe to share: one a stream."""

    def __init__(self) -> None:
        self._video = _Track(1, True)
        self._audio = _Track(2, False)
        self._first_tracks = FirstTracks()
        self._has_picture = False
        self._has_new_header = False
        self._base_ms: int | None = None
        self._sequence = 0
        self._begins_at_start = False

    def put(self, tags: Iterable[LaidTag]) -> list[Piece]:
        """What can be written now. Bodies may be views. Raises UnsupportedCodec, ValueError for a damaged header."""
        pieces: list[Piece] = []
        for tag_type, dts_ms, laid_body, kind in tags:
            if kind > SEQUENCE_HEADER:
                continue
            body = self._first_tracks.take(tag_type, laid_body)
            if body is None:
                continue
            if kind == SEQUENCE_HEADER:
                self._take_header(tag_type, bytes(body))
            else:
                self._take_frame(self._video if tag_type == VIDEO else self._audio, dts_ms, bytes(body), kind, pieces)
        self._cut(pieces)
        return pieces

    def _take_header(self, tag_type: int, body: bytes) -> None:
        track = self._audio if tag_type == AUDIO else self._video
        if body != track.header:
            track.form = parse_audio_header(body) if tag_type == AUDIO else parse_video_header(body)
            track.header = body
            track.needs_keyframe = track.is_video
            self._has_new_header = True

    def _take_frame(self, track: _Track, dts_ms: int, body: bytes, kind: int, pieces: list[Piece]) -> None:
        offset_ms, sample = split_video(body) if track.is_video else (0, split_audio(body))
        if track.form is None:
            return
        is_key = not track.is_video or kind != FRAME
        if self._base_ms is None:
            if kind != START:
                return
            # Nothing is shown before 0: a browser would leave it out, and all that needs it.
            self._base_ms = dts_ms + min(0, offset_ms)
        if dts_ms < self._base_ms:
            return
        if kind == START and track.is_video != self._has_picture:
            self._has_picture = track.is_video
            self._has_new_header = True
        if track.is_video and not self._has_picture:
            return  # Not announced: it has a place from the next START on.
        if self._has_new_header:
            self._begin(pieces)
        if track.needs_keyframe and not is_key:
            return
        track.needs_keyframe = False
        dts_ms -= self._base_ms
        if track.held is not None:
            track.frame_ms = max(0, dts_ms - track.held[0])
        self._release(track, pieces)
        track.held = (dts_ms, offset_ms & 0xFFFFFFFF, _KEY_FLAGS if is_key else _OTHER_FLAGS, sample)

    def _begin(self, pieces: list[Piece]) -> None:
        """Write what is held under the old headers, then the new ones."""
        for track in (self._video, self._audio):
            self._release(track, pieces)
        self._cut(pieces)
        self._has_new_header = False
        # Frames of before it are not to be built upon.
        self._video.needs_keyframe = True
        shown = (self._video, self._audio) if self._has_picture else (self._audio,)
        pieces.append(_init_segment([track for track in shown if track.form is not None]))

    def _release(self, track: _Track, pieces: list[Piece]) -> None:
        """The duration of the held frame is known: it can be written. A fragment ends before each keyframe."""
        if track.held is None:
            return
        dts_ms, offset, flags, sample = track.held
        track.held = None
        if track.is_video and flags == _KEY_FLAGS:
            self._cut(pieces)
        if not (self._video.samples or self._audio.samples):
            self._begins_at_start = flags == _KEY_FLAGS if track.is_video else not self._has_picture
        if not track.samples:
            track.first_ms = dts_ms
        track.fields += (
            (track.frame_ms, len(sample), flags, offset) if track.is_video else (track.frame_ms, len(sample))
        )
        track.samples.append(sample)

    def _cut(self, pieces: list[Piece]) -> None:
        """Write all that can be written as one fragment."""
        tracks = [track for track in (self._video, self._audio) if track.samples]
        if not tracks:
            return
        self._sequence += 1
        mfhd = box(b"mfhd", pack(">II", 0, self._sequence))
        offset = 8 + len(mfhd) + sum(track.traf_bytes for track in tracks) + 8
        trafs: list[bytes] = []
        samples: list[bytes] = []
        for track in tracks:
            trafs.append(track.traf(offset))
            offset += sum(map(len, track.samples))
            samples += track.samples
            track.fields, track.samples = [], []
        data = box(b"moof", mfhd, *trafs) + box(b"mdat", *samples)
        pieces.append(Piece(data, is_start=self._begins_at_start))


def end_of_fragment(data: bytes) -> int:
    """Where the first whole fragment of a stream ends, counted from the stream's begin; 0: it is not all there."""
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += max(size, 8)
        if name == b"mdat":
            return at if at <= len(data) else 0
    return 0


def _init_segment(tracks: list[_Track]) -> Piece:
    forms = [track.form.codecs for track in tracks if track.form is not None]
    kind = "video" if tracks[0].is_video else "audio"
    mime = f'{kind}/mp4; codecs="{",".join(forms)}"'
    # Version and flags, created, modified, timescale, duration, rate, volume; matrix; the next track's number.
    mvhd = box(b"mvhd", pack(">5IIH10x", 0, 0, 0, _TIMESCALE, 0, 0x10000, 0x100), _UNITY, pack(">24xI", 3))
    defaults = [box(b"trex", pack(">6I", 0, track.number, 1, 0, 0, 0)) for track in tracks]
    moov = box(b"moov", mvhd, *map(_trak, tracks), box(b"mvex", *defaults))
    return Piece(_FTYP + box(b"free", mime.encode()) + moov, mime)


def _trak(track: _Track) -> bytes:
    form = track.form
    assert form is not None
    volume = 0 if track.is_video else 0x100
    # Enabled, in the movie, in the preview; created, modified, number, duration, layer, group, volume; matrix; size.
    tkhd = pack(">5I12xHHH2x", 7, 0, 0, track.number, 0, 0, 0, volume) + _UNITY
    mdhd = box(b"mdhd", pack(">5IHH", 0, 0, 0, _TIMESCALE, 0, 0x55C4, 0))
    handler, name = (b"vide", b"picture\0") if track.is_video else (b"soun", b"sound\0")
    header = box(b"vmhd", pack(">I8x", 1)) if track.is_video else box(b"smhd", bytes(8))
    data = box(b"dinf", box(b"dref", pack(">II", 0, 1), box(b"url ", pack(">I", 1))))
    tables = (box(name, bytes(8)) for name in (b"stts", b"stsc", b"stco"))
    stbl = box(b"stbl", box(b"stsd", pack(">II", 0, 1), form.entry), *tables, box(b"stsz", bytes(12)))
    minf = box(b"minf", header, data, stbl)
    hdlr = box(b"hdlr", bytes(8), handler, bytes(12), name)
    size = pack(">II", form.width << 16, form.height << 16)
    return box(b"trak", box(b"tkhd", tkhd, size), box(b"mdia", mdhd, hdlr, minf))
