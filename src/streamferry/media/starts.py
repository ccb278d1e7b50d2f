"""The one judge of where a viewer can begin.

    a keyframe of the leading picture, which is the picture track with the lowest id      START
    sound, as long as no picture has come or is known to come, or it stays away           START
    any other frame                                                                       as it is

The timeline asks for all that is laid and marks the tags, a file's layout asks for its index. Whoever comes after
them (queue, session, cut, preview) reads the mark and looks at nothing else. Pure, and without a clock.
"""

from streamferry.media.tag import FRAME, KEYFRAME, START

_NO_TRACK = 256


class Starts:
    """Judge of one stretch of media. Ask in the order of the frames."""

    __slots__ = ("_leader", "sound")

    def __init__(self) -> None:
        self._leader = _NO_TRACK
        #: Mark of the next frame of sound, START or FRAME: to be read for each, so it is no call.
        self.sound = START

    def begin(self, *, has_picture: bool = False) -> None:
        """Another stretch begins; ``has_picture``: it is known that a picture comes."""
        self._leader = _NO_TRACK
        self.sound = FRAME if has_picture else START

    def leads(self, track_id: int) -> bool:
        """Whether a picture track is the leading one, if this is it or comes before it."""
        return track_id <= self._leader

    def announce(self, track_id: int) -> None:
        """There is such a picture track: its header has come, or a frame."""
        if track_id < self._leader:
            self._leader = track_id

    def mark_picture(self, kind: int, track_id: int = 0) -> int:
        """Mark of a picture, whose kind is FRAME or KEYFRAME."""
        self.announce(track_id)
        if kind != KEYFRAME or track_id != self._leader:
            return kind
        self.sound = FRAME
        return START

    def lose_picture(self) -> None:
        """The picture stays away: until its next keyframe sound goes alone."""
        self.sound = START
