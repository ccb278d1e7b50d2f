"""One task's run: what it is to do (spec), what it is doing (status), and the beat that moves its media.

``RelaySpec`` and ``RelayStatus`` are all that a control plane needs, so the modules that move media are not imported
here: ``host``, ``network`` and ``preview``.
"""

from streamferry.net.fence import lease_clock
from streamferry.relay.list_position import advance, move, move_ends
from streamferry.relay.spec import ENDLESS, Destination, Item, Latency, RelaySpec
from streamferry.relay.status import (
    DestinationStatus,
    Found,
    ItemChange,
    ItemStep,
    Moved,
    OnAir,
    Playhead,
    RelayStatus,
    Shown,
    State,
    Switch,
    Totals,
    Trouble,
)
from streamferry.timeline.pace import LEAD_MS

__all__ = [
    "ENDLESS",
    "LEAD_MS",
    "Destination",
    "DestinationStatus",
    "Found",
    "Item",
    "ItemChange",
    "ItemStep",
    "Latency",
    "Moved",
    "OnAir",
    "Playhead",
    "RelaySpec",
    "RelayStatus",
    "Shown",
    "State",
    "Switch",
    "Totals",
    "Trouble",
    "advance",
    "lease_clock",
    "move",
    "move_ends",
]
