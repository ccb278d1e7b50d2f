"""A VOD address becomes a prepared FLV file in a cache, by a child process, and is read while it grows.

``store`` and ``file`` are what the relay process uses; ``child`` and all it imports run in the preparation process.
Nothing here knows players, pace or destinations.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamferry.prepare.file import PreparedFile, PrepareProgress
    from streamferry.prepare.store import PreparedStore

__all__ = ["PrepareProgress", "PreparedFile", "PreparedStore"]


def __getattr__(name: str) -> object:
    """Import late: the preparation process passes through here and needs neither asyncio nor httpx for a local file."""
    if name == "PreparedStore":
        from streamferry.prepare.store import PreparedStore

        return PreparedStore
    if name in ("PrepareProgress", "PreparedFile"):
        from streamferry.prepare import file

        return getattr(file, name)
    raise AttributeError(name)
