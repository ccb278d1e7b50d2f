"""What was found, in words."""

from datetime import UTC, datetime, timedelta

from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.judge import ContentFault, Finding
from streamferry.relay.status import Found


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
        case ContentFault.LOW_FPS:
            return Reason.of(Code.CONTENT_LOW_FPS, fps=value)
        case ContentFault.KEYFRAMES_FAR_APART:
            return Reason.of(Code.CONTENT_KEYFRAMES_FAR_APART, seconds=value)
