"""What the dashboard needs of this machine: the same as REST, and the library of uploaded files."""

from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.dashboard.desk import Desk
from streamferry.control.library import Library
from streamferry.control.rest.reads import Reads
from streamferry.control.rest.routes import RestSettings
from streamferry.control.rest.writes import Writes


def make_desk(settings: Settings, actions: Actions, callbacks: Callbacks, rest: RestSettings) -> Desk:
    """From the settings of the service and of REST."""
    return Desk(
        actions,
        Reads(actions, rest.look_into_cache, samples=rest.samples),
        Writes(actions, rest.source_rules),
        Library(settings.library_dir, settings.upload_mb * 1_000_000),
        callbacks,
        prober=rest.prober,
        source_rules=rest.source_rules,
        public_hosts=settings.public_hosts,
    )
