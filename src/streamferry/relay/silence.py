"""Silence for a live source without sound: many cameras have none, and platforms refuse a stream of pictures alone.

It is added between the inlet and the timeline, on the source's own clock, so that joins and repairs move both tracks
alike. If it is known that there is no sound it begins with the first keyframe, else after SOUND_PATIENCE_MS of
pictures; real sound that comes later replaces it. It costs nothing once there is sound. Where sound ends and the
picture goes on, silence of the same form takes its place, so that no header changes. For files, see ``prepare``.
"""

from streamferry.media.enhanced import HeaderKey, headers_in, tag_kind
from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SEQUENCE_HEADER, SIDE_DATA, VIDEO, Tag
from streamferry.prepare.form import AudioForm
from streamferry.wire.aac import FRAME_SAMPLES, SILENT_CHANNELS, SILENT_RATES, silent_frame, silent_header
from streamferry.wire.codecs import UnsupportedCodec, parse_sound

#: How long after the first picture sound may come: encoders and servers interleave within a second or two.
SOUND_PATIENCE_MS = 3_000
_RATE_HZ, _CHANNELS = 48_000, 2
_HEADER = silent_header(_RATE_HZ, _CHANNELS)
_FRAME = silent_frame(_CHANNELS)
# A picture further than this from the silence's position is a jump of the source's clock: the silence follows it.
_JUMP_MS = 1_000
_HEADERS = (SEQUENCE_HEADER, SIDE_DATA)
# FLV's sound format AAC, and the object type AAC-LC that the header begins with.
_AAC, _LOW_COMPLEXITY = 10, 2


class Silence:
    """Silence for one session of a source; ``is_known``: it is certain that it has no sound."""

    def __init__(self, *, is_known: bool, form: AudioForm | None = None) -> None:
        """``form``: of all the sound there is to be, if there is silence of that form."""
        self._patience_ms = 0 if is_known else SOUND_PATIENCE_MS
        # Stamp of the first keyframe, and of the first silence.
        self._seen_ms: int | None = None
        self._begun_ms: int | None = None
        self._frames = 0
        # Sound has come: no more silence, and the sound begins where the silence ends.
        self._has_sound = False
        # Of a sound of which no frame has come.
        self._headers: dict[HeaderKey, bytes] = {}
        self._header, self._frame, rate_hz = _HEADER, _FRAME, _RATE_HZ
        if form is not None and form.rate_hz in SILENT_RATES and form.channels in SILENT_CHANNELS:
            rate_hz = form.rate_hz
            self._header, self._frame = silent_header(rate_hz, form.channels), silent_frame(form.channels)
        self._frame_ms = FRAME_SAMPLES * 1000 / rate_hz
        # Set where it takes the place of sound that has ended.
        self._is_after = False
        #: Whether the source has sound, so that there is nothing left to do.
        self.is_over = False

    @property
    def is_all(self) -> bool:
        """Whether it is all the sound that there was: it has begun, and nothing ended before it or came after it."""
        return self._begun_ms is not None and not self._has_sound and not self._is_after

    @classmethod
    def after(cls, header: bytes, stamp: int) -> "Silence | None":
        """In place of sound with this header that has ended, from a stamp on; None if there is none of that form."""
        try:
            rate_hz, channels = parse_sound(header)
        except (UnsupportedCodec, ValueError, IndexError):
            return None
        is_plain = header[0] >> 4 == _AAC and header[2] >> 3 == _LOW_COMPLEXITY
        if not is_plain or rate_hz not in SILENT_RATES or channels not in SILENT_CHANNELS:
            return None
        silence = cls(is_known=True)
        silence._header, silence._is_after = header, True
        silence._frame = header[:1] + silent_frame(channels)[1:]
        silence._frame_ms = FRAME_SAMPLES * 1000 / rate_hz
        silence._seen_ms = silence._begun_ms = stamp
        return silence

    def fill(self, tags: list[Tag]) -> list[Tag]:
        """The tags, with silence added if it is time for it."""
        filled: list[Tag] = []
        for tag in tags:
            tag_type, stamp, body = tag
            kind = tag_kind(tag_type, body)
            if self.is_over:
                filled.append(tag)
            elif tag_type == AUDIO:
                self._take_sound(tag, kind, filled)
            elif tag_type == VIDEO and kind <= KEYFRAME:
                if self._begun_ms is not None and not self._has_sound:
                    self._lay_up_to(stamp, filled)
                filled.append(tag)
                if self._begun_ms is None and self._is_time(stamp, kind):
                    self._begun_ms = stamp
                    filled.append((AUDIO, stamp, self._header))
            else:
                filled.append(tag)
        return filled

    def _is_time(self, stamp: int, kind: int) -> bool:
        if self._seen_ms is None:
            if kind != KEYFRAME:
                return False
            self._seen_ms = stamp
        waited_ms = signed_delta_ms(stamp, self._seen_ms)
        if waited_ms < 0:
            self._seen_ms = stamp
        return waited_ms >= self._patience_ms

    def _lay_up_to(self, stamp: int, filled: list[Tag]) -> None:
        if abs(signed_delta_ms(stamp, self._next_ms)) > _JUMP_MS:
            self._begun_ms, self._frames = stamp, 0
        while signed_delta_ms(stamp, self._next_ms) > 0:
            filled.append((AUDIO, self._next_ms, self._frame))
            self._frames += 1

    @property
    def _next_ms(self) -> int:
        """Stamp of the next frame of silence."""
        assert self._begun_ms is not None
        return to_wire_ms(self._begun_ms + round(self._frames * self._frame_ms))

    def _take_sound(self, tag: Tag, kind: int, filled: list[Tag]) -> None:
        tag_type, stamp, body = tag
        if self._begun_ms is None:
            self.is_over = kind == FRAME
            if kind in _HEADERS:
                self._headers |= headers_in(tag_type, body)
        elif kind in _HEADERS:
            # Kept back: until its first frame comes, the silence's header is in force.
            self._headers |= headers_in(tag_type, body)
            return
        elif kind == FRAME:
            self._has_sound = True
            if -_JUMP_MS <= signed_delta_ms(stamp, self._next_ms) < 0:
                return  # There is already silence in its place.
            filled += [(tag_type, stamp, header) for header in self._headers.values()]
            self.is_over = True
        filled.append(tag)
