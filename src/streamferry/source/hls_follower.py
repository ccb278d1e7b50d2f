"""Which segment of a live HLS playlist comes next, and when the playlist is read again. Sans-IO: it is told the time.

Segments are known by their numbers. Their names tell whether a playlist still is of the same stream: a server that was
started anew counts from 0 again, or goes on counting with other media.

Specification: RFC 8216bis, 6.2.2 (what a server may change), 6.3.3 (where to begin) and 6.3.4 (when to read again).
"""

from collections import deque
from dataclasses import dataclass, replace

from streamferry.wire.hls import Playlist
from streamferry.wire.hls_segments import Segment, parse_segments

#: A session begins this many segments before the end of the playlist: closer to it, players run dry (6.3.3).
SEGMENTS_BEHIND = 3
# However short its segments are, or say they are, a playlist is not read more often than this, in seconds.
_MIN_RELOAD_S = 0.5
_MAX_SEGMENT_S = 60
# A server that lists less than before is one that lags, of several behind one name, or one that was started anew. It
# was, if it still does after so many segments' time.
_REGRESSED_DURATIONS = 2.0
# Numbers that rise faster than segments can be made are those of another stream.
_MIN_SEGMENT_S, _SLACK_S = 0.2, 60.0
# No server is ahead by more: what comes beyond it is left out.
_MOST_WAITING = 200
# Nobody goes back further, however much of the past is listed.
_MOST_LISTED = 1_000
# How many segments are remembered by name; a server that ends fewer before it did may be one that lags.
_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Next:
    """A segment to be played. ``is_break``: its stamps do not continue those of the segment played before it.

    ``lost_s``: how much media was left out before it, in seconds by the playlist's word.
    """

    segment: Segment
    is_break: bool
    lost_s: float


class HlsFollower:
    """Follows one media playlist, over all sessions of a source, so that no segment is played twice."""

    def __init__(self, segments_behind: int = SEGMENTS_BEHIND) -> None:
        self._segments_behind = segments_behind
        self._waiting: deque[Segment] = deque()
        # The segments given last.
        self._given: deque[Segment] = deque(maxlen=_REMEMBERED)
        # Names of the segments of the last playlist, by their numbers; its end, and when it was asked for.
        self._names: dict[int, str] = {}
        self._end = 0
        self._asked_at = 0.0
        # Whether other names for the same numbers mean another stream: not where each playlist has new ones.
        self._names_tell = True
        self._regressed_at: float | None = None
        # The end of the playlist that was left for another stream's.
        self._left_end: int | None = None
        self._is_break = False
        self._lost_s = 0.0
        self._usual_s = 1.0
        #: The number of a segment that ended a session by being refused.
        self.refused = -1
        #: When the playlist is to be read next, on the clock of ``take``.
        self.reload_at = 0.0
        #: Whether no more segments will be listed.
        self.is_finished = False

    @property
    def ahead_s(self) -> float:
        """The length of the segments that wait, in seconds."""
        return sum(segment.seconds for segment in self._waiting)

    @property
    def start_s(self) -> float:
        """How far before the end of the playlist a session begins, in seconds."""
        return self._segments_behind * self._usual_s

    @property
    def usual_s(self) -> float:
        """How long segments are, in seconds: the mean of those in the playlist."""
        return self._usual_s

    def begin_session(self) -> None:
        """A session begins: its stamps may have nothing to do with those before, and what waits is listed again."""
        self._waiting.clear()
        self._names = {}
        self._is_break = True
        self._regressed_at = None
        self.is_finished = False
        self.reload_at = 0.0

    def take(self, playlist: Playlist, asked_at: float, listed: list[Segment] | None = None) -> None:
        """A playlist has come, for which was asked at ``asked_at``, in seconds on any clock that only rises.

        ``listed``: its segments, if they have been parsed.

        Raises ValueError, with a sentence that repeats nothing of it, for a playlist that cannot be followed.
        """
        segments = (parse_segments(playlist) if listed is None else listed)[-_MOST_LISTED:]
        self.is_finished = playlist.is_finished
        names = {segment.number: _name(segment) for segment in segments}
        has_changed = names.keys() != self._names.keys()
        longest_s = min(max(playlist.target_duration, 1), _MAX_SEGMENT_S)
        if segments:
            mean_s = sum(segment.seconds for segment in segments) / len(segments)
            self._usual_s = min(max(mean_s, _MIN_RELOAD_S), longest_s)
        self.reload_at = asked_at + max(self._usual_s * (1.0 if has_changed else 0.5), _MIN_RELOAD_S)
        if not segments:
            return
        if not self._given and not self._waiting:
            self._waiting.extend(segments[-self._segments_behind :])
        elif self._is_another_stream(names, asked_at):
            # What waits is still there, mostly, and is played before the other begins.
            first = segments[max(0, len(segments) - self._segments_behind)]
            self._waiting.append(replace(first, is_break=True))
            self._waiting.extend(segments[segments.index(first) + 1 :])
        elif self._regressed_at is None:
            self._continue(segments)
        else:
            return
        self._names, self._end, self._asked_at = names, segments[-1].number + 1, asked_at
        while len(self._waiting) > _MOST_WAITING:
            self._lost_s += self._waiting.popleft().seconds

    def next(self) -> Next | None:
        """The next segment, None if none is known yet."""
        while self._waiting:
            segment = self._waiting.popleft()
            before = self._given[-1] if self._given else None
            # Of what left the playlist unseen only the count of breaks tells.
            unseen = before is not None and segment.number > before.number + 1 and before.breaks != segment.breaks
            self._is_break |= segment.is_break or unseen
            self._given.append(segment)
            if segment.is_gap:
                self._lost_s += segment.seconds
                continue
            found = Next(segment, self._is_break, self._lost_s)
            self._is_break, self._lost_s = False, 0.0
            return found
        return None

    def put_back(self) -> None:
        """The segment given last was not played: the next session begins with it, if it is still listed then."""
        if self._given:
            self._given.pop()

    def lose(self, seconds: float) -> None:
        """So much of a segment that was given could not be had."""
        self._lost_s += seconds

    def lose_all(self, found: Next) -> None:
        """The segment given last could not be had at all."""
        self._lost_s += found.lost_s + found.segment.seconds
        self._is_break |= found.is_break

    def _continue(self, segments: list[Segment]) -> None:
        """Take what was not listed before. What has left the playlist unplayed is lost."""
        latest = self._waiting[-1] if self._waiting else self._given[-1]
        fresh = [segment for segment in segments if segment.number > latest.number]
        if not fresh:
            return
        missing = fresh[0].number - latest.number - 1
        self._lost_s += missing * self._usual_s
        if not self._waiting and (missing or self._is_break):
            # After a pause it begins where it would have begun without one.
            begin = max(0, len(fresh) - self._segments_behind)
            self._lost_s += sum(segment.seconds for segment in fresh[:begin])
            fresh = fresh[begin:]
        self._waiting.extend(fresh)

    def _is_another_stream(self, names: dict[int, str], now: float) -> bool:
        """Whether a playlist goes on with other media than the one before; notes one that ends before it did."""
        end = max(names) + 1
        common = names.keys() & self._names.keys()
        if common and self._names_tell and not any(names[number] == self._names[number] for number in common):
            # Once: if it is so again, its names tell nothing.
            self._names_tell, self._regressed_at = False, None
            return True
        possible = (now - self._asked_at + _SLACK_S) / _MIN_SEGMENT_S
        if end >= self._end and min(names) - self._end <= possible:
            self._regressed_at = None
            return False
        known = {_name(segment) for segment in self._given}
        is_lag = end < self._end and (common or known & set(names.values()) or self._end - end < _REMEMBERED)
        # Two servers behind one name, which count each for itself: the one whose segments are played is kept to.
        is_left = self._left_end is not None and abs(end - self._left_end) <= possible
        if is_lag or is_left:
            if self._regressed_at is None:
                self._regressed_at = now
            if now - self._regressed_at < _REGRESSED_DURATIONS * self._usual_s:
                return False
        self._regressed_at, self._left_end = None, self._end
        return True


def _name(segment: Segment) -> str:
    """What tells a segment from others: the last part of its path, since tokens stand before or after it."""
    piece = segment.media
    path = piece.uri.partition("?")[0].partition("#")[0]
    if (name := path.rstrip("/").rpartition("/")[2]) and piece.size_bytes is None:
        return name
    return f"{name}@{piece.begin}"
