"""What the dashboard needs: the same as REST."""

from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.dashboard.desk import Desk
from streamferry.control.dashboard.numbers import Numbers
from streamferry.control.rest.reads import Reads
from streamferry.control.rest.routes import RestSettings
from streamferry.control.rest.writes import Writes
from streamferry.service.rest import library_of


def make_desk(settings: Settings, actions: Actions, callbacks: Callbacks, rest: RestSettings) -> Desk:
    """From the settings of the service and of REST."""
    reads = Reads(actions, rest.look_into_cache, samples=rest.samples)
    return Desk(
        actions,
        reads,
        Numbers(reads),
        Writes(actions, rest.source_rules),
        library_of(settings),
        callbacks,
        prober=rest.prober,
        source_rules=rest.source_rules,
        public_hosts=settings.public_hosts,
    )
