"""One task's run: what it is to do (spec), what it is doing (status), and the beat that moves its media.

``RelaySpec`` and ``RelayStatus`` are all that a control plane needs.
"""

from streamferry.net.fence import lease_clock
from streamferry.relay.host import Relay, RelayHost
from streamferry.relay.list_position import advance, move, move_ends
from streamferry.relay.network import Network
from streamferry.relay.preview import PreviewRefused, Viewer
from streamferry.relay.spec import ENDLESS, Item, RelaySpec
from streamferry.relay.status import ItemChange, ItemStep, Playhead, RelayStatus, State, Totals, Trouble
from streamferry.timeline.pace import LEAD_MS

__all__ = [
    "ENDLESS",
    "LEAD_MS",
    "Item",
    "ItemChange",
    "ItemStep",
    "Network",
    "Playhead",
    "PreviewRefused",
    "Relay",
    "RelayHost",
    "RelaySpec",
    "RelayStatus",
    "State",
    "Totals",
    "Trouble",
    "Viewer",
    "advance",
    "lease_clock",
    "move",
    "move_ends",
]
