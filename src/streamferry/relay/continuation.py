"""A session that continues the one before it: its server sends the last group of pictures again, or half a minute.

The encoder's stream had no break, so it goes on where the last session ended: what was laid is left out, and what comes
after it follows on the same clock, in the midst of a group of pictures too. For any other session see ``replay``.

Stamps tell: the first picture is one that was laid within the last REPEATED_MS. A clock that began anew is taken for
that only if it began beyond NEW_CLOCK_MS, which encoders do not, and for PATIENCE_S at most.
"""

from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, NESTED, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.timeline import Timeline
from streamferry.timeline.tracks import Track

#: Servers are known to repeat up to a minute.
REPEATED_MS = 120_000
#: A clock that begins anew begins at 0, or with the last group of pictures, which are 10 s at most.
NEW_CLOCK_MS = 15_000
#: What is repeated comes as fast as the line lets it. If it takes longer, it is something else that is left out.
PATIENCE_S = 3.0
#: The next picture follows the last one that was laid within this time; else something is missing in between.
_STEP_MS = 1_000
# What is held until the first picture tells. A source of which so much comes before it repeats nothing.
_MAX_HELD_TAGS = 300
_PICTURES = (FRAME, KEYFRAME, NESTED)


class Continuation:
    """At the beginning of a session."""

    def __init__(self, timeline: Timeline, now: float) -> None:
        """``timeline``: as the session before has left it. If that has laid no picture, it is over at once."""
        tracks = timeline.tracks
        self._timeline = timeline
        self._until = now + PATIENCE_S
        self._held: list[Tag] = []
        self._is_known = False
        # The last stamps that were laid, on the source's clock; None once they were passed.
        self._picture_ms: int | None = _last_stamp(tracks.video)
        self._sound_ms = _last_stamp(tracks.audio) if tracks.audio.is_open else None
        #: Whether its tags go on as they are, from now on; and whether they continue the session before.
        self.is_over = self.is_found = False
        if not tracks.video.is_open or timeline.is_joining:
            self._begin()

    def rest_of(self, tags: list[Tag], now: float) -> list[Tag]:
        """What of these tags, and of those that were held, is to be laid now."""
        if not self._is_known:
            self._held += tags
            if not self._look(now):
                return []
            tags, self._held = self._held, []
        if self.is_over:
            return tags
        if now > self._until:
            if self._picture_ms is not None:
                self._begin()
            self.is_over = True
            return tags
        rest = [tag for tag in tags if self._is_new(tag)]
        self.is_over = self.is_over or (self._picture_ms is None and self._sound_ms is None)
        return rest

    def _is_new(self, tag: Tag) -> bool:
        tag_type, stamp, body = tag
        if tag_type == VIDEO and self._picture_ms is not None and (kind := kind_of_video(body)) in _PICTURES:
            step_ms = signed_delta_ms(stamp, self._picture_ms)
            if step_ms <= 0:
                return False
            self._picture_ms = None
            if kind == NESTED or step_ms > _STEP_MS:
                # Something is missing, or it is another stream after all: it begins with a keyframe.
                self._begin()
        elif tag_type == AUDIO and self._sound_ms is not None and kind_of_audio(body) == FRAME:
            if signed_delta_ms(stamp, self._sound_ms) <= 0:
                return False
            self._sound_ms = None
        return True

    def _look(self, now: float) -> bool:
        """Whether it is known if something is repeated."""
        first = next((tag for tag in self._held if tag[0] == VIDEO and kind_of_video(tag[2]) in _PICTURES), None)
        if first is None and len(self._held) <= _MAX_HELD_TAGS and now <= self._until:
            self._held = [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in self._held]
            return False
        self._is_known = True
        if (
            first is None
            or self._picture_ms is None
            or first[1] <= NEW_CLOCK_MS
            or not 0 <= signed_delta_ms(self._picture_ms, first[1]) < REPEATED_MS
        ):
            self._begin()
        else:
            self.is_found = True
        return True

    def _begin(self) -> None:
        """Nothing is repeated: what comes is a new segment."""
        self._is_known = self.is_over = True
        self.is_found = False
        self._picture_ms = self._sound_ms = None
        self._timeline.begin_live()


def _last_stamp(track: Track) -> int:
    """The stamp, on the source's clock, of the last frame of a track."""
    return to_wire_ms(track.last_ms - track.shift)
