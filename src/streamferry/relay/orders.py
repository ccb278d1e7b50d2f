"""A file of a list, and what is asked for of what is on air: files that are played over it, and steps of a list."""

from dataclasses import dataclass

from streamferry.media.url import MediaUrl

#: So late an order is still followed: what was on air meanwhile may be something else.
ORDER_STALE_S = 30.0
#: A file that is to be inserted is opened so long before its time.
OPEN_EARLY_S = 20.0


@dataclass(frozen=True, slots=True)
class Item:
    """One VOD address. Offsets are seconds from the file's start; ``end_s`` 0 means to its end."""

    url: MediaUrl
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be done once, of what is on air: ``number`` tells a new order from the last one.

    With an ``item`` that file is played over it, then it goes on; without, its list goes on with its next item.
    ``at``: when, in seconds since 1970; one that is older than ORDER_STALE_S is not followed any more.
    ``after_item``: the file plays when the item of the list ends that plays then, however late that is.
    ``is_done``: it was begun, as the store knows, or was too late; no relay gets it again.
    """

    number: int
    at: float
    item: Item | None = None
    after_item: bool = False
    is_done: bool = False

    def is_stale(self, now: float) -> bool:
        """Whether a run that sees it for the first time at ``now`` leaves it alone."""
        return not self.after_item and self.at < now - ORDER_STALE_S
