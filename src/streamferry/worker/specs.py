"""What a worker decides by the spec of a task. Pure."""

from dataclasses import replace

from streamferry.relay import Playhead, RelaySpec, move


def overlaps(spec: RelaySpec) -> bool:
    """Whether all its destinations take a second publisher, while the task moves to another worker."""
    return all(one.overlap for one in (spec.destination_options, *(other.options for other in spec.others)))


def decide_spec(running: RelaySpec, wanted: RelaySpec, playhead: Playhead | None) -> RelaySpec:
    """The new spec for a running relay, with the position where its list continues.

    If nothing about the playing changed: the same position, which leaves the list alone. Otherwise: after the current
    item, wherever that is now; at that item if nothing has played yet; and if it was removed, at what replaced it.
    What happens to the current item is up to the relay.
    """
    if wanted.is_live != running.is_live:
        return replace(wanted, playhead=Playhead())
    if replace(wanted, playhead=running.playhead).list_key == running.list_key:
        return replace(wanted, playhead=running.playhead)
    has_played = playhead is not None and playhead != running.playhead
    at, is_kept = move(playhead or running.playhead, running.items, wanted.items)
    if is_kept and has_played:
        at = Playhead(at.loop, at.item + 1) if at.item + 1 < len(wanted.items) else Playhead(at.loop + 1)
    return replace(wanted, playhead=at)


def decide_left(running: RelaySpec | None, wanted: RelaySpec | None) -> RelaySpec | None:
    """What a run that another one follows still sends: to the destinations that are wanted. None: to none of them."""
    if running is None or wanted is None:
        return None
    urls = {one.url for one in wanted.destinations}
    left = [one for one in running.destinations if one.url in urls]
    if not left or len(left) == len(running.destinations):
        return running if left else None
    first, *others = left
    ids = {one.id for one in left}
    return replace(
        running,
        destination=first.url,
        destination_options=first.options,
        destination_id=first.id,
        latency=first.latency or running.latency,
        others=tuple(one if one.backup_of in ids else replace(one, backup_of=None) for one in others),
    )
