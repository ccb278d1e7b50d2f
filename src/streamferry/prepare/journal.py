"""A preparation's reports: JSON lines on its standard output and in the cache, for the process that started it and for
preparation processes of others, which follow the journal while the first one works.

One line is an object with any of: ``fetched``, ``total`` (bytes of the download); ``claimed_ms`` (the file's own word
for its length); ``ready`` (inode, first_offset, tracks and form of the part file: players may start); ``end`` (bytes
that can be read), ``media_ms``, ``index`` (what is new of it: ``steps``, the bytes of its part file, and ``places`` and
each track's ``firsts`` as [ms, offset], and whether the file ``changes`` its headers); ``complete`` (the summary);
``error`` with ``reason`` and ``retry_after_s``; ``shared``: why what machines share cannot be used.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from streamferry.media.errors import MediaError
from streamferry.prepare.cache import Entry
from streamferry.prepare.errors import PreparationRestarted, to_wire
from streamferry.reasons import Code

Message = dict[str, Any]

_POLL_SECONDS = 0.1


def send(message: Message) -> None:
    """One line to the process that started this one."""
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def send_error(error: MediaError) -> None:
    """The last line of a preparation that failed."""
    send(to_wire(error))


class Journal:
    """The writing end: lines are also kept for followers."""

    def __init__(self, entry: Entry) -> None:
        self._file: IO[str] = entry.journal.open("x")
        #: Called with each line, too: what others are given of it.
        self.also: Callable[[Message], None] | None = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def send(self, message: Message) -> None:
        """One line to both."""
        self._file.write(json.dumps(message, separators=(",", ":")) + "\n")
        self._file.flush()
        send(message)
        if self.also is not None:
            self.also(message)


def follow(entry: Entry) -> int:
    """Send on what another process reports until it is done; then the lock for preparing is ours and is returned.

    Raises PreparationRestarted if it died after players may have started: what it wrote cannot be continued by another.
    """
    lock = entry.lock_for_preparing()
    journal: IO[bytes] | None = None
    announced = False
    try:
        while lock is None:
            time.sleep(_POLL_SECONDS)
            lock = entry.lock_for_preparing()
            if journal is None and entry.journal.exists():
                journal = entry.journal.open("rb")
            if journal is not None:
                announced = _send_on(journal) or announced
    finally:
        if journal is not None:
            journal.close()
    if announced and entry.read_summary() is None:
        raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF)
    return lock


def _send_on(journal: IO[bytes]) -> bool:
    """Send on what has been added; True if players may start since."""
    announced = False
    while line := journal.readline():
        if not line.endswith(b"\n"):
            # Its writer has not finished the line.
            journal.seek(-len(line), os.SEEK_CUR)
            break
        sys.stdout.write(line.decode())
        announced = announced or b'"ready"' in line
    sys.stdout.flush()
    return announced
