"""The keeper of the destination: one publish session after another."""

import asyncio
import time

from streamferry.media.errors import DestinationError, DestinationMoves
from streamferry.push import open_session
from streamferry.relay.destination_backoff import DestinationBackoff
from streamferry.relay.keeper import KeeperTask, RunContext, SourceKeeper
from streamferry.relay.status import State
from streamferry.relay.vitals import Phase

#: Servers that ask to move more often are failing.
MOVES_S = 60.0


class DestinationKeeper:
    """Connects only when the source has media, so that no platform begins a broadcast of nothing."""

    def __init__(self, context: RunContext, source: SourceKeeper) -> None:
        self._context = context
        self._source = source
        self._destination = context.vitals.destination
        self.task = KeeperTask("destination", self._destination)

    async def keep(self) -> None:
        """Publish to the destination of the context's spec."""
        context, flow, destination = self._context, self._context.flow, self._destination
        loop = asyncio.get_running_loop()
        backoff = DestinationBackoff()
        lost_at: float | None = None
        moved_at = float("-inf")
        url, options = context.spec.destination, context.spec.destination_options
        while True:
            await flow.has_media.wait()
            if context.spec.keeps_time and self._source.where_now() is None:
                context.finish(State.ENDED)
                return
            context.note(destination, Phase.CONNECTING)
            tried_at = loop.time()
            try:
                session = await open_session(url, **context.network.options(options))
                try:
                    await self._source.catch_up()
                    if lost_at is not None and context.spec.keeps_time:
                        flow.outlet.note_lost(round((loop.time() - lost_at) * 1000))
                    lost = flow.attach_session(session, time.monotonic())
                    context.note(destination, Phase.UP)
                    accepted_at = loop.time()
                    error = await lost
                except asyncio.CancelledError:
                    flow.detach_session()
                    if not context.is_aborted:
                        await session.aclose(goes_on=context.goes_on)
                    raise
                finally:
                    flow.detach_session()
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
            await context.pause(destination, backoff.told(error), backoff)
