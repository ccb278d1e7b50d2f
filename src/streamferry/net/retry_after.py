"""How long an HTTP server asks to be left alone. Specification: RFC 9110, 10.2.3 (Retry-After)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A server that asks for more is asked after this: what it guards may be back earlier.
MAX_RETRY_AFTER_S = 120.0


def retry_after_s(text: str, longest_s: float = MAX_RETRY_AFTER_S, *, now: datetime | None = None) -> float:
    """The seconds that the header's ``text`` names, by number or date, at most ``longest_s``; 0 for neither.

    A date without a zone is one of UTC, as all dates of HTTP are.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
            seconds = (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(0.0, seconds), longest_s)
