"""Times: as the store keeps them, in Unix milliseconds, and as the clocks of a zone show them."""

from datetime import UTC, datetime, tzinfo

#: The end of a window that has none: the last moment that a window may have, and years before the last of ``datetime``.
NEVER = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)


def to_ms(at: datetime) -> int:
    """Unix milliseconds, as the store keeps times."""
    return round(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def instants_of(local: datetime, zone: tzinfo | None) -> list[datetime]:
    """When the clocks of a zone show a time, in UTC and in order: never where they are put forward over it, and twice
    where they are put back to it. ``local`` has no zone; ``zone`` None is this machine's.
    """
    local = local.replace(tzinfo=None)
    found = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(at for at in found if at.astimezone(zone).replace(tzinfo=None, fold=0) == local.replace(fold=0))


def comes_twice(at: datetime, zone: tzinfo | None) -> bool:
    """Whether the clocks of a zone show the same at another time, too. ``at`` is aware; ``zone`` as above."""
    return len(instants_of(at.astimezone(zone), zone)) > 1
