"""The errors of preparations, and how one reaches the process that asked for it: by class and reason."""

from typing import Any

from streamferry.media.errors import (
    Fault,
    MediaError,
    SourceError,
    SourceForbidden,
    SourceMissing,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
    SourceUnsupported,
)
from streamferry.reasons import Reason


class CacheError(MediaError):
    """Not the source but this machine: the disk of the cache is full, ffmpeg is missing, the process was killed."""


class PreparationRestarted(CacheError):
    """This preparation cannot go on, a new one can: its process was killed, or it has to be done another way."""


class ReadWhole(PreparationRestarted):
    """It cannot be read from front to back, only once it is complete."""


class NoRoom(PreparationRestarted):
    """There is not enough room to keep it; it can be played without."""


class SourceGone(SourceRejected):
    """The origin says that the file does not exist (any more): what is cached of it is not played either."""


class SourceChanged(SourceError):
    """The origin now serves a different file than the one being prepared; a new preparation will get that one."""


_CLASSES: dict[str, type[MediaError]] = {
    cls.__name__: cls
    for cls in (
        CacheError,
        NoRoom,
        PreparationRestarted,
        ReadWhole,
        SourceChanged,
        SourceForbidden,
        SourceGone,
        SourceMissing,
        SourceRejected,
        SourceStalled,
        SourceUnreachable,
        SourceUnsupported,
    )
}


def to_wire(error: MediaError) -> dict[str, object]:
    """An error as part of a message."""
    # That of the class says whose fault it is: what this machine lacks is no source's.
    lacks = isinstance(error, SourceError) and error.fault is Fault.SERVICE
    name = CacheError.__name__ if lacks else type(error).__name__
    return {"error": name, "reason": error.why.to_json(), "retry_after_s": error.retry_after_s}


def from_wire(message: dict[str, Any]) -> MediaError:
    """The error again. A name not known here is a fault of ours."""
    error = _CLASSES.get(message["error"], CacheError)(Reason.from_json(message["reason"]))
    error.retry_after_s = message.get("retry_after_s", 0.0)
    return error
