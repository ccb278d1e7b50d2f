"""A preparation process as the one that started it sees it: what it is told, and how it is ended."""

import contextlib
import json
import os
import signal
from asyncio.subprocess import Process
from dataclasses import asdict

from streamferry.prepare.job import Job


async def brief(process: Process, job: Job) -> None:
    """Give it its job."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
    # A process that ended at once is noticed by its reader.
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    if not job.ahead_bytes:
        process.stdin.close()


def tell_offset(process: Process, offset: int) -> None:
    """Tell it where its player reads."""
    assert process.stdin is not None
    # It may have ended, and its end not been met yet.
    if not process.stdin.is_closing():
        process.stdin.write(b"%d\n" % offset)


def kill(process: Process) -> None:
    """End it at once, unless it has ended."""
    # Not process.kill(): that first checks whether it has ended, and takes its status from the loop's watcher.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
