"""What is wrong with the content of a stream: rules, observations and what follows from them. Pure; no clock.

A rule has a threshold and a duration. An observation is good or bad by the threshold; a fault is found when all since
some moment were bad, two at least, and the duration has passed since the first of them. One good observation ends it.

    black                 share of the picture that is black        bad at the threshold and above
    frozen                how much the picture has changed since     bad up to the threshold
                          the first that looked the same, in %
    silent                level of the sound in dBFS                 bad below the threshold
    low_bitrate           what is sent, in kbps                      bad below the threshold
    low_fps               frames a second, by their stamps           bad below the threshold
    keyframes_far_apart   seconds from one keyframe to the next      bad above the threshold
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from math import inf, isfinite
from operator import sub

#: Of the thumbnails that are compared: rows of single bytes, 0 is black.
WIDTH, HEIGHT = 96, 54
#: A part of the picture in which a change is looked for: a clock in a corner is a change.
_TILE = 6
#: Pixels up to this are black: fades and codecs leave no pure zero. A street at night has 10 and more where it is dark.
_BLACK = bytes(range(9))
#: When a picture begins to stand, an encoder spends more on each keyframe than on the one before, for some of them: one
#: that stood already, by the frames before it, and differs by so many times the threshold, is the first of those that
#: stay.
_SETTLING = 2.0
#: Without an observation for so long nothing is known any more. Keyframes may be 65 s apart, and a stream that could
#: not be decoded once is left alone for a minute: neither ends a fault.
STALE_S = 150.0
#: How long a fault lasts before it is told, at least and at most.
LEAST_DURATION_S, MOST_DURATION_S = 1.0, 3_600.0


class ContentFault(StrEnum):
    """What can be wrong."""

    BLACK = "black"
    FROZEN = "frozen"
    SILENT = "silent"
    LOW_BITRATE = "low_bitrate"
    LOW_FPS = "low_fps"
    KEYFRAMES_FAR_APART = "keyframes_far_apart"


#: Those for which an input can be switched: what is seen and heard of it, on the air or not.
SWITCHING_FAULTS = (ContentFault.BLACK, ContentFault.FROZEN, ContentFault.SILENT)


@dataclass(frozen=True, slots=True)
class Rule:
    """When something is a fault. The unit of ``threshold`` is that of the module's table.

    ``switches``: a live input that has it is not shown while there is another one, or a slate.
    """

    threshold: float
    duration_s: float
    switches: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched for, by the names of ``ContentFault``; None: not for that."""

    black: Rule | None = None
    frozen: Rule | None = None
    silent: Rule | None = None
    low_bitrate: Rule | None = None
    low_fps: Rule | None = None
    keyframes_far_apart: Rule | None = None

    def rule(self, fault: ContentFault) -> Rule | None:
        """The rule for it."""
        rule: Rule | None = getattr(self, fault.value)
        return rule

    @property
    def sees(self) -> bool:
        """Whether pictures are to be decoded."""
        return self.black is not None or self.frozen is not None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is watched for."""
        return self == NOTHING

    @property
    def switching(self) -> "Watch":
        """Only the rules that switch inputs."""
        rules = {one.name: getattr(self, one.name) for one in fields(self)}
        return Watch(**{name: rule for name, rule in rules.items() if rule is not None and rule.switches})


#: Nothing is watched for.
NOTHING = Watch()
#: What holds where a rule is asked for without numbers. A threshold of 0 has to be given: slides may have a frame a
#: second.
DEFAULTS = Watch(
    black=Rule(0.98, 10.0),
    frozen=Rule(1.0, 30.0),
    silent=Rule(-60.0, 20.0),
    low_bitrate=Rule(100.0, 20.0),
    low_fps=Rule(0.0, 20.0),
    keyframes_far_apart=Rule(10.0, 20.0),
)
#: Least and most of each threshold.
THRESHOLDS = {
    ContentFault.BLACK: (0.5, 1.0),
    ContentFault.FROZEN: (0.1, 20.0),
    ContentFault.SILENT: (-90.0, -10.0),
    ContentFault.LOW_BITRATE: (1.0, 100_000.0),
    ContentFault.LOW_FPS: (1.0, 120.0),
    ContentFault.KEYFRAMES_FAR_APART: (2.0, 60.0),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that is there. ``since``: of the first bad observation; ``value``: of the last, None without a level."""

    fault: ContentFault
    since: float
    value: float | None


@dataclass(slots=True)
class _Run:
    """Bad observations in a row."""

    since: float
    last: float
    count: int
    value: float


class Judge:
    """That of one stream. Times are monotonic."""

    __slots__ = ("_anchor", "_anchor_stands", "_runs", "noted_at", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._runs: dict[ContentFault, _Run] = {}
        # The first of the pictures that look the same.
        self._anchor: bytes | None = None
        # Whether the frames before it said that nothing changes.
        self._anchor_stands = False
        #: When something was last seen or heard.
        self.noted_at = -inf

    def clear(self) -> None:
        """Nothing is known any more: what comes next is another stream, or the same after a break."""
        self._runs.clear()
        self._anchor = None
        self.noted_at = -inf

    def forget_sending(self) -> None:
        """It has not been sent till now: nothing is known of how that goes."""
        for fault in (ContentFault.LOW_BITRATE, ContentFault.LOW_FPS, ContentFault.KEYFRAMES_FAR_APART):
            self._runs.pop(fault, None)

    def doubts(self, fault: ContentFault) -> bool:
        """Whether the last observation was bad: of pictures that do not change the second one is the first such."""
        run = self._runs.get(fault)
        return run is not None and run.count >= (2 if fault is ContentFault.FROZEN else 1)

    @property
    def is_worried(self) -> bool:
        """Whether a fault may soon have lasted long enough."""
        return any(run.count >= 2 for run in self._runs.values())

    def note_picture(self, at: float, picture: bytes, *, stood_s: float = 0.0) -> None:
        """A picture of ``WIDTH`` x ``HEIGHT``, one byte for each pixel, was sent. ``stood_s``: see ``look.Seen``."""
        self.noted_at = at
        if (rule := self.watch.black) is not None:
            share = 1 - len(picture.translate(None, _BLACK)) / len(picture)
            is_black = share >= rule.threshold
            self._note(ContentFault.BLACK, at, share, is_bad=is_black)
            if is_black:
                # It does not move either, which is no second fault.
                self._anchor = None
                self._runs.pop(ContentFault.FROZEN, None)
                return
        if (rule := self.watch.frozen) is not None:
            percent = inf if self._anchor is None else difference(self._anchor, picture)
            is_same = percent <= rule.threshold
            if is_same:
                self._note(ContentFault.FROZEN, at, percent, is_bad=True)
                return
            # It may be the first of pictures that stay.
            first, is_near = self._runs.get(ContentFault.FROZEN), percent <= _SETTLING * rule.threshold
            settles = self._anchor_stands and is_near and first is not None and first.count == 1
            since = first.since if first is not None and settles else at - stood_s
            self._anchor, self._anchor_stands = picture, stood_s > 0 and not settles
            self._runs[ContentFault.FROZEN] = _Run(since, at, 1, 0.0)

    def note_level(self, at: float, dbfs: float) -> None:
        """Sound was sent that is as loud; -inf: none at all."""
        self.noted_at = at
        if (rule := self.watch.silent) is not None:
            self._note(ContentFault.SILENT, at, dbfs, is_bad=dbfs < rule.threshold)

    def note_rate(self, at: float, kbps: float) -> None:
        """So much is sent."""
        if (rule := self.watch.low_bitrate) is not None:
            self._note(ContentFault.LOW_BITRATE, at, kbps, is_bad=kbps < rule.threshold)

    def note_frames(self, at: float, fps: float, lasted_s: float) -> None:
        """So many frames a second were sent in a stretch of so many seconds, which is over."""
        if (rule := self.watch.low_fps) is not None:
            self._note(ContentFault.LOW_FPS, at, fps, is_bad=fps < rule.threshold, lasted_s=lasted_s)

    def note_keyframes(self, at: float, seconds: float) -> None:
        """Two keyframes were so far apart, or so long there has been none."""
        if (rule := self.watch.keyframes_far_apart) is not None:
            self._note(ContentFault.KEYFRAMES_FAR_APART, at, seconds, is_bad=seconds > rule.threshold)

    def _note(self, fault: ContentFault, at: float, value: float, *, is_bad: bool, lasted_s: float = 0.0) -> None:
        run = self._runs.get(fault)
        if not is_bad:
            self._runs.pop(fault, None)
        elif run is None or at - run.last > STALE_S:
            self._runs[fault] = _Run(at - lasted_s, at, 1, value)
        else:
            run.last, run.value = at, value
            run.count += 1

    def findings(self, now: float) -> tuple[Finding, ...]:
        """What is wrong now, in the order of ``ContentFault``."""
        found = []
        for fault in ContentFault:
            rule, run = self.watch.rule(fault), self._runs.get(fault)
            if rule is None or run is None or run.count < 2 or now - run.last > STALE_S:
                continue
            if now - run.since >= rule.duration_s:
                found.append(Finding(fault, run.since, run.value if isfinite(run.value) else None))
        return tuple(found)


def difference(one: bytes, other: bytes) -> float:
    """How much two pictures differ, in % of the way from black to white: in the part where they differ most, or twice
    as much as all parts do on average, whichever is more.

    A picture that is sent again and again stays below 1, whatever its codec makes of it. Grain is everywhere, so that
    a camera that looks at a wall has 1.2 and more; in dark scenes something moves somewhere.
    """
    differences = bytes(map(abs, map(sub, one, other)))
    worst = 0
    row_bytes = WIDTH * _TILE
    for top in range(0, len(differences), row_bytes):
        for left in range(top, top + WIDTH, _TILE):
            tile = 0
            for at in range(left, left + row_bytes, WIDTH):
                tile += sum(differences[at : at + _TILE])
            worst = max(worst, tile)
    return max(worst / (_TILE * _TILE), 2 * sum(differences) / len(differences)) / 255 * 100
