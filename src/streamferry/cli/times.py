"""Times as people write them on a command line: ``now``, ``+2h``, ``2026-01-31T20:00`` (this machine's zone)."""

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"\+((?:[0-9]{1,6}[dhms])+)")
_PART = re.compile(r"([0-9]+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def read_time(option: str, text: str, base: datetime) -> datetime:
    """An aware UTC time; a span such as ``+1h30m`` counts from ``base``. Raises ValueError naming the option."""
    if text == "now":
        return base
    span = _SPAN.fullmatch(text)
    if span is not None:
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(span[1]))
        return base + timedelta(seconds=seconds)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{option}: must be now, +2h (d, h, m, s) or a time as 2026-01-31T20:00:00+08:00") from None


def read_past(option: str, text: str, now: datetime) -> datetime:
    """An aware UTC time; a span such as ``1h30m`` counts back from ``now``. Raises ValueError naming the option."""
    span = _SPAN.fullmatch(f"+{text}")
    if span is None:
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(f"{option}: must be 2h (d, h, m, s) or a time as 2026-01-31T20:00:00+08:00") from None
    try:
        return now - timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(span[1])))
    except OverflowError:
        return datetime.fromtimestamp(0, UTC)
