"""What a look has found, decoded and noted by the judge of its stream."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

from streamferry.media.enhanced import codec_of
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.eyes import Eyes, Sample
from streamferry.relay.eyes.judge import ContentFault, Finding, Judge, Watch
from streamferry.relay.eyes.look import Seen
from streamferry.relay.status import Found
from streamferry.wire.stills import still

#: From the end of a look to the next, at least. It begins with one of the inspections, every 2 s, and takes a keyframe:
#: where these come every 4 s or more often, looks are 4 s apart at most. A fault is seen within its duration and 5 s.
EVERY_S = 1.9
#: A stream that could not be decoded is left alone for so long.
UNREADABLE_S = 60.0
_AAC = b"\x0a"


def examine(seen: Seen, judge: Judge, watch: Watch, eyes: Eyes, now: float, on_answer: Callable[[bool], None]) -> bool:
    """Note it, as of ``now``. Gives whether something is to be decoded: then ``on_answer`` is called once that was,
    with whether it could be."""
    if seen.is_mute:
        judge.note_level(now, -inf)
    picture = sound = None
    if watch.sees and seen.keyframe is not None and VIDEO in seen.headers:
        picture = still(seen.headers[VIDEO], seen.keyframe)
    header = seen.headers.get(AUDIO, b"")
    if watch.silent is not None and seen.sounds and codec_of(AUDIO, header) == _AAC:
        sound = header, seen.sounds
    if picture is None and sound is None:
        return False

    def tell(small: bytes | None, level: float | None) -> None:
        if small is not None:
            judge.note_picture(now, small)
        if level is not None:
            judge.note_level(now, level)
        on_answer((picture is None or small is not None) and (sound is None or level is not None))

    eyes.put(Sample(picture, sound, tell))
    return True


def found(finding: Finding, now: float) -> Found:
    """In words, and by the clock."""
    since = datetime.now(UTC) - timedelta(seconds=now - finding.since)
    return Found(finding.fault, since, reason_of(finding))


def reason_of(finding: Finding) -> Reason:
    """What is wrong, in words."""
    value = finding.value or 0.0
    match finding.fault:
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
