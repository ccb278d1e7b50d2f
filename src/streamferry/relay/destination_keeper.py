"""The keeper of one destination: one publish session after another."""

import asyncio
import time

from streamferry.media.errors import DestinationError, DestinationMoves
from streamferry.net.first_ended import until_first_ended
from streamferry.push import open_session
from streamferry.relay.branch import Way
from streamferry.relay.destination_backoff import DestinationBackoff
from streamferry.relay.keeper import KeeperTask, RunContext, SourceKeeper
from streamferry.relay.spec import Destination
from streamferry.relay.status import State
from streamferry.relay.vitals import Phase, Vitals

#: Servers that ask to move more often are failing.
MOVES_S = 60.0
#: A stream whose keyframes are further apart is cut anywhere, when its session is due to be followed by another.
ROTATE_PATIENCE_S = 15.0


class DestinationKeeper:
    """Connects only when the source has media, so that no platform begins a broadcast of nothing.

    ``way``: where its sessions are attached; ``vitals``: its own. ``wanted`` is what it is to be, and holds from the
    next start of the keeper.
    """

    def __init__(
        self, context: RunContext, source: SourceKeeper, wanted: Destination, way: Way, vitals: Vitals
    ) -> None:
        self._context = context
        self._source = source
        self._way = way
        self._vitals = vitals
        self.wanted = wanted
        self.task = KeeperTask("destination", vitals.destination)

    async def keep(self) -> None:
        """Publish to the destination."""
        context, flow, way, destination = self._context, self._context.flow, self._way, self._vitals.destination
        loop = asyncio.get_running_loop()
        backoff = DestinationBackoff()
        lost_at: float | None = None
        moved_at = float("-inf")
        wanted = self.wanted
        while True:
            await flow.has_media.wait()
            if context.spec.keeps_time and self._source.where_now() is None:
                context.finish(State.ENDED)
                return
            context.note(destination, Phase.CONNECTING)
            tried_at = loop.time()
            try:
                session = await open_session(wanted.url, **context.network.options(wanted.options))
                is_followed = False
                try:
                    await self._source.catch_up()
                    if lost_at is not None and context.spec.keeps_time and way is flow:
                        way.outlet.note_lost(round((loop.time() - lost_at) * 1000))
                    lost = way.attach_session(session, time.monotonic())
                    context.note(destination, Phase.UP)
                    accepted_at = loop.time()
                    is_followed = await self._is_followed(lost)
                    if is_followed:
                        context.log.info("the publish session ends as planned, and another follows")
                        await session.aclose()
                        continue
                    error = lost.result()
                except asyncio.CancelledError:
                    way.detach_session()
                    if not context.is_aborted:
                        await session.aclose(goes_on=context.goes_on)
                    raise
                finally:
                    if not is_followed:
                        way.detach_session()
                    session.abort()
                lost_at = loop.time()
                backoff.note_session(lost_at - accepted_at)
            except DestinationError as refused:
                error = refused
            if isinstance(error, DestinationMoves) and loop.time() - moved_at >= MOVES_S:
                moved_at = loop.time()
                context.log.info("%s", error)
                continue
            backoff.note_failure(error, loop.time() - tried_at)
            # One of several that cannot work is no reason to end the others.
            may_fail = not context.spec.others
            await context.pause(destination, backoff.told(error), backoff, self._vitals, may_fail=may_fail)

    async def _is_followed(self, lost: "asyncio.Future[DestinationError]") -> bool:
        """Wait for the end of a session: whether it was its time, and what comes now is for the next one."""
        await asyncio.wait((lost,), timeout=self.wanted.options.rotate_s or None)
        if lost.done():
            return False
        try:
            async with asyncio.timeout(ROTATE_PATIENCE_S):
                await until_first_ended(self._way.wait_for_start(), _end_of(lost))
        except TimeoutError:
            self._way.detach_session()
        return not lost.done()


async def _end_of(lost: "asyncio.Future[DestinationError]") -> None:
    await asyncio.wait((lost,))
