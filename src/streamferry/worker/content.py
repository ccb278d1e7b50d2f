"""What is found wrong with the content of a run, as changes to be reported."""

from collections.abc import Iterator

from streamferry.relay import RelayStatus
from streamferry.worker.ledger import Change


def content_changes(before: RelayStatus, after: RelayStatus, now: float) -> Iterator[Change]:
    """What has begun, and what is over unless the run is."""
    known, found = ({one.fault for one in each.found} for each in (before, after))
    yield from (Change(after, now, content=one) for one in after.found if one.fault not in known)
    if not after.final:
        yield from (Change(after, now, content=one, is_over=True) for one in before.found if one.fault not in found)
