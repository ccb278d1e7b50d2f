"""The one judge of where a viewer can begin.

    a keyframe of the leading picture, which is the picture track with the lowest id      START
    sound, as long as no picture has come or is known to come, or it stays away           START
    any other frame                                                                       as it is

The timeline asks for all that is laid and marks the tags, a file's layout asks for its index. Whoever comes after
them (queue, session, cut, preview) reads the mark and looks at nothing else. Pure, and without a clock.
"""

from collections.abc import Sequence

from streamferry.media.enhanced import tag_kind, unwrap
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, NESTED, START, VIDEO, Tag, kind_of_video

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

    def find(self, tags: Sequence[Tag]) -> int | None:
        """Index of the first of the tags that would be marked as a START; None if none of them would."""
        for index, (tag_type, _, body) in enumerate(tags):
            if tag_type == VIDEO:
                kind, track_id = kind_of_video(body), 0
                if kind == NESTED:
                    packet = unwrap(VIDEO, body)
                    kind, track_id = packet.kind, min(packet.parts).track_id if packet.parts else 0
                if kind == KEYFRAME and self.leads(track_id):
                    return index
            elif tag_type == AUDIO and self.sound == START and tag_kind(AUDIO, body) == FRAME:
                return index
        return None
