"""Parses ffmpeg's standard error. Without asyncio: the preparation process uses it, too.

Lines look like ``[mov,mp4 @ 0x55d0] [error] message``, as ``ffmpeg_options.LOGGING`` asks for them: the part of ffmpeg
that speaks, if it is not ffmpeg itself, and the level.
"""

import re
from typing import NamedTuple

#: Levels that report problems; a warning may be the only reason given.
ERRORS = ("error", "fatal", "panic")
#: The description of the first input ends at a line that begins with one of these.
AFTER_DESCRIPTION = ("Input #1", "Output #", "Stream mapping")

_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.\-])[A-Za-z0-9+.\-]+://[^\s'\"]+")
_CONTEXT = re.compile(r"\[[^\[\]]* @ 0x[0-9a-f]+\] ")
_LEVEL = re.compile(r"\[(quiet|panic|fatal|error|warning|info|verbose|debug|trace)\] ")
_STREAM = re.compile(r"Stream #\d+:(\d+).*?: (Video|Audio): (\w+)(.*)")


class LogLine(NamedTuple):
    """``level`` is empty if there is none: for libraries that write directly."""

    level: str
    message: str


class StreamLine(NamedTuple):
    """A track of the input as ffmpeg describes it; ``kind`` is ``Video`` or ``Audio``, ``rest`` its form."""

    number: int
    kind: str
    codec: str
    rest: str


def parse_line(line: str) -> LogLine:
    """A line, without the part of ffmpeg that wrote it."""
    line = _CONTEXT.sub("", line)
    level = _LEVEL.match(line)
    return LogLine(level[1], line[level.end() :]) if level else LogLine("", line)


def parse_stream(message: str) -> StreamLine | None:
    """The track that a message describes, if any."""
    found = _STREAM.search(message)
    return StreamLine(int(found[1]), found[2], found[3], found[4]) if found else None


def without_addresses(message: str) -> str:
    """The message without addresses, which contain keys, so that it can be shown."""
    return _ADDRESS.sub("(address)", message)
