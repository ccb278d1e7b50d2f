"""The log of the service and of its workers: standard error, a line an event, for people or as JSON.

The modules use the standard library's logging. Here each line gets its time and the task and run it is about
(``task_id``, ``epoch``), and repetition is limited: even if a thousand tasks retry all night, the log stays readable.
"""

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal

#: This many similar lines about one task are logged per period; the next one says how many were left out.
REPEATS = 5
REPEAT_PERIOD_S = 60.0
_MAX_REMEMBERED = 20_000
#: Loggers that write requests at level info, addresses included.
_TALKATIVE = ("aiosqlite", "alembic", "httpcore", "httpx", "nicegui", "sqlalchemy", "uvicorn")

_OF_EVERY_RECORD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
#: Control characters in a message, some of which would end the line or be obeyed by a terminal.
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}
#: What makes a value unclear as it stands.
_UNCLEAR = re.compile(r"[\s='\"\\\x00-\x1f\x7f-\x9f]")
_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31;1m"}
_PLAIN = "\x1b[0m"


class RepeatFilter(logging.Filter):
    """Lets through the first similar lines of a period. Similar: the same format string, about the same task."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        now = time.monotonic()
        key = (record.name, record.levelno, record.msg, getattr(record, "task_id", None))
        began_at, count = self._seen.get(key, (now, 0))
        if now - began_at >= REPEAT_PERIOD_S:
            if count > REPEATS:
                record.left_out = count - REPEATS
            began_at, count = now, 0
        if len(self._seen) >= _MAX_REMEMBERED:
            self._seen.clear()
        self._seen[key] = (began_at, count + 1)
        return count < REPEATS


class _Lines(logging.Formatter):
    """A line for people: time, level, words, logger, and what they are about; after an exception its traceback."""

    def __init__(self, *, is_coloured: bool) -> None:
        super().__init__()
        self._colours = _COLOURS if is_coloured else {}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        level = f"{record.levelname.lower():<9}"
        if colour := self._colours.get(record.levelno):
            level = f"{colour}{level}{_PLAIN}"
        words = record.getMessage().translate(_ESCAPED)
        about = "".join(f" {name}={_shown(value)}" for name, value in sorted(_extras(record).items()))
        line = f"{_time_of(record)} [{level}] {words} [{record.name}]{about}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Objects(logging.Formatter):
    """The same as a JSON object, the traceback in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        words = {"event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name}
        told = {**words, **_extras(record), "timestamp": _time_of(record)}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=repr)


def _time_of(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    # Libraries add their own to every record, as Ray does.
    return {
        name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD and not name.startswith("_")
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) and not _UNCLEAR.search(value) else repr(value)


def start_log(level: str, form: Literal["human", "json"]) -> None:
    """Log to standard error from here on, replacing any earlier configuration."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Objects() if form == "json" else _Lines(is_coloured=sys.stderr.isatty()))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
