"""Drift of a live source's sound: clocks of cheap cameras run tenths of a percent apart, until sound is seconds off.

How far the clocks are apart follows from the order in which frames arrive, because a camera sends what it has::

    gap = stamp of a sound - stamp of a picture, one directly after the other
    a picture, then a sound     the sound was made later: the clocks are apart by the gap or less
    a sound, then a picture     by the gap or more

Jitter of the network, bursts, pauses and frames that are dropped change nothing about that order. A *window* of
pictures gives a least and a most; the *level*, the assumed gap, stays where it is as long as it is between them,
also where a sender mixes its tracks so badly that they have changed places. 0 is always between them for a muxer that
orders by stamp: of its drift nothing is seen, and nothing is done. Drift is how far the level has gone from its *base*,
where the source began.

A clock drifts evenly, for minutes and at 1 % at most. So the path of the level is judged whenever it has taken LASTING
windows and is longer than AWAY_MS, and than the distance between least and most:

    a straight line, no steeper than that     a clock: from now on sound follows the level
    three times as long, and none             the base moves so that sound stays as it is, followed no more
    two windows further apart than a clock    the same, at once
      takes them
    the same, but the level is back near      the source has put itself right: sound goes back, too
      the base
    stamps go back by more than a window      another beginning: everything is forgotten

Sound is restamped on the source's own clock, before silence and timeline, evenly over the next window. A new session
with a server has the drift of hours in its stream: it goes on as the last one ended if its first frames are as far
apart as its last were.

What else looks like a clock, and what is not seen: ``docs/decisions/0014-drift-of-sound.md``.
"""

from collections.abc import Sequence

from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SCRIPT, VIDEO, Tag

#: With 15 pictures a second and 64 ms of sound some 40 neighbours are compared in it, which give the gap to 20 ms or
#: so.
WINDOW_MS = 10_000
#: A path of fewer windows is not a clock yet: what encoders hold back grows and shrinks within a minute or so.
LASTING = 12
#: Few notice sound that is off by less: ITU-R BT.1359 has 45 ms early as what can be noticed, 90 ms as too much.
AWAY_MS = 60
# Frames of equal length make the level move in stairs, which are a straight line only over a way this much longer.
_STAIR_TOLERANCE = 3
# A camera that is off by 1 % is beyond what was ever reported (0.1 to 0.3 %), and measuring has its own error.
_WINDOW_MOST_MS = WINDOW_MS * 11 // 1000
# What a window leaves open the next may tell: a frame of sound, which are 64 ms at 16 kHz, with what a clock goes.
_SLIP_MS = 100
_STEP_MS = _WINDOW_MOST_MS + _SLIP_MS
# 1.25 %: more than the fastest clock, or it could not be caught up with. It is a fifth of a semitone, where players
# resample at all; films on television were a whole one too high.
_MOVE_MOST_MS = WINDOW_MS // 80
# Stamps go back by less in a stream that continues. One that restarts goes back by more, if it was ever followed.
_BACK_MS = WINDOW_MS
# Between sampled pulls are 4 to 16 others, so as not to stay in step with the frames: about one a second is sampled.
_TURNS = 13
# Further than any gap.
_UNKNOWN_MS = 1 << 33


class Drift:
    """The clocks of one source, over its sessions."""

    __slots__ = (
        "_base_ms",
        "_correction_ms",
        "_follows",
        "_kept_ms",
        "_least_ms",
        "_level_ms",
        "_most_ms",
        "_move_from_ms",
        "_move_ms",
        "_moved_at_ms",
        "_pace_ms",
        "_path",
        "_stride",
        "_turn",
        "_window_ms",
        "_windows",
        "before",
        "is_correcting",
        "rest",
    )

    def __init__(self) -> None:
        self._turn = 0
        #: Pulls until the next that is looked at; at -1 it has come. Who finds nothing to correct may count down
        #: instead of a call of ``correct``, down to 0, and call ``look_at`` from there on.
        self.rest = 1
        #: Whether sound is restamped, or will be as soon as it is known by how much.
        self.is_correcting = False
        #: Type and stamp of the last tag.
        self.before = (SCRIPT, 0)
        self._begin()

    def _begin(self) -> None:
        # Stamp of the window's first picture, and the bounds of the gap in it.
        self._window_ms: int | None = None
        self._least_ms, self._most_ms = -_UNKNOWN_MS, _UNKNOWN_MS
        self._level_ms = 0
        self._base_ms: int | None = None
        # The level at each ``stride``-th window since the way began that is judged next.
        self._path: list[int] = []
        self._stride = 1
        self._windows = 0
        # Whether the level is followed, and how far a window is expected to move it.
        self._follows = False
        self._pace_ms = 0
        # What is added to sound: from the one value by so much more, over a window from that stamp of sound on.
        self._correction_ms = self._move_from_ms = self._move_ms = self._moved_at_ms = 0
        # The last session's correction, as long as nothing tells whether the new one needs it.
        self._kept_ms = 0

    @property
    def sound_ms(self) -> int | None:
        """How far sound would have run ahead of the picture (negative: behind) without correction; None: unknown."""
        return None if self._base_ms is None else self._level_ms - self._base_ms

    def begin_session(self) -> None:
        """The next tags come from a new session, with a camera or with a server whose stream contains the drift."""
        kept_ms = self._correction_ms or self._kept_ms
        self.before = (SCRIPT, 0)
        self.is_correcting = kept_ms != 0
        if not kept_ms:
            self._begin()
            return
        self._window_ms = None
        self._least_ms, self._most_ms = -_UNKNOWN_MS, _UNKNOWN_MS
        self._kept_ms, self._correction_ms, self._move_ms = kept_ms, 0, 0
        self._start_path()

    def correct(self, tags: list[Tag], passed: Sequence[Tag] = ()) -> list[Tag]:
        """The tags of a pull, at least one, with sound where the picture's clock has it.

        ``passed``: frames of the same pull that came before them and needed no correction.
        """
        if self._kept_ms:
            self._look([tag for tag in tags if tag_kind(tag[0], tag[2]) <= KEYFRAME])
        corrected = self._restamp(tags) if self._correction_ms or self._move_ms else tags
        self.pass_by([*passed, *tags])
        return corrected

    def pass_by(self, tags: Sequence[Tag]) -> None:
        """The same of a pull in which nothing is to be corrected."""
        self.rest -= 1
        if self.rest <= 0 and not self._kept_ms:
            self.look_at(tags)
        self.is_correcting = bool(self._kept_ms or self._correction_ms or self._move_ms)

    def look_at(self, tags: Sequence[Tag]) -> None:
        """See type and stamp of all tags of a pull, or of the last one when ``rest`` is 0."""
        if self.rest == 0:
            self.before = tags[-1][:2]
        else:
            self._look(tags)
            self.is_correcting = bool(self._kept_ms or self._correction_ms or self._move_ms)

    def _look(self, tags: Sequence[Tag]) -> None:
        before_type, before_ms = self.before
        least_ms, most_ms = self._least_ms, self._most_ms
        picture_ms = None
        for tag_type, stamp, _ in tags:
            if tag_type == VIDEO and stamp:  # Servers repeat headers with a stamp of 0.
                picture_ms = stamp
                if before_type == AUDIO and before_ms - stamp > least_ms:
                    least_ms = before_ms - stamp
            elif tag_type == AUDIO and before_type == VIDEO:
                # Slow streams are looked at until there is a picture with its neighbours.
                self._turn = (self._turn + 5) % _TURNS
                self.rest = self._turn + _TURNS // 3
                if stamp - before_ms < most_ms:
                    most_ms = stamp - before_ms
            before_type, before_ms = tag_type, stamp
        self.before = before_type, before_ms
        self._least_ms, self._most_ms = least_ms, most_ms
        if picture_ms is None:
            return
        if self._kept_ms:
            self._resume(picture_ms)
        if self._window_ms is None:
            self._window_ms = picture_ms
        elapsed_ms = signed_delta_ms(picture_ms, self._window_ms)
        if elapsed_ms < -_BACK_MS:
            self._begin()
        elif elapsed_ms >= WINDOW_MS:
            self._end_window(picture_ms, is_whole=elapsed_ms < 2 * WINDOW_MS)

    def _resume(self, picture_ms: int) -> None:
        """Continue where the last session ended, if the clocks are nearer to that than to their base."""
        level_ms = self._bounded()
        if level_ms is None or self._base_ms is None:
            return
        if abs(level_ms - self._level_ms) < abs(level_ms - self._base_ms):
            self._correction_ms, self._kept_ms = self._kept_ms, 0
            self._aim(to_wire_ms(picture_ms + self._level_ms))
        else:
            self._begin()

    def _bounded(self) -> int | None:
        """The level, moved as far as the bounds say; None while one is missing."""
        if self._least_ms == -_UNKNOWN_MS or self._most_ms == _UNKNOWN_MS:
            return None
        low_ms, high_ms = sorted((self._least_ms, self._most_ms))
        return min(max(self._level_ms, low_ms), high_ms)

    def _end_window(self, picture_ms: int, *, is_whole: bool) -> None:
        if is_whole:
            level_ms = self._bounded()
            self._judge(self._level_ms if level_ms is None else level_ms)
        else:  # A gap: nothing is known of the time in it.
            self._start_path()
        self._window_ms = picture_ms
        self._least_ms, self._most_ms = -_UNKNOWN_MS, _UNKNOWN_MS
        self._aim(to_wire_ms(picture_ms + self._level_ms))

    def _start_path(self) -> None:
        self._path, self._stride, self._windows = [self._level_ms], 1, 0

    def _judge(self, level_ms: int) -> None:
        before_ms, self._level_ms = self._level_ms, level_ms
        if self._base_ms is None:
            self._base_ms = level_ms
            self._start_path()
            return
        step_ms = level_ms - before_ms - self._pace_ms
        if abs(step_ms) > (_SLIP_MS if self._follows else _STEP_MS):
            self._settle(self._base_ms + step_ms)
            return
        self._windows += 1
        way_ms = level_ms - self._path[0]
        away_ms = max(AWAY_MS, abs(self._most_ms - self._least_ms))
        is_judged = abs(way_ms) > away_ms and self._windows >= LASTING
        if is_judged and self._is_clock(way_ms):
            self._follows, self._pace_ms = True, way_ms // self._windows
            self._start_path()
        elif is_judged and abs(way_ms) > _STAIR_TOLERANCE * away_ms:
            self._settle(level_ms + self._correction_ms)
        elif self._windows % self._stride == 0:
            self._path.append(level_ms)
            if len(self._path) == 2 * LASTING:
                # A slow clock takes hours: every other level will do.
                del self._path[1::2]
                self._stride *= 2

    def _is_clock(self, way_ms: int) -> bool:
        if abs(way_ms) > self._windows * _WINDOW_MOST_MS:
            return False
        first_ms, a_window = self._path[0], way_ms / self._windows
        # One step, or two, are further from the line than this somewhere.
        return all(
            abs(level_ms - first_ms - number * self._stride * a_window) <= abs(way_ms) / 4
            for number, level_ms in enumerate(self._path)
        )

    def _settle(self, base_ms: int) -> None:
        """No clock has brought the level here: what the source has put right itself is taken back, else all stays."""
        assert self._base_ms is not None
        correction_ms = self._correction_ms
        self._follows = correction_ms != 0 and 2 * abs(self._level_ms - self._base_ms) <= abs(correction_ms)
        if not self._follows:
            self._base_ms = base_ms
        self._pace_ms = 0
        self._start_path()

    def _aim(self, sound_ms: int) -> None:
        """Set out, from this stamp of sound on, to where it should be by the end of the next window."""
        self._moved_at_ms, self._move_from_ms, self._move_ms = sound_ms, self._correction_ms, 0
        if self._follows and self._base_ms is not None:
            move_ms = self._base_ms - self._level_ms - self._correction_ms
            self._move_ms = min(max(move_ms, -_MOVE_MOST_MS), _MOVE_MOST_MS)

    def _restamp(self, tags: list[Tag]) -> list[Tag]:
        restamped: list[Tag] = []
        for tag in tags:
            tag_type, stamp, body = tag
            if tag_type == AUDIO:
                elapsed_ms = signed_delta_ms(stamp, self._moved_at_ms)
                if elapsed_ms < -_BACK_MS and tag_kind(AUDIO, body) == FRAME:
                    self._begin()
                moved_ms = self._move_ms * min(max(elapsed_ms, 0), WINDOW_MS) // WINDOW_MS
                self._correction_ms = self._move_from_ms + moved_ms
                tag = (tag_type, to_wire_ms(stamp + self._correction_ms), body)
            restamped.append(tag)
        return restamped
