"""What is wrong with the content of one live input, on the air or not, as far as it is a reason to show another.

While the input is on the air the watcher of the run looks at what is sent, and notes it with the judge of this input.
While it is open and not on the air its standby is looked at, as often. So a fault does not end with a switch: it stands
until a look finds that it is over, also over sessions that end and begin.
"""

from collections import deque

from streamferry.media.enhanced import FirstTracks, tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.reasons import Reason
from streamferry.relay.eyes.judge import NOTHING, ContentFault, Judge, Watch
from streamferry.relay.eyes.look import SOUND_FRAMES, Seen
from streamferry.relay.eyes.sight import Sight
from streamferry.relay.eyes.words import reason_of
from streamferry.relay.inputs.policy import Health
from streamferry.relay.inputs.standby import Standby
from streamferry.relay.keeper import RunContext

#: From one look at a standby to the next: it has a keyframe at any time.
EVERY_S = 3.5
#: How often it is seen to.
_VISIT_S = 0.5
#: An input that was at fault, is open again, and of which nothing can be seen for so long, is as good as any.
_BLIND_S = 20.0


class InputContent:
    """That of one live input, whose health it is noted in. ``judge``: who has judged it so far, if it is on the air."""

    def __init__(self, context: RunContext, health: Health, judge: Judge | None = None) -> None:
        self._context = context
        self._health = health
        self._all: Watch = context.spec.watch
        # The rules that switch.
        self._watch: Watch = self._all.switching
        #: Of the input, for all rules of the run.
        self.judge = judge if judge is not None and judge.watch == self._all else Judge(self._all)
        self._fault: ContentFault | None = None
        self._visit_at = self._look_at = 0.0
        self._open_since: float | None = None
        self._sight = None if context.eyes is None else Sight(context.eyes, context.log)
        # The keyframe of the last look: it says nothing twice.
        self._keyframe: bytes | None = None

    def visit(self, now: float, standby: Standby | None, *, is_on_air: bool) -> None:
        """Called at each visit of the input. ``standby``: while it is open and not on the air."""
        if now < self._visit_at:
            return
        self._visit_at = now + _VISIT_S
        if self._context.spec.watch != self._all:
            self._all = self._context.spec.watch
            self._watch = self._all.switching
            self.judge = Judge(self._all)
            self._context.judge = self.judge if is_on_air else self._context.judge
            self._note(None, None, now)
        if self._watch == NOTHING or self._sight is None:
            return
        if standby is None and not is_on_air:
            self._open_since = None
            return
        self._open_since = now if self._open_since is None else self._open_since
        if standby is not None and not self._sight.is_waiting and now >= self._look_at:
            self._look(standby, now, self._sight)
        self._follow_judge(now, is_on_air=is_on_air)

    def _look(self, standby: Standby, now: float, sight: Sight) -> None:
        seen = seen_in(standby.take())
        if seen is None or (seen.keyframe is not None and seen.keyframe is self._keyframe):
            return
        self._look_at, self._keyframe = now + EVERY_S, seen.keyframe
        seen.is_mute = standby.is_mute
        sight.examine(seen, self.judge, self._watch)

    def _follow_judge(self, now: float, *, is_on_air: bool) -> None:
        assert self._open_since is not None
        finding = next((one for one in self.judge.findings(now) if self._watch.rule(one.fault) is not None), None)
        if finding is not None:
            if finding.fault is not self._fault:
                self._note(finding.fault, reason_of(finding), now)
                if is_on_air:
                    # It is to be told before it is no longer on the air.
                    self._context.look_at_run(now)
        elif self._fault is not None:
            was_seen = self.judge.noted_at > self._open_since
            if (was_seen and not self.judge.doubts(self._fault)) or (
                not was_seen and now - self._open_since >= _BLIND_S
            ):
                self._note(None, None, now)

    def _note(self, fault: ContentFault | None, why: Reason | None, now: float) -> None:
        self._fault = fault
        self._health.note_content(why, now)


def seen_in(tags: list[Tag]) -> Seen | None:
    """What a look would have found in the headers and the group of a standby; None: there is too little."""
    seen, tracks = Seen({}), FirstTracks()
    sounds: deque[bytes] = deque(maxlen=SOUND_FRAMES)
    for tag_type, _, whole in tags:
        kind, body = tag_kind(tag_type, whole), tracks.take(tag_type, whole)
        if body is None:
            continue
        if kind == SEQUENCE_HEADER:
            seen.headers[tag_type] = bytes(body)
            if tag_type == AUDIO:
                sounds.clear()
        elif tag_type == VIDEO and kind == KEYFRAME and seen.keyframe is None:
            seen.keyframe = bytes(body)
        elif tag_type == AUDIO:
            sounds.append(bytes(body))
    if AUDIO in seen.headers and len(sounds) < SOUND_FRAMES:
        return None
    seen.sounds = tuple(sounds)
    return seen
