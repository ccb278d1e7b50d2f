"""Watcher: what is found in the content of one run. It is called at the inspections of the run, and costs the beat
nothing between its looks.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

from streamferry.media.enhanced import codec_of
from streamferry.media.tag import AUDIO, VIDEO, LaidTag
from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.eyes import Eyes, Sample
from streamferry.relay.eyes.judge import ContentFault, Finding, Judge, Watch
from streamferry.relay.eyes.look import Look, Seen
from streamferry.relay.preview import HasHeaders
from streamferry.relay.status import Found
from streamferry.relay.taps import Taps
from streamferry.wire.stills import still

_log = logging.getLogger("streamferry.relay")

#: From one look to the next, at least: a fault is to be seen within its duration and 5 s.
EVERY_S = 3.5
#: The longest time between two looks that follow each other: of the inspections, every 2 s at most.
LONGEST_PAUSE_S = 6.0
#: A stream that could not be decoded is left alone for so long.
UNREADABLE_S = 60.0
_AAC = b"\x0a"


class Watcher:
    """That of one run. ``headers``: the flow."""

    def __init__(
        self,
        watch: Watch,
        taps: Taps,
        headers: HasHeaders,
        eyes: Eyes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._taps = taps
        self._headers = headers
        self._eyes = eyes
        self._clock = clock
        self._judge = Judge(watch)
        self._look: Look | None = None
        self._look_at = 0.0
        self._found: tuple[Found, ...] = ()
        # Counts what is watched: an answer about what was on air before is not for what is now.
        self._era = 0
        #: Whether an answer of the eyes is to come.
        self.is_waiting = False

    def update(self, watch: Watch) -> None:
        """Other rules. Begins anew if they differ."""
        if watch != self._watch:
            self._watch = watch
            self._judge = Judge(watch)
            self.clear()

    def clear(self) -> None:
        """Nothing is sent, or something else from now on."""
        self._end_look()
        self._judge.clear()
        self._found = ()
        self._era += 1
        self.is_waiting = False
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
            self._found = tuple(known.get(one.fault) or _found(one, now) for one in findings)
        return self._found

    def _open_look(self, now: float) -> None:
        watch = self._watch
        rule = watch.keyframes_far_apart
        if not watch.sees and watch.silent is None and rule is None:
            return
        self._look_at = now + EVERY_S
        gaps_from_s = None if rule is None else max(0.0, rule.threshold - LONGEST_PAUSE_S)
        self._look = Look(self._headers.headers, self._note_seen, self._note_gap, gaps_from_s)
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

    def _note_seen(self, seen: Seen) -> None:
        """Called in the beat: nothing is decoded here."""
        self._end_look()
        now, watch, era = self._clock(), self._watch, self._era
        if seen.is_mute:
            self._judge.note_level(now, -inf)
        picture = sound = None
        if watch.sees and seen.keyframe is not None and VIDEO in seen.headers:
            picture = still(seen.headers[VIDEO], seen.keyframe)
        header = seen.headers.get(AUDIO, b"")
        if watch.silent is not None and seen.sounds and codec_of(AUDIO, header) == _AAC:
            sound = header, seen.sounds
        if picture is None and sound is None:
            return
        self.is_waiting = True

        def tell(small: bytes | None, level: float | None) -> None:
            if era != self._era:
                return
            self.is_waiting = False
            if small is not None:
                self._judge.note_picture(now, small)
            if level is not None:
                self._judge.note_level(now, level)
            if (picture is not None and small is None) or (sound is not None and level is None):
                self._look_at = self._clock() + UNREADABLE_S

        self._eyes.put(Sample(picture, sound, tell))


def _found(finding: Finding, now: float) -> Found:
    since = datetime.now(UTC) - timedelta(seconds=now - finding.since)
    return Found(finding.fault, since, _reason(finding.fault, finding.value or 0.0))


def _reason(fault: ContentFault, value: float) -> Reason:
    match fault:
        case ContentFault.BLACK:
            return Reason.of(Code.CONTENT_BLACK)
        case ContentFault.FROZEN:
            return Reason.of(Code.CONTENT_FROZEN)
        case ContentFault.SILENT:
            return Reason.of(Code.CONTENT_SILENT)
        case ContentFault.LOW_BITRATE:
            return Reason.of(Code.CONTENT_LOW_BITRATE, kbps=value)
        case ContentFault.KEYFRAMES_FAR_APART:
            return Reason.of(Code.CONTENT_KEYFRAMES_FAR_APART, seconds=value)
