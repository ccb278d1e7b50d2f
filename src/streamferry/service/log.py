"""The log of the service and of its workers: standard error, a line an event, for people or as JSON.

The modules log by the standard library. Here each line gets its time, the task and the performance it is about
(``task_id``, ``epoch``), and a bound on how often it is repeated: a thousand tasks that retry for a night are to leave
a log that can be read.
"""

import logging
import sys
import time
from typing import Literal

import structlog

#: So many lines alike of one task within the period; the next one says how many were left out.
REPEATS = 5
REPEAT_PERIOD_S = 60.0
_MAX_REMEMBERED = 20_000
#: They say at level info what they were asked, addresses and all.
_TALKATIVE = ("aiosqlite", "alembic", "httpcore", "httpx", "nicegui", "sqlalchemy", "uvicorn")


class RepeatFilter(logging.Filter):
    """Lets through the first lines alike of a period. Alike: the same words but for their values, of the same task."""

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
    """Log to standard error from here on, in place of what was set before."""
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
