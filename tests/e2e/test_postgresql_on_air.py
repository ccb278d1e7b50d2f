"""PostgreSQL behind a forwarder is restarted, fails over, or says nothing for a while, with streams on air.

They go on in the one publish session that each destination ever had, as long as the lease is longer; the API answers
all the time, and afterwards what is told is true. One service goes through all of it.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from http import HTTPStatus

import pytest
import pytest_asyncio

from kit.clips import ClipFactory
from kit.front import Front, front
from kit.on_air import KEY_ID, SECRET, Air, on_air
from kit.postgresql import PostgreSql, running
from kit.waiting import PATIENCE_S
from streamferry.client import ApiError, AsyncLiveService
from streamferry.relay import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Longer than each outage here, as operators are told to set it.
LEASE_S = 30
#: By when a call has its answer: a transaction proves the key and another does the work, each in 12 s and its close;
#: and a busy machine.
ANSWER_S = 2 * (12 + 1) + PATIENCE_S
_numbers = itertools.count()


class Outages:
    """A service on air, and the PostgreSQL behind it."""

    def __init__(self, air: Air, server: PostgreSql, forwarder: Front, stack: ExitStack) -> None:
        self.air = air
        self.server = server
        self.forwarder = forwarder
        self._stack = stack
        self.refused = 0

    def hold_up(self, how: str) -> None:
        """No byte comes from PostgreSQL any more, and nobody is told."""
        if how == "forwarder":
            self.forwarder.passing.clear()
        else:
            self._tell_server(signal.SIGSTOP)

    async def let_go_after(self, seconds: float) -> None:
        """Then it says the rest of what it had to say."""
        await asyncio.sleep(seconds)  # The length is what the test is about.
        self.forwarder.passing.set()
        self._tell_server(signal.SIGCONT)

    def _tell_server(self, word: signal.Signals) -> None:
        for pid in self.server.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, word)

    def fail_over(self) -> None:
        """To a standby that is promoted; the connections to the old one get no answer and no end."""
        standby = self._stack.enter_context(running(follows=self.server))
        self.forwarder.strand()
        self.server.stop()
        standby.promote()
        self.server = standby
        self.forwarder.upstream = ("127.0.0.1", standby.port)

    async def lasts(self, is_over: Callable[[], bool]) -> None:
        """Media goes on and calls are answered until it is over."""
        while not is_over():
            async with asyncio.TaskGroup() as group:
                group.create_task(self.air.stays())
                group.create_task(self._call_for_both())

    async def heals(self) -> None:
        """By itself: calls are done again, and what is told of each task is what it did all the time."""
        async with asyncio.timeout(3 * ANSWER_S):
            while not await self._call_for_both():
                await self.air.stays()
            await self.air.is_well()
            async with self.air.service.actions() as actions:
                tasks = []
                # Until both workers have reached the store again they are not heard of.
                while {one.state for one in tasks} != {State.STREAMING}:
                    await self.air.stays()
                    tasks = (await actions.list_tasks()).records
                for one in tasks:
                    assert one.epoch == 1
                    told = {event.kind for event in await actions.list_latest_events(one.task_id)}
                    assert not told & {State.FAILED, State.RETRYING, State.STOPPED, State.ENDED}
        await self.air.stays()

    async def _call_for_both(self) -> bool:
        """A read and a write; whether both were done, and not refused."""

        async def read(live: AsyncLiveService) -> None:
            listed = await live.list_pull_to_push_task()
            assert listed["Result"]["Pagination"]["TotalCount"] == len(self.air.destinations)

        async def write(live: AsyncLiveService) -> None:
            await live.create_pull_to_push_group({"Name": f"group{next(_numbers)}", "ProjectName": "outages"})

        return all(await asyncio.gather(self._call(read), self._call(write)))

    async def _call(self, call: Callable[[AsyncLiveService], Awaitable[None]]) -> bool:
        began_at = time.monotonic()
        try:
            async with AsyncLiveService(self.air.service.url, KEY_ID, SECRET, timeout_s=2 * ANSWER_S) as live:
                await call(live)
        except ApiError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            self.refused += 1
            return False
        finally:
            assert time.monotonic() - began_at < ANSWER_S
        return True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outages(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> AsyncIterator[Outages]:
    with ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, running())
        forwarder = stack.enter_context(front(f"127.0.0.1:{server.port}"))
        url = server.database().replace(str(server.port), str(forwarder.port))
        home = tmp_path_factory.mktemp("on-air")
        async with on_air(home, clips, workers=2, store_url=url, lease_s=LEASE_S) as air:
            yield Outages(air, server, forwarder, stack)


@pytest.mark.parametrize(
    ("how", "seconds"), [("forwarder", 3.0), ("server", 5.5), ("forwarder", 8.0), ("server", 15.0)]
)
async def test_a_store_that_says_nothing_for_a_while(outages: Outages, how: str, seconds: float) -> None:
    """As when a machine is moved or a forwarder hangs: what was asked is answered late, or refused in time."""
    outages.hold_up(how)
    passing = asyncio.create_task(outages.let_go_after(seconds))
    await outages.lasts(passing.done)
    await passing
    await outages.heals()


async def test_a_restart(outages: Outages) -> None:
    """Every connection is closed, and for a while there is nobody to connect to."""
    stopping = asyncio.create_task(asyncio.to_thread(outages.server.stop))
    await outages.lasts(stopping.done)
    refused = outages.refused
    await outages.air.is_told("the connection was lost")
    await outages.lasts(lambda: outages.refused > refused)
    starting = asyncio.create_task(asyncio.to_thread(outages.server.start))
    await outages.lasts(starting.done)
    await outages.heals()


async def test_kill_9_of_every_process_of_it(outages: Outages) -> None:
    """As when the machine of the database dies and comes back: it recovers, and nobody else has to."""
    await asyncio.to_thread(outages.server.kill)
    refused = outages.refused
    await outages.lasts(lambda: outages.refused > refused)
    starting = asyncio.create_task(asyncio.to_thread(outages.server.start))
    await outages.lasts(starting.done)
    await starting
    await outages.heals()


async def test_a_failover_behind_the_same_address(outages: Outages) -> None:
    """Nothing tells of it: the old connections are silent, new ones lead to a standby that is the primary now."""
    failing_over = asyncio.create_task(asyncio.to_thread(outages.fail_over))
    await outages.lasts(failing_over.done)
    await failing_over
    await outages.heals()
