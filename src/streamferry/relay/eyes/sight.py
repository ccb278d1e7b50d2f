"""Sight: what can be seen and heard of one stream. It has looks decoded, one at a time, and notes what they show.

What cannot be decoded is no fault of the content, but it is told (``unseen``): nothing is known then. One failure says
little: a keyframe may be damaged, a decoder may have been killed. After a second one in a row it is left alone for a
minute. Pictures and sound fail apart.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf

from streamferry.media.enhanced import codec_of
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.eyes import Answer, Eyes, Sample
from streamferry.relay.eyes.judge import Judge, Watch
from streamferry.relay.eyes.look import Seen
from streamferry.relay.status import Sense, Unseen
from streamferry.wire.stills import still

#: What could not be decoded twice is left alone for so long.
UNREADABLE_S = 60.0
_AAC, _ENHANCED_AAC = b"\x0a", b"mp4a"
_HEADER, _FRAME = b"\xaf\0", b"\xaf\1"
_NO_STILL, _NO_SOUND = Reason.of(Code.CONTENT_NO_STILL), Reason.of(Code.CONTENT_NO_AAC)


class _Sense:
    """Pictures, or sound."""

    def __init__(self, name: str, log: "logging.LoggerAdapter[logging.Logger] | logging.Logger") -> None:
        self._name = name
        self._log = log
        self._failures = 0
        self.rests_until = -inf
        #: Why it cannot be decoded, and since when, once that is so.
        self.unseen: tuple[Reason, datetime] | None = None

    def note(self, why: Reason | None, now: float) -> None:
        """It could be decoded, or could not, and why."""
        if why is None:
            if self._failures > 1:
                self._log.info("the %s can be watched again", self._name)
            self._failures, self.unseen = 0, None
            return
        self._failures += 1
        if self._failures > 1:
            self.rests_until = now + UNREADABLE_S
            self.unseen = why, datetime.now(UTC) if self.unseen is None else self.unseen[1]
        if self._failures == 2:
            words = "the %s cannot be watched: %s; it is looked at again every %d s"
            self._log.warning(words, self._name, why, UNREADABLE_S)


class Sight:
    """That of one stream, or of what one input sends."""

    def __init__(
        self,
        eyes: Eyes,
        log: "logging.LoggerAdapter[logging.Logger] | logging.Logger",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._eyes = eyes
        self._log = log
        self._clock = clock
        #: Whether an answer is to come; till then nothing else is asked.
        self.is_waiting = False
        self._begin()

    def _begin(self) -> None:
        self._picture, self._sound = _Sense(Sense.PICTURE, self._log), _Sense(Sense.SOUND, self._log)

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What cannot be watched now."""
        told = []
        if (picture := self._picture.unseen) is not None:
            told.append(Unseen(Sense.PICTURE, picture[1], Reason.of(Code.CONTENT_PICTURE_UNSEEN, why=picture[0])))
        if (sound := self._sound.unseen) is not None:
            told.append(Unseen(Sense.SOUND, sound[1], Reason.of(Code.CONTENT_SOUND_UNSEEN, why=sound[0])))
        return tuple(told)

    def forget(self) -> None:
        """Another stream comes."""
        self._begin()

    def examine(self, seen: Seen, judge: Judge, watch: Watch) -> None:
        """Have it decoded and noted by the judge, as of now."""
        now = self._clock()
        senses = self._picture, self._sound
        if seen.is_mute:
            judge.note_level(now, -inf)
        picture = self._picture_of(seen, now) if watch.sees else None
        sound = self._sound_of(seen, now) if watch.silent is not None else None
        if picture is None and sound is None:
            return

        def tell(small: Answer[bytes] | None, level: Answer[float] | None) -> None:
            self.is_waiting = False
            if small is not None:
                senses[0].note(small.why, self._clock())
                if small.value is not None:
                    judge.note_picture(now, small.value, stood_s=seen.stood_s)
            if level is not None:
                senses[1].note(level.why, self._clock())
                if level.value is not None:
                    judge.note_level(now, level.value)

        self.is_waiting = True
        self._eyes.put(Sample(picture, sound, tell))

    def _picture_of(self, seen: Seen, now: float) -> tuple[bytes, bytes] | None:
        if seen.keyframe is None or VIDEO not in seen.headers or now < self._picture.rests_until:
            return None
        found = still(seen.headers[VIDEO], seen.keyframe)
        if found is None:
            self._picture.note(_NO_STILL, now)
        return found

    def _sound_of(self, seen: Seen, now: float) -> tuple[bytes, Sequence[bytes]] | None:
        header = seen.headers.get(AUDIO, b"")
        if not seen.sounds or now < self._sound.rests_until:
            return None
        codec = codec_of(AUDIO, header)
        if codec == _AAC:
            return header, seen.sounds
        if codec == _ENHANCED_AAC:
            return _HEADER + header[5:], [_FRAME + body[5:] for body in seen.sounds]
        self._sound.note(_NO_SOUND, now)
        return None
