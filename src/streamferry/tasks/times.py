"""Times as the store keeps them: Unix milliseconds, from and to aware UTC datetimes."""

from datetime import UTC, datetime


def to_ms(at: datetime) -> int:
    """Unix milliseconds, as the store keeps times."""
    return round(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)
