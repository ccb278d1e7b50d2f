"""What a preparation process is told, as one JSON line on its standard input."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """``url`` is the revealed address, ``version`` the fields of what was found there, ``parent`` who gives the job.

    ``processing`` is a ``Processing``, ``route`` a ``Route`` and ``folders`` a ``Folders``, as JSON; ``slots`` the
    directory of the locks of encodes. ``ahead_bytes``: keep a window of the file only, around a player that begins at
    ``start_ms`` and says where it reads on the lines that follow. ``reads_whole``: not from front to back.
    ``reserve_bytes``: see ``net.disk``. ``home`` is a ``Home``, as JSON: where prepared files are shared, if anywhere.
    """

    url: str
    directory: str
    version: dict[str, Any]
    parent: int
    processing: dict[str, Any]
    slots: str
    folders: dict[str, Any]
    ffmpeg: str = ""
    route: dict[str, Any] = field(default_factory=dict)
    ahead_bytes: int | None = None
    start_ms: int = 0
    reads_whole: bool = False
    reserve_bytes: int | None = None
    home: dict[str, Any] | None = None
