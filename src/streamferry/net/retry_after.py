"""How long an HTTP server asks to be left alone. Specification: RFC 9110, 10.2.3 (Retry-After)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A server that asks for more is asked after this: what it guards may be back earlier.
MAX_RETRY_AFTER_S = 120.0


def retry_after_s(text: str) -> float:
    """The seconds that the header's ``text`` names, by number or date, at most ``MAX_RETRY_AFTER_S``; 0 for neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone.
            return 0.0
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)
