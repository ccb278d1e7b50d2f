"""Which parts of the segments of a low-latency playlist are played, and which segments whole. Pure.

Parts are played of the segment that is being made, and of one whose parts were begun. What is complete already is had
whole, in one request. A segment of which a part failed, or whose parts are gone or do not add up to it, is had whole
too: the reader leaves out what it has.

Specification: RFC 8216bis, 4.4.4.9 (parts), 6.2.5.2 (requests that wait), 6.3.3 (where to begin).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from streamferry.wire.hls_segments import PartsOffer, Segment

# Durations are rounded, each part's by itself.
_ROUNDED_S, _ROUNDED_SHARE = 0.05, 0.01
# After so many parts that could not be had, or segments that are not their parts, parts are left for the rest of the
# session; so are requests that wait, and hints, after so many in a row.
_MOST_FAILURES = 3
# A server that does not wait is not asked more often.
_LEAST_RELOAD_S = 0.1
# A server that waits for longer than some parts is asked for what there is.
_WAIT_PARTS, _WAIT_S = 3.0, 2.0


@dataclass(slots=True)
class Parts:
    """What is known of the parts of one playlist. ``is_wanted``: whether they are to be played."""

    is_wanted: bool = False
    offer: PartsOffer = field(default_factory=PartsOffer)
    #: The segment that is had whole whatever parts there are.
    whole_number: int = -1
    #: The number of the segment that is being made.
    open_number: int = 0
    _failures: int = 0
    _poor_waits: int = 0
    _poor_hints: int = 0
    _waits_next: bool = True

    def begin_session(self) -> None:
        """Another server may answer, or the same has learnt."""
        self.offer, self.whole_number = PartsOffer(), -1
        self._failures = self._poor_waits = self._poor_hints = 0
        self._waits_next = True

    @property
    def are_used(self) -> bool:
        """Whether the playlist offers parts that are to be played."""
        return self.is_wanted and self.offer.target_s > 0 and self._failures < _MOST_FAILURES

    def take(self, offer: PartsOffer, open_number: int) -> None:
        """A playlist has come."""
        self.offer, self.open_number = offer, open_number

    def fail(self, number: int) -> None:
        """A part of this segment could not be had, or not all of it."""
        self.whole_number = number
        self._failures += 1

    def reload_after_s(self, *, has_changed: bool) -> float:
        """When the playlist is read again, after it was asked for."""
        return max(self.offer.target_s * (0.5 if has_changed else 1.0), _LEAST_RELOAD_S)

    @property
    def query(self) -> str:
        """What asks for the playlist that has one more part, empty if it cannot be asked for."""
        if not self.are_used or not self.offer.blocks or not self._waits_next or self._poor_waits == _MOST_FAILURES:
            return ""
        return f"_HLS_msn={self.open_number}&_HLS_part={len(self.offer.open_parts)}"

    @property
    def end(self) -> tuple[int, int]:
        """The number of the segment that is being made, and how many parts of it there are."""
        return self.open_number, len(self.offer.open_parts)

    @property
    def wait_s(self) -> float:
        """For how long a request may wait, in seconds."""
        return self.offer.target_s * _WAIT_PARTS + _WAIT_S

    def note_wait(self, *, is_good: bool) -> None:
        """A request that waits was answered with more, or not: then the next does not wait."""
        self._waits_next = is_good
        self._poor_waits = 0 if is_good else self._poor_waits + 1

    def note_plain(self) -> None:
        """A request that does not wait was answered."""
        self._waits_next = True

    @property
    def hint(self) -> Segment | None:
        """The part that comes next, if it may be asked for before it is listed."""
        can_hint = self.are_used and self.open_number != self.whole_number and self._poor_hints < _MOST_FAILURES
        return self.offer.hint if can_hint else None

    def note_hint(self, *, is_good: bool) -> None:
        """What was hinted came, or was refused or another."""
        self._poor_hints = 0 if is_good else self._poor_hints + 1

    def first(self, segments: list[Segment]) -> list[Segment]:
        """What a session begins with, of all that is listed: not so near the end that it would run dry."""
        items = [*self._divided(segments), *self._open_parts()]
        seconds, begin = 0.0, None
        for at in range(len(items) - 1, -1, -1):
            seconds += items[at].seconds
            if items[at].is_start:
                begin = at
                if seconds >= self.offer.hold_back_s:
                    break
        return _joined(items[begin or 0 :], segments)

    def after(self, latest: Segment, taken_s: float, segments: list[Segment]) -> list[Segment]:
        """What comes after ``latest``, the last that was taken; ``taken_s``: how much of its segment was."""
        found: list[Segment] = []
        for segment in segments:
            if segment.number > latest.number:
                found.append(segment)
            elif segment.number == latest.number and latest.part is not None:
                found += self._rest(segment, latest.part, taken_s)
        begun = latest.part if latest.number == self.open_number else None
        return found + self._open_parts()[0 if begun is None else begun + 1 :]

    def _rest(self, segment: Segment, part: int, taken_s: float) -> list[Segment]:
        """What is missing of a segment that has become complete."""
        if segment.number != self.whole_number:
            if len(segment.parts) > part and _adds_up(segment, sum(one.seconds for one in segment.parts)):
                return list(segment.parts[part + 1 :])
            if _adds_up(segment, taken_s):
                return []
            self._failures += 1
        return [segment]

    def _divided(self, segments: list[Segment]) -> Iterator[Segment]:
        for segment in segments:
            if self.are_used and segment.parts and _adds_up(segment, sum(one.seconds for one in segment.parts)):
                yield from segment.parts
            else:
                yield segment

    def _open_parts(self) -> list[Segment]:
        return self.offer.open_parts if self.are_used and self.open_number != self.whole_number else []


def _adds_up(segment: Segment, seconds: float) -> bool:
    """Whether parts of so many seconds are all of it."""
    return seconds >= segment.seconds * (1 - _ROUNDED_SHARE) - _ROUNDED_S


def _joined(items: list[Segment], segments: list[Segment]) -> list[Segment]:
    """The same with segments of which all parts are there as one."""
    whole = {segment.number: segment for segment in segments}
    found: list[Segment] = []
    for number, group in groupby(items, attrgetter("number")):
        parts = list(group)
        found += [whole[number]] if number in whole and not parts[0].part else parts
    return found
