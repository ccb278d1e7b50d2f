"""Watcher: what is found in the content of one run. It is called at the inspections of the run, and costs the beat
nothing between its looks.
"""

import logging
import time
from collections.abc import Callable

from streamferry.media.tag import LaidTag
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.judge import Judge, Watch
from streamferry.relay.eyes.look import Look, Seen
from streamferry.relay.eyes.sight import Sight
from streamferry.relay.eyes.words import found
from streamferry.relay.preview import HasHeaders
from streamferry.relay.status import Found, Unseen
from streamferry.relay.taps import Taps

_log = logging.getLogger("streamferry.relay")

#: From the end of a look to the next, at least. It begins with one of the inspections, every 2 s, and takes a keyframe:
#: where these come every 4 s or more often, looks are 4 s apart at most. A fault is seen within its duration and 5 s.
EVERY_S = 1.9
#: The longest time between two looks that follow each other: of the inspections, every 2 s at most.
LONGEST_PAUSE_S = 6.0


class Watcher:
    """That of one run. ``headers``: the flow."""

    def __init__(
        self,
        watch: Watch,
        taps: Taps,
        headers: HasHeaders,
        eyes: Eyes,
        clock: Callable[[], float] = time.monotonic,
        log: "logging.LoggerAdapter[logging.Logger] | logging.Logger" = _log,
    ) -> None:
        self._watch = watch
        self._taps = taps
        self._headers = headers
        self._sight = Sight(eyes, log, clock)
        self._clock = clock
        self._judge = Judge(watch)
        self._look: Look | None = None
        self._look_at = 0.0
        self._found: tuple[Found, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether an answer of the eyes is to come."""
        return self._sight.is_waiting

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What is to be watched and cannot be."""
        return self._sight.unseen

    @property
    def judge(self) -> Judge:
        """Who judges what is sent now."""
        return self._judge

    @property
    def is_worried(self) -> bool:
        """Whether something may soon be found, or be over: it is to be asked more often."""
        return self._judge.is_worried and not self._found

    def update(self, watch: Watch) -> None:
        """Other rules. Begins anew if they differ."""
        if watch != self._watch:
            self._watch = watch
            self.clear()

    def clear(self) -> None:
        """Nothing is sent from now on, or something of which nothing is known."""
        self._begin(Judge(self._watch))

    def follow(self, judge: Judge) -> None:
        """What is known of what is sent from now on is with that judge."""
        if judge is not self._judge:
            judge.forget_sending()
            self._begin(judge)

    def _begin(self, judge: Judge) -> None:
        self._end_look()
        self._judge = judge
        self._found = ()
        self._sight.forget()
        self._look_at = 0.0

    def inspect(self, now: float, kbps: int) -> tuple[Found, ...]:
        """What is wrong now. Called every 2 s or more often while media is sent, of which ``kbps`` is the rate."""
        if self._watch.is_nothing:
            return ()
        if kbps:
            self._judge.note_rate(now, kbps)
        if self._look is None and not self.is_waiting and now >= self._look_at:
            self._open_look(now)
        findings = self._judge.findings(now)
        if [one.fault for one in findings] != [one.fault for one in self._found]:
            known = {one.fault: one for one in self._found}
            self._found = tuple(known.get(one.fault) or found(one, now) for one in findings)
        return self._found

    def _open_look(self, now: float) -> None:
        watch = self._watch
        rule = watch.keyframes_far_apart
        if not watch.sees and watch.silent is None and rule is None and watch.low_fps is None:
            return
        gaps_from_s = None if rule is None else max(0.0, rule.threshold - LONGEST_PAUSE_S)
        on_rate = None if watch.low_fps is None else self._note_frames
        self._look = Look(self._headers.headers, self._note_seen, self._note_gap, gaps_from_s, on_rate)
        self._taps.add(self._take)

    def _end_look(self) -> None:
        self._look = None
        self._taps.remove(self._take)

    def _take(self, tags: list[LaidTag]) -> None:
        """Called by the outlet: never waits, never raises."""
        if self._look is None:
            return
        try:
            self._look.take(tags)
        except Exception:
            # A bug of ours that the stream must not notice: it has already been sent.
            _log.exception("a look failed inside streamferry")
            self._end_look()

    def _note_gap(self, seconds: float) -> None:
        self._judge.note_keyframes(self._clock(), seconds)

    def _note_frames(self, fps: float, lasted_s: float) -> None:
        self._judge.note_frames(self._clock(), fps, lasted_s)

    def _note_seen(self, seen: Seen) -> None:
        """Called in the beat: nothing is decoded here."""
        self._end_look()
        self._look_at = self._clock() + EVERY_S
        self._sight.examine(seen, self._judge, self._watch)
