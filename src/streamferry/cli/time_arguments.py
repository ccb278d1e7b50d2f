"""Times as people write them on a command line: ``now``, ``+2h``, ``2026-01-31T20:00`` (this machine's zone)."""

import re
from datetime import UTC, datetime, timedelta

from streamferry.tasks.times import comes_twice, instants_of

_SPAN = re.compile(r"\+((?:[0-9]{1,6}[dhms])+)")
_PART = re.compile(r"([0-9]+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_EXAMPLE = "2026-01-31T20:00:00+08:00"


def read_time(option: str, text: str, base: datetime) -> datetime:
    """An aware UTC time; a span such as ``+1h30m`` counts from ``base``. Raises ValueError naming the option."""
    if text == "now":
        return base
    span = _SPAN.fullmatch(text)
    if span is None:
        return _read(option, text, "now, +2h (d, h, m, s)")
    try:
        return base + _length(span[1])
    except OverflowError:
        raise ValueError(f"{option}: {text} is later than the year 9999") from None


def read_past(option: str, text: str, now: datetime) -> datetime:
    """An aware UTC time; a span such as ``1h30m`` counts back from ``now``. Raises ValueError naming the option."""
    span = _SPAN.fullmatch(f"+{text}")
    if span is None:
        return _read(option, text, "2h (d, h, m, s)")
    try:
        return now - _length(span[1])
    except OverflowError:
        return datetime.fromtimestamp(0, UTC)


def show_time(at: datetime, *, seconds: bool = False) -> str:
    """A time in this machine's zone that can be given back as input: an ambiguous one has its offset."""
    local = at.astimezone()
    text = f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}"
    return f"{text}{_offset(local)}" if comes_twice(at, None) else text


def _length(span: str) -> timedelta:
    return timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(span)))


def _read(option: str, text: str, others: str) -> datetime:
    """A time with its offset, or one that is unambiguous in this machine's zone. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        found = instants_of(at, None)
    except (ValueError, OverflowError):
        raise ValueError(f"{option}: must be {others} or a time as {_EXAMPLE}") from None
    if len(found) == 1:
        return found[0]
    if found:
        both = " or ".join(f"{text}{_offset(one.astimezone())}" for one in found)
        raise ValueError(f"{option}: {text} comes twice in this machine's zone, as clocks go back: write {both}")
    # As if the clock had not been put forward.
    moved = f"{max(at.replace(fold=fold).astimezone(UTC) for fold in (0, 1)).astimezone():%Y-%m-%dT%H:%M}"
    raise ValueError(
        f"{option}: {text} does not come in this machine's zone, where clocks go forward over it: "
        f"write {moved}, or a time with its offset"
    )


def _offset(at: datetime) -> str:
    """The offset in the form ``+01:00``."""
    return at.isoformat()[-6:]
