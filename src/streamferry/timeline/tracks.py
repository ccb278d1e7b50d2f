"""Where the tracks of a segment stand on the output clock."""

from streamferry.media.enhanced import MAX_TRACKS
from streamferry.media.tag import AUDIO, VIDEO

#: A longer step is a pause, and says nothing about how long a frame lasts.
MAX_FRAME_MS = 1_000


class Track:
    """One track: its last frame, that frame's duration, and whether it is open.

    A picture begins at a keyframe, sound with the segment.
    """

    __slots__ = ("frame_ms", "is_open", "last_ms", "previous_shift", "shift", "tied_at")

    def __init__(self, start_ms: int, shift: int = 0) -> None:
        self.last_ms = start_ms - 1
        self.frame_ms = 1
        self.is_open = False
        #: What is added to its stamps, in ms; and what was before its clock restarted in this segment.
        self.shift = shift
        self.previous_shift: int | None = None
        # DTS of the last frames that had the same, and that which the last of them got.
        self.tied_at = (0, -1)

    def restart(self, shift: int) -> None:
        """Its clock restarted."""
        self.previous_shift, self.shift = self.shift, shift

    def advance(self, dts_ms: int) -> None:
        """A frame was laid there."""
        step_ms = dts_ms - self.last_ms
        if step_ms <= MAX_FRAME_MS:
            self.frame_ms = step_ms
        self.last_ms = dts_ms

    def is_tied(self, dts_ms: int) -> bool:
        """Whether a frame that would be laid there, and is laid after the last one, belongs to the same time."""
        if dts_ms != self.last_ms and self.tied_at != (dts_ms, self.last_ms):
            return False
        self.tied_at = dts_ms, self.last_ms + 1
        return True

    @property
    def end_ms(self) -> int:
        """Where its next frame is expected."""
        return self.last_ms + self.frame_ms


class Tracks:
    """All tracks of the current segment: the first sound and the first picture always, others as they appear."""

    __slots__ = ("_all", "_start_ms", "audio", "video")

    def __init__(self, start_ms: int) -> None:
        self.audio = Track(start_ms)
        self.video = Track(start_ms)
        self.begin(start_ms)

    def begin(self, start_ms: int) -> None:
        """A new segment begins there, after the end of all tracks of the last one."""
        self._start_ms = start_ms
        self._all = {(AUDIO, 0): self.audio, (VIDEO, 0): self.video}
        self.audio.is_open = self.video.is_open = False
        self.audio.previous_shift = self.video.previous_shift = None

    def move(self, shift: int) -> None:
        """The segment joins: this is added to all its stamps."""
        for track in self._all.values():
            track.shift = shift

    def of(self, tag_type: int, track_id: int) -> Track | None:
        """A track, created by the first call; None if there are too many."""
        track = self._all.get((tag_type, track_id))
        if track is None and sum(known == tag_type for known, _ in self._all) < MAX_TRACKS:
            track = self._all[tag_type, track_id] = Track(
                self._start_ms, (self.video if tag_type == VIDEO else self.audio).shift
            )
        return track

    def other_shifts(self, track: Track) -> list[int]:
        """What is added to the stamps of other tracks than this, where it is something else."""
        return [other.shift for other in self._all.values() if other.shift != track.shift]

    def last_of_others_ms(self, track: Track) -> int:
        """The last frame of any other track than this."""
        return max(other.last_ms for other in self._all.values() if other is not track)

    def close_pictures(self) -> None:
        """Pictures wait for their next keyframes."""
        for (tag_type, _), track in self._all.items():
            track.is_open = track.is_open and tag_type != VIDEO

    @property
    def end_ms(self) -> int:
        """The latest end of a track, of this segment or of one before it."""
        return max(self._start_ms, *(track.end_ms for track in self._all.values()))

    def place_of_header(self, track: Track | None) -> int:
        """Where the next frame of a track, or of any (None), is expected: a header for it belongs there.

        At the end of the longest track the header would be after the frame, and the track's stamps would go back.
        """
        latest_ms = self.end_ms
        ends = [each.end_ms for each in (self._all.values() if track is None else (track,))]
        # A track that is further back has ended, or not begun.
        return min((end_ms for end_ms in ends if latest_ms - end_ms <= MAX_FRAME_MS), default=latest_ms)
