"""What a preparation process is told, as one JSON line on its standard input."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """``url`` is the revealed address, ``version`` the fields of what was found there, ``parent`` who gives the job.

    ``processing`` is a ``Processing`` and ``route`` a ``Route``, as JSON; ``slots`` the directory of the locks of
    encodes.
    """

    url: str
    directory: str
    version: dict[str, Any]
    ffmpeg: str
    parent: int
    processing: dict[str, Any]
    slots: str
    route: dict[str, Any]
