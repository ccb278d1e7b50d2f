"""The timeline: lays the tags of one segment after another on one output clock.

Theory of operation. A *segment* is a stretch of tags whose stamps belong together: one live session, one pass over
one file. Within a segment ``DTS on the output clock = stamp + shift`` with one shift for both tracks, which is what
keeps the offset between sound and picture. A new segment gets the shift that puts its first tag where the last one
ended: at the latest end over the tracks (last DTS + last frame's duration). Nothing else moves stamps, except the
repairs below, each of which is counted.

    begin_live()      stamps are not to be trusted; the segment starts at its first keyframe, sound that came before
                      it in the stream but belongs after it in time is held and kept. Sound alone is taken for a
                      stream without picture after AUDIO_ONLY_AFTER_MS of it, or after PICTURE_PATIENCE_MS
                      if metadata, a header or a frame promised a picture.
    begin_file(...)   a prepared file whose first stamps are known: the join fits each track; nothing is held, gaps
                      are meant.

    stamp + shift is ...                                   then
    after the track's last DTS, at most MAX_STEP_MS        the normal case
    the same, with 2^32 ms added                           the 32-bit stamp wrapped: new shift, no repair
    the same, with the shift before the last change        a straggler of the old stretch: laid where it belongs
    at most MAX_REGRESS_MS back                            repair: 1 ms after the last DTS
    anything else                                          repair: a jump; new shift, the tag follows the last DTS

A jump is closed up without waiting for a keyframe: the frames themselves are in order, only their stamps moved. When
the encoder really started anew it sends new sequence headers, and after those a keyframe is waited for.

Specification: FLV E.4.1 (stamps are 32-bit ms), RTMP 5.3.1.3.
"""

from collections.abc import Iterable, Mapping

from streamferry.media.stamps import WRAP_MS, signed_delta_ms
from streamferry.media.tag import (
    AUDIO,
    KEYFRAME,
    METADATA,
    OTHER,
    SCRIPT,
    SEQUENCE_HEADER,
    VIDEO,
    LaidTag,
    Tag,
    header_slot,
    kind_of_audio,
    kind_of_script,
    kind_of_video,
)
from streamferry.wire.flv import metadata_tells_picture

#: A larger step forward is a jump. Twice the longest keyframe interval platforms accept (YouTube and Twitch: 4 s)
#: leaves room for a source that pauses; a source silent for 5 s is rebuilt before it can reach this honestly.
MAX_STEP_MS = 10_000
#: A smaller step back is disorder at the source (encoders that stamp with jitter), not a new clock.
MAX_REGRESS_MS = 500
#: How much sound without any sign of a picture makes a live stream a stream without picture.
AUDIO_ONLY_AFTER_MS = 3_000
#: How long sound waits for a picture that was promised: nginx-rtmp without a GOP cache sends nothing of it before the
#: next keyframe, and encoders left to themselves set those 10 s apart (x264: 250 frames).
PICTURE_PATIENCE_MS = 15_000
#: Sound held while a live segment waits for its keyframe: servers interleave within a second or two.
_MAX_HELD_TAGS = 300
_MAX_FRAME_MS = 1_000
_ANY_STEP_MS = 1 << 62


class _Track:
    """Where one track stands on the output clock."""

    __slots__ = ("frame_ms", "is_open", "last_ms")

    def __init__(self, start_ms: int) -> None:
        self.last_ms = start_ms - 1
        self.frame_ms = 1
        self.is_open = False


class Timeline:
    """See the module's docstring. Not safe to share between runs; ``lay`` is called at each beat."""

    __slots__ = (
        "_audio",
        "_expects_video",
        "_headers",
        "_held",
        "_joining",
        "_joining_since",
        "_max_step_ms",
        "_metadata",
        "_previous_shift",
        "_segment_ms",
        "_shift",
        "_video",
        "repairs",
    )

    def __init__(self, start_ms: int = 0) -> None:
        """An output clock whose first tag gets ``start_ms``."""
        self._audio = _Track(start_ms)
        self._video = _Track(start_ms)
        self._headers: dict[tuple[int, int], bytes] = {}
        self._metadata: bytes | None = None
        self._held: list[Tag] = []
        self._joining = False
        self._joining_since: int | None = None
        self._expects_video = False
        self._shift = 0
        self._previous_shift: int | None = None
        self._segment_ms = start_ms
        self._max_step_ms = MAX_STEP_MS
        #: Stamps that had to be moved since the run began.
        self.repairs = 0

    @property
    def position_ms(self) -> int:
        """End of what was laid: where the next segment will join."""
        return max(track.last_ms + track.frame_ms for track in (self._audio, self._video))

    @property
    def shift(self) -> int:
        """What is added to the stamps of the present segment, in ms."""
        return self._shift

    @property
    def headers(self) -> list[LaidTag]:
        """What a destination must have before the next frame: metadata, then the sequence headers in force."""
        now_ms = self.position_ms
        tags: list[LaidTag] = []
        if self._metadata is not None:
            tags.append((18, now_ms, self._metadata, METADATA))
        tags.extend((slot[0], now_ms, body, SEQUENCE_HEADER) for slot, body in self._headers.items())
        return tags

    def begin_live(self) -> None:
        """The next tags come from a new live session."""
        self._begin(self.position_ms, MAX_STEP_MS)
        self._joining = True
        self._joining_since = None
        self._expects_video = False

    def begin_file(self, first_stamps: Mapping[int, int]) -> None:
        """The next tags come from a prepared file; ``first_stamps`` has the first stamp of each track by tag type.

        Each track of the file starts where the same track ended, or later: the track that needs most time decides. So
        a file that begins its sound some frames after its picture, as B-frames ask for, joins itself without a gap.
        """
        shifts = []
        for tag_type, stamp in first_stamps.items():
            track = self._video if tag_type == VIDEO else self._audio
            if track.last_ms >= self._segment_ms:
                shifts.append(track.last_ms + track.frame_ms - stamp)
        first_ms = min(first_stamps.values())
        self._shift = max(shifts, default=self.position_ms - first_ms)
        self._begin(self._shift + first_ms, _ANY_STEP_MS)
        self._joining = False
        # A header of a track that ended is not in force; if it comes all the same, the file brings its own.
        self._headers = {slot: body for slot, body in self._headers.items() if slot[0] in first_stamps}

    def _begin(self, segment_ms: int, max_step_ms: int) -> None:
        self._segment_ms = segment_ms
        self._previous_shift = None
        self._max_step_ms = max_step_ms
        self._held.clear()
        self._video.is_open = False

    def lay(self, tags: Iterable[Tag], out: list[LaidTag]) -> None:
        """Append the tags with their DTS on the output clock and their kind; per track the DTS of frames rise strictly.

        Dropped without a count: frames of a segment before its start, headers that repeat those in force, video before
        the keyframe it needs. Bodies are passed on as they are (views stay views), except held ones, which are copied.
        """
        audio, video = self._audio, self._video
        max_step_ms = self._max_step_ms
        append = out.append
        for tag in tags:
            tag_type, stamp, body = tag
            if tag_type == VIDEO:
                track = video
                kind = kind_of_video(body)
                if kind > KEYFRAME:
                    self._lay_other(tag, kind, out)
                    continue
                if not track.is_open:
                    if kind != KEYFRAME:
                        self._expects_video = True
                        continue
                    track.is_open = True
                    if self._joining:
                        self._join_at(stamp)
                        append((VIDEO, self._segment_ms, body, KEYFRAME))
                        self._advance(video, self._segment_ms)
                        self._release_held(out)
                        continue
            elif tag_type == AUDIO:
                track = audio
                kind = kind_of_audio(body)
                if kind > KEYFRAME:
                    self._lay_other(tag, kind, out)
                    continue
                if self._joining:
                    self._hold(tag, out)
                    continue
            else:
                self._lay_other(tag, kind_of_script(body), out)
                continue
            dts_ms = stamp + self._shift
            step_ms = dts_ms - track.last_ms
            if not 0 < step_ms <= max_step_ms:
                repaired_ms = self._repair(track, stamp)
                if repaired_ms is None:
                    continue
                dts_ms = repaired_ms
                step_ms = dts_ms - track.last_ms
            # _advance, written out: this runs for each frame of each stream.
            if step_ms <= _MAX_FRAME_MS:
                track.frame_ms = step_ms
            track.last_ms = dts_ms
            append((tag_type, dts_ms, body, kind))

    @staticmethod
    def _advance(track: _Track, dts_ms: int) -> None:
        step_ms = dts_ms - track.last_ms
        if step_ms <= _MAX_FRAME_MS:
            track.frame_ms = step_ms
        track.last_ms = dts_ms

    def _lay_other(self, tag: Tag, kind: int, out: list[LaidTag]) -> None:
        tag_type, _, body = tag
        if kind == OTHER:
            # Other script tags (cue points, captions) are passed on as they are; the rest carries nothing.
            if tag_type == SCRIPT:
                out.append((SCRIPT, self._position_of(None), body, OTHER))
            return
        if kind == METADATA:
            if self._metadata == body:
                return
            self._metadata = bytes(body)
            self._expects_video = self._expects_video or metadata_tells_picture(self._metadata)
        else:
            if tag_type == VIDEO:
                self._expects_video = True
            slot = header_slot(tag_type, body)
            if self._headers.get(slot) == body:
                return
            if tag_type == VIDEO and slot in self._headers:
                self._video.is_open = False
            self._headers[slot] = bytes(body)
        track = {VIDEO: self._video, AUDIO: self._audio}.get(tag_type)
        out.append((tag_type, self._position_of(track), body, kind))

    def _position_of(self, track: _Track | None) -> int:
        """Where the next frame of a track is expected, or of any (None): that is where a header before it belongs.

        The end of the longest would be behind the frame, and stamps of the track would go back.
        """
        position_ms = self.position_ms
        ends = [each.last_ms + each.frame_ms for each in ((self._video, self._audio) if track is None else (track,))]
        # A track that lies further back has ended, or not begun.
        return min((end_ms for end_ms in ends if position_ms - end_ms <= _MAX_FRAME_MS), default=position_ms)

    def _hold(self, tag: Tag, out: list[LaidTag]) -> None:
        """Keep sound that came before the first keyframe; without any sign of a picture, start with the sound."""
        tag_type, stamp, body = tag
        held = self._held
        held.append((tag_type, stamp, bytes(body)))
        if len(held) > _MAX_HELD_TAGS:
            del held[0]
        if self._joining_since is None:
            self._joining_since = stamp
        patience_ms = PICTURE_PATIENCE_MS if self._expects_video else AUDIO_ONLY_AFTER_MS
        if signed_delta_ms(stamp, self._joining_since) >= patience_ms:
            self._join_at(held[0][1])
            self._release_held(out)

    def _join_at(self, stamp: int) -> None:
        self._shift = self._segment_ms - stamp
        self._joining = False

    def _release_held(self, out: list[LaidTag]) -> None:
        held, self._held = self._held, []
        self.lay(held, out)

    def _repair(self, track: _Track, stamp: int) -> int | None:
        """DTS for a stamp that does not simply follow, or None when the tag lies before its segment's start."""
        shift = self._shift
        if track.last_ms < self._segment_ms and 0 < self._segment_ms - stamp - shift <= MAX_STEP_MS:
            return None
        position_ms = self.position_ms
        candidates = [shift, shift + WRAP_MS]
        if self._previous_shift is not None:
            candidates.append(self._previous_shift)
        for candidate in candidates:
            dts_ms = stamp + candidate
            in_step = 0 < dts_ms - track.last_ms <= self._max_step_ms
            if in_step or -MAX_REGRESS_MS <= dts_ms - position_ms <= self._max_step_ms:
                if candidate == shift + WRAP_MS:
                    self._previous_shift, self._shift = shift, candidate
                if dts_ms <= track.last_ms:
                    self.repairs += 1
                    return track.last_ms + 1
                return dts_ms
        self.repairs += 1
        dts_ms = track.last_ms + track.frame_ms
        self._previous_shift, self._shift = shift, dts_ms - stamp
        return dts_ms
