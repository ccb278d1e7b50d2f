"""How every command ends."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit status of every command."""

    DONE = 0
    USAGE = 2
    SOURCE = 3
    DESTINATION = 4
    SERVICE = 5
