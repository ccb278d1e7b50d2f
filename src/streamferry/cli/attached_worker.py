"""A worker that a service started: ``python -m streamferry.cli.attached_worker ID [LOCK]``.

Standard input has its settings as one JSON line, and ends when the service ends; ``LOCK`` is the descriptor of the
service's lock on the store. No command for people: each service starts several, so it imports neither the library of
commands nor that of settings.
"""

import asyncio
import json
import logging
import os
import sys

from streamferry.cli.guard import guarded
from streamferry.cli.process import begin, importing, on_interrupt, run
from streamferry.net import sandbox
from streamferry.service.worker_settings import WorkerSettings


def main() -> None:
    """Run until standard input ends."""
    worker_id, *lock = sys.argv[1:]
    settings = WorkerSettings.load(json.loads(_read_line()))
    begin(settings.log_level, settings.log_format)
    # The service has already logged what the machine lacks.
    sandbox.log.setLevel(logging.ERROR)
    run(_work(settings, worker_id, int(lock[0]) if lock else None))


async def _work(settings: WorkerSettings, worker_id: str, lock: int | None) -> None:
    stopping = asyncio.Event()
    on_interrupt(stopping.set)
    _watch_parent(stopping)
    with importing():
        from streamferry.service.work import work
    await work(settings, worker_id, stopping, is_child=True, lock=lock)


def _watch_parent(stopping: asyncio.Event) -> None:
    """Standard input is a pipe from the parent: nothing more is sent, and its end means that we are to exit."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    os.set_blocking(descriptor, False)

    def look() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            stopping.set()

    loop.add_reader(descriptor, look)


def _read_line() -> bytes:
    """A line of standard input, and nothing of what follows."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


if __name__ == "__main__":
    guarded(main)
