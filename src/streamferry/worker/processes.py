"""Workers as child processes: as many as asked for, begun again when they die, ended with their parent.

A child's standard input is a pipe from its parent. By that it is told its settings, one JSON line: secrets are in
nobody's arguments and in nobody's environment. When the pipe closes, because the parent says so or because it is gone
however it died, the child hands its tasks back and leaves.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence

_log = logging.getLogger("streamferry.worker")

# Of variables that are settings: a worker has its service's.
_PREFIX = "STREAMFERRY_"

#: How long a child gets to hand its tasks back and leave before it is killed.
STOP_S = 8.0
#: How long to wait before a child that died is begun again; doubled each time up to the longest.
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
#: A child that lived this long was a good one: the next pause is the first again.
_GOOD_AFTER_S = 30.0


class WorkerProcesses:
    """``command`` makes the words that start the worker of a given id, which is told ``settings``.

    ``on_death`` is told the id of one that died.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[str], Sequence[str]],
        settings: Mapping[str, str],
        on_death: Callable[[str], Awaitable[None]],
    ) -> None:
        self._count = count
        self._command = command
        self._brief = json.dumps(dict(settings)).encode() + b"\n"
        self._on_death = on_death
        self._stopping = asyncio.Event()
        self._name = f"{socket.gethostname()[:24]}-{secrets.token_hex(4)}"

    def stop(self) -> None:
        """Ask all children to leave; ``run`` returns when they have."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep the children until they are stopped."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._keep(number), name=f"worker process {number}")

    def owns(self, worker_id: str) -> bool:
        """Whether that is the id of one of ours."""
        return worker_id.startswith(self._name + "-")

    async def _keep(self, number: int) -> None:
        pause_s = _FIRST_PAUSE_S
        begun = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            begun += 1
            worker_id = f"{self._name}-{number}-{begun}"
            began_at = loop.time()
            status = await self._run_one(worker_id)
            if self._stopping.is_set():
                return
            _log.error("worker process %s ended with status %s; another is started", worker_id, status)
            await self._on_death(worker_id)
            if loop.time() - began_at >= _GOOD_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run_one(self, worker_id: str) -> int | None:
        process = await asyncio.create_subprocess_exec(
            *self._command(worker_id),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=sys.stderr,
            env={name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)},
            # Ctrl-C is for the parent, which then tells its children.
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(self._brief)
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            return await _end(process)
        finally:
            stopped.cancel()
            if not ended.done():
                process.kill()
            await ended


async def _end(process: Process) -> int | None:
    """Close its input, wait for it to leave, and kill it if it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            return await process.wait()
    except TimeoutError:
        _log.error("a worker process did not leave within %s s and is killed", STOP_S)
        process.kill()
        return await process.wait()
