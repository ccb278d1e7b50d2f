"""Which input is on air: ``decide_input``. And which are to be kept open: ``wanted_inputs``. Pure.

Inputs are in order of preference, numbered from 0; ``SLATE`` is what is shown while none of them can be.

    first rule that holds                                              on air is
    no window is open                                                  the slate
    an input is pinned by hand, and sends                              that one, whatever there is to see
    the slate is pinned by hand                                        the slate
    nothing is wrong with the content of the input on air, and it      the same, until one that comes before it in
      has been silent for less than ``switch_after_s``                 order has been well for ``return_after_s``
    the slate is on air                                                the first that has been well for SETTLED_S
    an input is well                                                   the first of those
    anything else                                                      the slate, or if there is none the same

An input is *well* while its media comes, it has a keyframe to begin with, and nothing is wrong with its content.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamferry.prepare.processing import AS_THEY_ARE
from streamferry.prepare.processing import Normalize as Normalize
from streamferry.reasons import Code, Reason

#: Stands for the slate where the number of an input is expected.
SLATE = -1
#: An input that is back is shown instead of the slate after so long: one that comes and goes would flicker.
SETTLED_S = 1.0
#: Cold inputs are opened when the one on air has been silent for so long: most sources connect in less than a second.
WORRIED_S = 1.0


@dataclass(frozen=True, slots=True)
class Switching:
    """The rules of one task. ``returns``: to a preferred input that is well again, by itself. Else only by hand.

    ``normalize``: how inputs that are unlike become one stream. ``copy``: as they are, each with its headers.
    ``first``: encoded to the form of the first that is on air; a size: the same, and the picture has that size.
    """

    switch_after_s: float = 3.0
    return_after_s: float = 30.0
    returns: bool = True
    normalize: Normalize = AS_THEY_ARE


#: What holds unless a task says otherwise.
SWITCHING = Switching()


@dataclass(slots=True)
class Health:
    """How an input is doing. Times are monotonic, in seconds."""

    #: When media last came of it; of a list that is not on air, when it was last seen to have something to play.
    alive_at: float = -math.inf
    #: Since when media has come without a pause of ``switch_after_s``; None while it does not.
    well_since: float | None = None
    #: What is wrong with its content, if that is a reason to show another: such an input is not well, however much it
    #: sends. See ``relay.inputs.content``.
    content: Reason | None = None

    def note_alive(self, now: float, pause_s: float) -> None:
        """Media came. After a pause that long it is well from now on only."""
        if self.well_since is None or now - self.alive_at >= pause_s:
            self.well_since = now
        self.alive_at = now

    def note_gone(self) -> None:
        """It is closed, or has nothing that could be shown."""
        self.well_since = None

    def note_content(self, why: Reason | None, now: float) -> None:
        """Something is wrong with its content, or nothing any more: then it is well from now on only."""
        if why is None and self.content is not None and self.well_since is not None:
            self.well_since = now
        self.content = why

    def is_sending(self, now: float, pause_s: float) -> bool:
        """Whether it could be shown, whatever there is to see."""
        return self.well_since is not None and now - self.alive_at < pause_s

    def is_well(self, now: float, pause_s: float) -> bool:
        """Whether it could be shown."""
        return self.content is None and self.is_sending(now, pause_s)


@dataclass(frozen=True, slots=True)
class Choice:
    """``which`` is to be on air, and why; ``since``: from when on that was so, for an input that was away."""

    which: int
    why: Reason


_BY_HAND = Reason.of(Code.ON_AIR_BY_HAND)
#: Why the slate is on air while no window is open.
BETWEEN = Reason.of(Code.ON_AIR_BETWEEN)


def opens_in_s(windows: Sequence[tuple[float, float]], at: float) -> float:
    """How long until one of these windows is open: 0 while one is, or if there are none; infinite after the last.

    Windows and ``at`` are in seconds of the same clock.
    """
    if not windows:
        return 0.0
    return min((max(0.0, begin - at) for begin, end in windows if at < end), default=math.inf)


def decide_input(
    healths: Sequence[Health],
    on_air: int,
    rules: Switching,
    now: float,
    *,
    has_slate: bool,
    pinned: int | None = None,
    is_open: bool = True,
) -> Choice | None:
    """What is to be on air instead of ``on_air``; None: that stays. See the table of the module.

    ``is_open``: whether a window is.
    """
    if not is_open:
        return None if on_air == SLATE else Choice(SLATE, BETWEEN)
    pause_s = rules.switch_after_s
    well = [number for number, health in enumerate(healths) if health.is_well(now, pause_s)]
    sends = on_air != SLATE and now - healths[on_air].alive_at < pause_s
    if pinned is not None:
        # Who pins an input has seen what is in it.
        if pinned == on_air and (sends or pinned == SLATE):
            return None
        if pinned != on_air and (has_slate if pinned == SLATE else healths[pinned].is_sending(now, pause_s)):
            return Choice(pinned, _BY_HAND)
    stays = sends and healths[on_air].content is None
    if stays:
        if not rules.returns or pinned is not None:
            return None
        for number in well:
            if number >= on_air:
                break
            if (well_s := now - (healths[number].well_since or now)) >= rules.return_after_s:
                return Choice(number, Reason.of(Code.ON_AIR_BACK, input=number, seconds=math.floor(well_s)))
        return None
    if on_air == SLATE:
        settled_s = min(SETTLED_S, rules.return_after_s)
        for number in well:
            if now - (healths[number].well_since or now) >= settled_s:
                return Choice(number, Reason.of(Code.ON_AIR_WELL, input=number))
        return None
    others = [number for number in well if number != on_air]
    if not others and not has_slate:
        return None
    why = healths[on_air].content
    if why is None:
        why = Reason.of(Code.ON_AIR_DOWN, input=on_air, seconds=pause_s)
    return Choice(others[0] if others else SLATE, why)


def wanted_inputs(
    healths: Sequence[Health],
    warm: Sequence[bool],
    on_air: int,
    rules: Switching,
    now: float,
    *,
    pinned: int | None = None,
) -> list[bool]:
    """Which inputs are to be open, or tried.

    The warm ones always; the one on air; those that may come back on air before it; and all of them while the one on
    air is silent.
    """
    if on_air == SLATE or now - healths[on_air].alive_at >= min(WORRIED_S, rules.switch_after_s):
        return [True] * len(healths)
    may_return = rules.returns and pinned is None
    return [
        is_warm or number in (on_air, pinned) or (may_return and number < on_air) or healths[on_air].content is not None
        for number, is_warm in enumerate(warm)
    ]
