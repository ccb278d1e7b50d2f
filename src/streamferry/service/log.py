"""The log of the service and of its workers: standard error, a line an event, for people or as JSON.

The modules use the standard library's logging. Here each line gets its time and the task and run it is about
(``task_id``, ``epoch``), and repetition is limited: even if a thousand tasks retry all night, the log stays readable.
"""

import logging
import sys
import time
from typing import Literal

import structlog

#: This many similar lines about one task are logged per period; the next one says how many were left out.
REPEATS = 5
REPEAT_PERIOD_S = 60.0
_MAX_REMEMBERED = 20_000
#: Loggers that write requests at level info, addresses included.
_TALKATIVE = ("aiosqlite", "alembic", "httpcore", "httpx", "nicegui", "sqlalchemy", "uvicorn")


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


def start_log(level: str, form: Literal["human", "json"]) -> None:
    """Log to standard error from here on, replacing any earlier configuration."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "json":
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        last.append(
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
