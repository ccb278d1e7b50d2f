"""The output clock of a list: where each pass over a file joins what was played before it. Pure.

Within a pass ``DTS on the output clock = stamp + shift``, with one shift for both tracks, and nothing moves a stamp: a
prepared file is in order (``prepare.layout``). Each track of a file starts where the same track ended, or later: the
track that needs most decides. So a file that begins its sound some frames after its picture, as B-frames ask for, joins
itself without a gap (docs/decisions/0002-joins-fit-each-track.md).
"""

from collections.abc import Mapping

#: How much earlier than the end of what was played a file may begin. Priming of sound and B-frames come to 0.2 s; more
#: is a track that ends well before the other, and what follows must not be laid beside its rest.
MAX_OVERLAP_MS = 500


class Joins:
    """Stamps of a file are those of its messages; ends are where the next frame of a track would be."""

    __slots__ = ("_ends_ms", "position_ms", "shift")

    def __init__(self) -> None:
        #: Added to the stamps of the present pass, in ms.
        self.shift = 0
        #: End of what was played before the present pass: the latest of any track.
        self.position_ms = 0
        # By tag type; of a track that is not in the last pass, from an earlier one.
        self._ends_ms: dict[int, int] = {}

    def begin(self, first_stamps: Mapping[int, int]) -> None:
        """A pass begins; ``first_stamps`` has the first stamp of each of its tracks, by tag type."""
        first_ms = min(first_stamps.values())
        fits = [self._ends_ms[track] - stamp for track, stamp in first_stamps.items() if track in self._ends_ms]
        overlap_ms = MAX_OVERLAP_MS if fits else 0
        self.shift = max([*fits, self.position_ms - first_ms - overlap_ms])

    def end(self, ends: Mapping[int, int]) -> None:
        """The pass ends: where each track that was played of it ended, in stamps of the file, by tag type."""
        for track, end_ms in ends.items():
            self._ends_ms[track] = end_ms + self.shift
            self.position_ms = max(self.position_ms, self._ends_ms[track])
