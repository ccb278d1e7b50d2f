"""Look: one copy of what is sent, for those who judge it: a keyframe with its headers, and a stretch of sound.

It hangs at the outlet, as a preview does, only until it has these; the media itself goes on as before. On the way it
measures how far two keyframes are apart, if that is not plain from how soon the first one came; and how many frames
there are a second, if somebody asks for that.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamferry.media.enhanced import FirstTracks
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SEQUENCE_HEADER, VIDEO, LaidTag

#: Frames of sound: a quarter of a second of AAC.
SOUND_FRAMES = 12
#: Frames are counted over so long; after so much more without another one there is none. Sound may be sent some seconds
#: ahead of its pictures.
_COUNTED_MS, _NO_FRAME_MS = 1_000, 5_000
#: A stream that shows pictures for so long and has no sound, or none any more, is silent.
NO_SOUND_MS = 1_500
#: A look ends without what has not come in so long.
MOST_MS = 65_000
#: So many frames before a keyframe, of which the mean is at most such a part of it, say that nothing changes: one that
#: repeats the frame before has some ten bytes a slice.
_LEAST_FRAMES, _STILL_PART = 3, 100
#: A keyframe that is larger is not copied: more than 8K streams have.
_MOST_BYTES = 8 << 20
#: The same of a frame of sound: AAC of 48 channels has less.
_MOST_SOUND_BYTES = 64 << 10


@dataclass(slots=True)
class Seen:
    """What a look has found, of the first track of each type. ``headers``: by type of tag. No sound although there are
    pictures: ``is_mute``. ``stood_s``: for so long before the keyframe its frames say that nothing changes."""

    headers: dict[int, bytes]
    keyframe: bytes | None = None
    sounds: Sequence[bytes] = ()
    is_mute: bool = False
    stood_s: float = 0.0


class Look:
    """``on_end`` is called once, in the beat, when it has all. ``on_gap``: with seconds between two keyframes.

    ``wants_gaps_from_s``: two keyframes are waited for if the first took longer than that; None: never. ``on_rate``:
    with frames a second, and how many seconds they were counted, again and again; None: nobody asks.
    """

    __slots__ = (
        "_began_ms",
        "_count",
        "_count_since_ms",
        "_counted_ms",
        "_frame_bytes",
        "_frames",
        "_frames_ms",
        "_is_rated",
        "_keyframe_ms",
        "_on_end",
        "_on_gap",
        "_on_rate",
        "_seen",
        "_sound_ms",
        "_sounds",
        "_tracks",
        "_wants_gaps_from_ms",
        "_wants_next",
    )

    def __init__(
        self,
        headers: list[LaidTag],
        on_end: Callable[[Seen], None],
        on_gap: Callable[[float], None],
        wants_gaps_from_s: float | None,
        on_rate: Callable[[float, float], None] | None = None,
    ) -> None:
        # The newest: a look may have to wait for its keyframe, and what it hears is to be of that moment.
        self._sounds: deque[bytes] = deque(maxlen=SOUND_FRAMES)
        self._tracks = FirstTracks()
        self._seen = Seen({})
        self._note_headers(headers)
        self._on_end = on_end
        self._on_gap = on_gap
        self._on_rate = on_rate
        # Frames that are counted, and the stamps of the first and of the last of them.
        self._count = self._count_since_ms = self._counted_ms = 0
        self._is_rated = on_rate is None
        self._wants_gaps_from_ms = None if wants_gaps_from_s is None else wants_gaps_from_s * 1000
        self._began_ms: int | None = None
        self._keyframe_ms: int | None = None
        # Of the frames before the first keyframe.
        self._frames = self._frame_bytes = self._frames_ms = 0
        self._sound_ms = 0
        # Whether the next keyframe is waited for, to measure.
        self._wants_next = False

    def take(self, tags: list[LaidTag]) -> None:
        """Called by the outlet with what was sent; bodies may be views."""
        now_ms = 0
        for tag in tags:
            tag_type, dts_ms, body, kind = tag
            if kind == SEQUENCE_HEADER:
                self._note_headers([tag])
            if kind > KEYFRAME:
                continue
            now_ms = dts_ms
            if self._began_ms is None:
                self._began_ms = self._count_since_ms = dts_ms
            if tag_type == VIDEO and self._on_rate is not None:
                self._note_frame(dts_ms, body)
            if tag_type == AUDIO:
                self._note_sound(dts_ms, body)
            elif kind != FRAME:
                self._note_keyframe(dts_ms, body)
            elif self._keyframe_ms is None:
                self._frames_ms = self._frames_ms if self._frames else dts_ms
                self._frames += 1
                self._frame_bytes += len(body)
        if self._began_ms is not None and now_ms:
            self._judge(now_ms - self._began_ms, now_ms)

    def _note_headers(self, tags: list[LaidTag]) -> None:
        """What came under others is of another stream."""
        for tag_type, _, body, kind in tags:
            first = self._tracks.take(tag_type, body) if kind == SEQUENCE_HEADER else None
            if first is None:
                continue
            self._seen.headers[tag_type] = bytes(first)
            if tag_type == VIDEO:
                self._seen.keyframe = None
            else:
                self._sounds.clear()

    def _note_sound(self, dts_ms: int, body: "bytes | memoryview") -> None:
        first = self._tracks.take(AUDIO, body)
        if first is not None:
            self._sound_ms = dts_ms
            if len(first) <= _MOST_SOUND_BYTES:
                self._sounds.append(bytes(first))

    def _note_frame(self, dts_ms: int, body: "bytes | memoryview") -> None:
        # Some send a tag for each slice of a picture.
        if self._tracks.take(VIDEO, body) is None or (self._count and dts_ms == self._counted_ms):
            return
        if not self._count:
            self._count_since_ms = dts_ms
        self._count += 1
        self._counted_ms = dts_ms
        if dts_ms - self._count_since_ms >= _COUNTED_MS:
            self._rate(self._count - 1, dts_ms)
            self._count = 1

    def _rate(self, count: int, now_ms: int) -> None:
        """So many frames have come since the count began; it begins again."""
        assert self._on_rate is not None
        lasted_ms = now_ms - self._count_since_ms
        self._on_rate(count * 1000 / lasted_ms, lasted_ms / 1000)
        self._count, self._count_since_ms, self._is_rated = 0, now_ms, True

    def _note_keyframe(self, dts_ms: int, body: "bytes | memoryview") -> None:
        assert self._began_ms is not None
        first = self._tracks.take(VIDEO, body)
        if first is None:
            return
        if self._keyframe_ms is None:
            is_still = self._frame_bytes * _STILL_PART <= len(body) * self._frames
            if is_still and self._frames >= _LEAST_FRAMES:
                self._seen.stood_s = (dts_ms - self._frames_ms) / 1000
            wait_ms = dts_ms - self._began_ms
            self._wants_next = self._wants_gaps_from_ms is not None and wait_ms >= self._wants_gaps_from_ms
            if not self._wants_next:
                self._on_gap(wait_ms / 1000)
        else:
            self._wants_next = False
            self._on_gap((dts_ms - self._keyframe_ms) / 1000)
        self._keyframe_ms = dts_ms
        if len(first) <= _MOST_BYTES:
            self._seen.keyframe = bytes(first)

    def _judge(self, passed_ms: int, now_ms: int) -> None:
        seen = self._seen
        has_picture = VIDEO in seen.headers
        if has_picture and self._on_rate is not None:
            if now_ms - self._count_since_ms >= _COUNTED_MS + _NO_FRAME_MS:
                self._rate(self._count, now_ms)
            if not self._is_rated:
                return
        if has_picture and (self._keyframe_ms is None or self._wants_next):
            waited_ms = passed_ms if self._keyframe_ms is None else now_ms - self._keyframe_ms
            if waited_ms < MOST_MS:
                return
            self._on_gap(waited_ms / 1000)
        if self._sounds and now_ms - self._sound_ms >= NO_SOUND_MS:
            self._sounds.clear()
        count = len(self._sounds)
        if count < SOUND_FRAMES and passed_ms < (2 * NO_SOUND_MS if count else NO_SOUND_MS):
            return
        seen.sounds = tuple(self._sounds)
        seen.is_mute = not seen.sounds
        self._on_end(seen)
