"""Which segment of a live HLS playlist comes next, and when the playlist is read again. Sans-IO: it is told the time.

Segments are known by their numbers. Their names tell whether a playlist still is of the same stream: a server that was
started anew counts from 0 again, or goes on counting with other media.

Specification: RFC 8216bis, 6.2.2 (what a server may change), 6.3.3 (where to begin) and 6.3.4 (when to read again).
"""

from collections import deque
from dataclasses import dataclass, replace

from streamferry.source.hls_parts import Parts
from streamferry.wire.hls import Playlist
from streamferry.wire.hls_segments import Segment, SegmentParser, parsed

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
# So many segments of the same names, with other numbers, are the same segments.
_SURE_NAMES = 2
# How many segments are remembered by name; a server that ends fewer before it did may be one that lags.
_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Next:
    """A segment to be played, or a part of one. ``is_break``: its stamps do not continue those of what is before it.

    ``lost_s``: how much media was left out before it, in seconds by the playlist's word. ``goes_on``: it is the part of
    a segment after the one before it. ``repeats``: parts of the same segment were played before.
    """

    segment: Segment
    is_break: bool
    lost_s: float
    goes_on: bool = False
    repeats: bool = False


class HlsFollower:
    """Follows one media playlist, over all sessions of a source, so that no segment is played twice."""

    def __init__(self) -> None:
        self._segments_behind = SEGMENTS_BEHIND
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
        #: Low-latency parts.
        self.parts = Parts()
        # The latest segments listed; how much of the one taken last is taken; whether parts are left out until a START.
        self._latest: list[Segment] = []
        self._taken_s = 0.0
        self._needs_start = False
        self._began_s: float | None = None
        # What was given to be played in this session, the last two.
        self._played: deque[Segment] = deque(maxlen=2)
        #: Segments that could not be had, or not whole, over all sessions.
        self.lost_segments = 0
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
        if self._began_s is not None:
            return self._began_s
        # Of a playlist that lists fewer no session can begin with more.
        return min(self._segments_behind, len(self._names) or self._segments_behind) * self._usual_s

    @property
    def step_s(self) -> float:
        """How much more comes at a time, in seconds: a segment, or what a session holds back of parts."""
        return max(self.parts.offer.hold_back_s, 1.0) if self.parts.are_used else self._usual_s

    @property
    def usual_s(self) -> float:
        """How long segments are, in seconds: the mean of those in the playlist."""
        return self._usual_s

    @property
    def hint(self) -> Segment | None:
        """The part that comes next, if it may be asked for before it is listed."""
        return None if self._needs_start else self.parts.hint

    def begin_session(self, segments_behind: int = 0) -> None:
        """A session begins: its stamps may have nothing to do with those before, and what waits is listed again.

        ``segments_behind``: how many segments before the end of the playlist it may begin; 0: as many as is usual.
        """
        self._segments_behind = segments_behind or SEGMENTS_BEHIND
        self._waiting.clear()
        self._names = {}
        self._is_break = True
        self._regressed_at = None
        self._began_s, self._needs_start = None, False
        self._played.clear()
        self.parts.begin_session()
        self.is_finished = False
        self.reload_at = 0.0

    def take(self, playlist: Playlist, asked_at: float, listed: SegmentParser | None = None) -> None:
        """A playlist has come, for which was asked at ``asked_at``, in seconds on any clock that only rises.

        ``listed``: what it lists, if that has been parsed.

        Raises ValueError, with a sentence that repeats nothing of it, for a playlist that cannot be followed.
        """
        listed = parsed(playlist, with_parts=self.parts.is_wanted) if listed is None else listed
        segments, before = listed.segments[-_MOST_LISTED:], self.parts.offer.open_parts
        self.is_finished = playlist.is_finished
        names = {segment.number: _name(segment) for segment in segments}
        if ahead := self._counted_ahead(names, asked_at):
            segments = [replace(segment, number=segment.number - ahead) for segment in segments]
            names = {number - ahead: name for number, name in names.items()}
        has_changed = names.keys() != self._names.keys() or len(listed.offer.open_parts) != len(before)
        longest_s = min(max(playlist.target_duration, 1), _MAX_SEGMENT_S)
        if segments:
            mean_s = sum(segment.seconds for segment in segments) / len(segments)
            self._usual_s = min(max(mean_s, _MIN_RELOAD_S), longest_s)
        is_first = not self._given and not self._waiting
        is_other = bool(segments) and not is_first and self._is_another_stream(names, asked_at)
        # Of one that lags nothing is taken, and no part.
        is_taken = bool(segments) and (is_other or self._regressed_at is None)
        if is_taken:
            self.parts.take(listed.offer, segments[-1].number + 1)
        after_s = max(self._usual_s * (1.0 if has_changed else 0.5), _MIN_RELOAD_S)
        self.reload_at = asked_at + (
            self.parts.reload_after_s(has_changed=has_changed) if self.parts.are_used else after_s
        )
        if not is_taken:
            return
        if is_first:
            self._add(self._first(segments))
        elif is_other:
            # What waits is still there, mostly, and is played before the other begins.
            if fresh := self._unplayed(self._first(segments)):
                self._add([replace(fresh[0], is_break=True), *fresh[1:]])
        else:
            self._continue(segments, may_leap=True)
        self._names, self._end, self._asked_at = names, segments[-1].number + 1, asked_at
        self._latest = segments[-_REMEMBERED:] if self.parts.is_wanted else []
        while len(self._waiting) > _MOST_WAITING:
            self._lost_s += self._waiting.popleft().seconds
            self.lost_segments += 1
            self._needs_start = True

    def next(self) -> Next | None:
        """The next segment, None if none is known yet."""
        while self._waiting:
            segment = self._waiting.popleft()
            before = self._given[-1] if self._given else None
            # Of what left the playlist unseen only the count of breaks tells.
            unseen = before is not None and segment.number > before.number + 1 and before.breaks != segment.breaks
            self._is_break |= segment.is_break or unseen
            self._given.append(segment)
            self._needs_start = segment.is_gap or (self._needs_start and not segment.is_start)
            if self._needs_start:
                self._lost_s += segment.seconds
                continue
            found = self._given_as(segment)
            self._is_break, self._lost_s = False, 0.0
            self._played.append(segment)
            return found
        return None

    def put_back(self) -> None:
        """The segment given last was not played: the next session begins with it, if it is still listed then."""
        if self._given:
            self._given.pop()

    def fail_part(self, number: int, unplayed: Next | None = None) -> None:
        """A part of this segment could not be had, or not all of it: the segment is to be had whole.

        ``unplayed``: what was given after what was played of it; that is forgotten.
        """
        if unplayed is not None:
            self.put_back()
            self._played.pop()
            self._is_break |= unplayed.is_break
            self._lost_s += unplayed.lost_s
        self.parts.fail(number)
        self._waiting.clear()
        if self._latest:
            self._continue(self._latest, may_leap=False)

    def lose(self, seconds: float) -> None:
        """So much of a segment that was given could not be had."""
        self._lost_s += seconds
        self.lost_segments += 1

    def lose_all(self, found: Next) -> None:
        """The segment given last could not be had at all."""
        self._lost_s += found.lost_s + found.segment.seconds
        self.lost_segments += 1
        self._is_break |= found.is_break

    def _first(self, segments: list[Segment]) -> list[Segment]:
        """What a session begins with."""
        if not self.parts.are_used:
            return segments[-self._segments_behind :]
        found = self.parts.first(segments)
        self._began_s = sum(segment.seconds for segment in found)
        return found

    def _given_as(self, segment: Segment) -> Next:
        last = self._played[-1] if self._played and not self._is_break else None
        is_begun = last is not None and last.part is not None and last.number == segment.number
        is_part = segment.part is not None
        return Next(segment, self._is_break, self._lost_s, is_begun and is_part, is_begun and not is_part)

    @property
    def _last(self) -> Segment | None:
        """What was taken last."""
        return self._waiting[-1] if self._waiting else self._given[-1] if self._given else None

    def _add(self, found: list[Segment]) -> None:
        for segment in found:
            last = self._last
            is_rest = segment.part and last is not None and last.number == segment.number and not segment.is_break
            self._taken_s = segment.seconds + (self._taken_s if is_rest else 0.0)
            self._waiting.append(segment)

    def _continue(self, segments: list[Segment], *, may_leap: bool) -> None:
        """Take what was not listed before. What has left the playlist unplayed is lost.

        ``may_leap``: after a pause it begins where it would have begun without one.
        """
        last = self._last
        if last is None:
            return
        fresh = self._unplayed(self.parts.after(last, self._taken_s, segments))
        if not fresh:
            return
        missing = max(fresh[0].number - last.number - 1, 0)
        if may_leap and not self._waiting and (missing or self._is_break):
            begun = [one for one in self._unplayed(self._first(segments)) if _is_after(one, last)]
            if not begun:
                return
            self._lost_s += sum(segment.seconds for segment in fresh) - sum(segment.seconds for segment in begun)
            self._needs_start, fresh = True, begun
        self._lost_s += missing * self._usual_s
        self.lost_segments += missing
        self._add(fresh)

    def _unplayed(self, segments: list[Segment]) -> list[Segment]:
        """Of another stream; one that had been left for the last one may be back."""
        names = {_name(segment) for segment in segments}
        if not self._names or names & set(self._names.values()):
            return segments
        played = {(segment.number, _name(segment)) for segment in self._given}
        return [segment for segment in segments if (segment.number, _name(segment)) not in played]

    def _counted_ahead(self, names: dict[int, str], now: float) -> int:
        """By how much the numbers of segments are higher than those that they had before.

        Two servers behind one name may count the same segments differently. Names that are used in turns are no shorter
        a time apart than it takes to make what is between.
        """
        if any(self._names.get(number) == name for number, name in names.items()):
            return 0
        known = {_name(segment): segment.number for segment in (*self._given, *self._waiting)}
        known |= {name: number for number, name in self._names.items()}
        ahead = {number - known[name] for number, name in names.items() if name in known}
        # Of a part the server is asked for by its own number.
        if len(ahead) != 1 or self.parts.is_wanted or len(set(names.values())) != len(names):
            return 0
        (by,) = ahead
        is_turn = len(names) <= by <= 1.5 * (now - self._asked_at) / self._usual_s + 2
        is_sure = len(known.keys() & set(names.values())) >= min(_SURE_NAMES, len(names))
        return by if is_sure and not is_turn else 0

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


def _is_after(segment: Segment, last: Segment) -> bool:
    """Whether nothing of it was taken when ``last`` was."""
    if segment.number != last.number:
        return segment.number > last.number
    return segment.part is not None and last.part is not None and segment.part > last.part
