"""What a server sends at once when we come back to it: some begin each session with their last seconds, up to a minute.

Viewers have seen most of that. While media comes much faster than time passes, in the first second of a session, it is
held, and of it only this goes on:

    from the first keyframe on that is stamped after the last picture sent      nothing is lost or repeated
    where there is none: the last group of pictures, or second of sound alone   at most that is repeated

A server that counts each session from 0 cannot be told from one that sends its past, so the second line holds for it,
too. Between the inlet and everything else, for sessions of FLV and RTMP after the first.
"""

from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag

#: For so long from its first frame a session is looked at; and held, if it does not stop.
LOOK_S = 1.0
_HOLD_MOST_S = 3.0
_HOLD_MOST_BYTES = 16 << 20
#: So much more media than time in one visit is no jitter. What a beat is late by is less.
_BURST_MS = 500
#: A stamp further after the last one is of another clock.
AFTER_MS = 60_000
_SOUND_KEPT_MS = 1_000


class Replay:
    """Of one session; ``last_ms`` is the source's stamp of the last picture, or sound, of the one before."""

    def __init__(self, last_ms: int) -> None:
        self._last_ms = last_ms
        self._began_at = 0.0
        self._first_ms: int | None = None
        self._latest_ms = 0
        self._ahead_ms = 0.0
        self._held: list[Tag] = []
        self._is_holding = self._has_picture = False
        #: Whether something was left out of what goes on now: it does not continue what went on before.
        self.has_cut = False
        #: Whether the session goes on as it comes.
        self.is_over = False

    def take(self, tags: list[Tag], now: float) -> list[Tag]:
        """What goes on of the tags, and of what is held; to be called at each visit, also without any."""
        kinds = [tag_kind(tag_type, body) for tag_type, _, body in tags]
        is_burst = self._is_burst(tags, kinds, now)
        if self._first_ms is None:
            return tags
        new = next((at for at, tag in enumerate(tags) if kinds[at] == KEYFRAME and self._is_new(tag)), None)
        elapsed_s = now - self._began_at
        self._is_holding = self._is_holding or is_burst
        if not self._is_holding:
            self.is_over = new is not None or elapsed_s >= LOOK_S
            return tags
        for tag, kind in zip(tags[:new], kinds[:new], strict=True):
            self._hold(tag, kind)
        if new is not None:
            self._drop_before(tags[new])
            self.is_over = True
            return self._held + tags[new:]
        if is_burst and elapsed_s < _HOLD_MOST_S and sum(len(tag[2]) for tag in self._held) < _HOLD_MOST_BYTES:
            return []
        if not self._has_picture:
            self._drop_before((VIDEO, to_wire_ms(self._first_ms + self._latest_ms - _SOUND_KEPT_MS), b""))
        self.is_over = True
        return self._held

    def _is_burst(self, tags: list[Tag], kinds: list[int], now: float) -> bool:
        """Whether much more media than time has passed since the last visit."""
        for (tag_type, stamp, _), kind in zip(tags, kinds, strict=True):
            if kind <= KEYFRAME:
                if self._first_ms is None:
                    self._first_ms, self._began_at = stamp, now
                self._latest_ms = max(self._latest_ms, signed_delta_ms(stamp, self._first_ms))
                self._has_picture = self._has_picture or tag_type == VIDEO
        before_ms, self._ahead_ms = self._ahead_ms, self._latest_ms - (now - self._began_at) * 1000
        return self._first_ms is not None and self._ahead_ms > before_ms + _BURST_MS

    def _is_new(self, tag: Tag) -> bool:
        """Whether it is a picture after the last that was sent."""
        return tag[0] == VIDEO and 0 < signed_delta_ms(tag[1], self._last_ms) <= AFTER_MS

    def _hold(self, tag: Tag, kind: int) -> None:
        if tag[0] == VIDEO and kind == KEYFRAME:
            self._drop_before(tag)
        self._held.append((tag[0], tag[1], bytes(tag[2])))

    def _drop_before(self, tag: Tag) -> None:
        """Of what is held headers stay, and sound that belongs after this."""
        kept = [
            one
            for one in self._held
            if tag_kind(one[0], one[2]) > KEYFRAME or (one[0] == AUDIO and signed_delta_ms(one[1], tag[1]) >= 0)
        ]
        self.has_cut = self.has_cut or len(kept) < len(self._held)
        self._held = kept
