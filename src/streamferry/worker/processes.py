"""Workers as child processes: a given number, restarted when they die, ended with their parent.

A child's standard input is a pipe from its parent. It carries the settings as one JSON line, so that secrets are in no
arguments and in no environment. When the pipe closes, because the parent closed it or died in any way, the child gives
its tasks back and exits.
Its standard output is a pipe to the parent, on which it sends a sign of life each second (``give_signs``): a frozen
child sends none and is killed, so that it neither sends media when it wakes nor holds a lock in the store for ever.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence

_log = logging.getLogger("streamferry.worker")

# Prefixes of variables that are settings: a worker gets its service's settings instead.
_PREFIXES = ("STREAMFERRY_", "AWS_")

#: How long a child gets to give its tasks back and exit before it is killed.
STOP_S = 8.0
#: How often a child sends a sign of life.
SIGN_S = 1.0
#: How long to wait before a dead child is restarted; doubled each time up to the longest.
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
#: After a child has lived this long, the next pause is the first one again.
_GOOD_AFTER_S = 30.0


class WorkerProcesses:
    """``command`` makes the command line for the worker of a given id, which is sent ``settings``.

    ``on_death`` is called with the id of a child that died. ``silence_s``: how long one may send no sign of life.
    ``pass_fds``: descriptors that they inherit. ``name``: what their ids begin with; by default the machine.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[str], Sequence[str]],
        settings: Mapping[str, str],
        on_death: Callable[[str], Awaitable[None]],
        *,
        silence_s: float,
        pass_fds: Sequence[int] = (),
        name: str = "",
    ) -> None:
        self._count = count
        self._command = command
        self._brief = json.dumps(dict(settings)).encode() + b"\n"
        self._on_death = on_death
        self._silence_s = silence_s
        self._pass_fds = pass_fds
        self._running = 0
        self._stopping = asyncio.Event()
        self._name = name or f"{socket.gethostname()[:24]}-{secrets.token_hex(4)}"

    def stop(self) -> None:
        """Ask all children to exit; ``run`` returns when they have."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep the children running until they are stopped; without any this returns at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._keep(number), name=f"worker process {number}")

    def owns(self, worker_id: str) -> bool:
        """Whether it is the id of one of our children."""
        return worker_id.startswith(self._name + "-")

    @property
    def wanted(self) -> int:
        """How many there are to be."""
        return self._count

    @property
    def count(self) -> int:
        """How many run."""
        return self._running

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
            stdout=PIPE,
            stderr=sys.stderr,
            env={name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)},
            # Ctrl-C goes to the parent, which then stops its children.
            start_new_session=True,
            pass_fds=self._pass_fds,
        )
        assert process.stdin is not None
        process.stdin.write(self._brief)
        self._running += 1
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        watched = asyncio.ensure_future(self._watch(process, worker_id))
        try:
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            return await _end(process)
        finally:
            stopped.cancel()
            watched.cancel()
            if not ended.done():
                process.kill()
            await ended
            self._running -= 1

    async def _watch(self, process: Process, worker_id: str) -> None:
        """Kill it when its signs of life stop; before the first one there is no limit."""
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        if not await process.stdout.read(1024):
            return
        silent_s = 0.0
        while silent_s < self._silence_s:
            asked_at = loop.time()
            try:
                async with asyncio.timeout(SIGN_S):
                    if not await process.stdout.read(1024):
                        return
                silent_s = 0.0
            except TimeoutError:
                # Not by the clock alone: this process may have been frozen and woken together with it.
                silent_s += min(loop.time() - asked_at, 2 * SIGN_S)
        _log.error("worker process %s gave no sign of life for %.0f s and is killed", worker_id, silent_s)
        process.kill()


async def give_signs() -> None:
    """Send signs of life to the parent until cancelled. A parent that does not read them delays nothing."""
    descriptor = sys.stdout.fileno()
    os.set_blocking(descriptor, False)
    while True:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(descriptor, b".")
        await asyncio.sleep(SIGN_S)


async def _end(process: Process) -> int | None:
    """Close its input, wait for it to exit, and kill it if it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            return await process.wait()
    except TimeoutError:
        _log.error("a worker process did not leave within %s s and is killed", STOP_S)
        process.kill()
        return await process.wait()
