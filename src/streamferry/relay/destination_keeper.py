"""The keeper of one destination: one publish session after another.

A session that is to be followed, because its time is over (``rotate_s``) or because the server asks to go on elsewhere,
ends where a viewer can begin and the next one begins there. One that the server asks for is opened beside it first, and
takes its place in the midst of the stream; where the second is refused, or does not come, as at a server that takes
one publisher of a key, the first ends before the next is opened. None of this is a failure.
"""

import asyncio
import time
from contextlib import suppress

from streamferry.media.errors import (
    DestinationClosed,
    DestinationError,
    DestinationSenderFailed,
    PublishLacksCodecs,
    PublishRejected,
)
from streamferry.net.first_ended import until_first_ended
from streamferry.push import Session, open_session
from streamferry.reasons import Code, Reason
from streamferry.relay import backoff
from streamferry.relay.branch import Way
from streamferry.relay.destination_backoff import DestinationBackoff
from streamferry.relay.keeper import KeeperTask, RunContext, SourceKeeper
from streamferry.relay.spec import Codecs, Destination
from streamferry.relay.status import Moved, State
from streamferry.relay.vitals import Phase, Vitals

#: Servers that ask to move more often are failing: what they ask then waits until a minute has passed.
MOVES_S = 60.0
#: How long the session beside the old one may take. Servers that leave go on reading for half a minute.
BESIDE_S = 10.0
#: A stream whose keyframes are further apart is cut anywhere, when its session is due to be followed by another.
ROTATE_PATIENCE_S = 15.0
# A session that is closed without a word may have been by a network; two of them are no accident.
_CLOSES = 2


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
        self._moved_at = float("-inf")
        # Sessions in a row that were closed soon, of a stream that may be what is not taken.
        self._closes = 0

    async def keep(self) -> None:
        """Publish to the destination."""
        context, flow, destination = self._context, self._context.flow, self._vitals.destination
        loop = asyncio.get_running_loop()
        tries = DestinationBackoff()
        lost_at: float | None = None
        self._moved_at = float("-inf")
        while True:
            await flow.has_media.wait()
            if context.spec.keeps_time and self._source.where_now() is None:
                context.finish(State.ENDED)
                return
            context.note(destination, Phase.CONNECTING)
            tried_at = loop.time()
            try:
                error = await self._publish(await self._open(), tries, lost_at)
                if error is None:
                    lost_at = None
                    continue
                lost_at = loop.time()
                is_refused = self._is_refusal(error, lost_at - tried_at)
            except DestinationError as refused:
                error = refused
                is_refused = isinstance(error, PublishLacksCodecs)
            if is_refused and context.encode():
                context.log.info("%s", error)
                error.forget_trace()
                continue
            tries.note_failure(error, loop.time() - tried_at)
            # One of several that cannot work is no reason to end the others.
            may_fail = not context.spec.others
            await context.pause(destination, tries.told(error), tries, self._vitals, may_fail=may_fail)

    async def _open(self) -> Session:
        network = self._context.network.options(self.wanted.options)
        return await open_session(self.wanted.url, self._needs, **network)

    @property
    def _needs(self) -> frozenset[str]:
        """What the destination has to list, or it is encoded; nothing where the task says otherwise."""
        context = self._context
        return context.flow.needs if context.spec.codecs is Codecs.H264_IF_NEEDED else frozenset()

    def _is_refusal(self, error: DestinationError, lasted_s: float) -> bool:
        """Whether the way a session ended says that the destination does not take what it listed, or was not asked.

        In words, or by closing twice; or this machine could not put it into what the destination is sent.
        """
        if not self._needs or lasted_s >= backoff.GOOD_AFTER_S:
            self._closes = 0
            return False
        self._closes = self._closes + 1 if isinstance(error, DestinationClosed) else 0
        is_told = type(error) in (PublishRejected, PublishLacksCodecs, DestinationSenderFailed)
        return is_told or self._closes >= _CLOSES

    async def _publish(
        self, session: Session, tries: DestinationBackoff, lost_at: float | None
    ) -> DestinationError | None:
        """Publish in that session, and in those that take its place: why the last was lost; None: another follows."""
        context, way, loop = self._context, self._way, asyncio.get_running_loop()
        # Those that are open, the one that is attached last.
        sessions = [session]
        try:
            await self._source.catch_up()
            if lost_at is not None and context.spec.keeps_time and way is context.flow:
                way.outlet.note_lost(round((loop.time() - lost_at) * 1000))
            while True:
                session = sessions[-1]
                lost = way.attach_session(session, time.monotonic())
                began_at = loop.time()
                if len(sessions) == 1:
                    context.note(self._vitals.destination, Phase.UP)
                while len(sessions) > 1:
                    await sessions[0].aclose()
                    sessions.pop(0).abort()
                is_asked = await self._wait_for_end(session, lost)
                beside = await self._open_beside(session) if is_asked else None
                if beside is not None:
                    sessions.append(beside)
                if not lost.done():
                    await self._end_at_start(lost)
                if lost.done():
                    way.detach_session()
                    if not is_asked:
                        tries.note_session(loop.time() - began_at)
                        session.lead_next()
                        return lost.result()
                if beside is None:
                    context.log.info("the publish session ends as planned, and another follows")
                    if not is_asked:
                        # It may have asked since.
                        session.lead_next()
                    await session.aclose()
                    return None
        except asyncio.CancelledError:
            way.detach_session()
            if not context.is_aborted:
                for one in sessions:
                    await one.aclose(goes_on=context.goes_on)
            raise
        finally:
            for one in sessions:
                one.abort()

    async def _wait_for_end(self, session: Session, lost: "asyncio.Future[DestinationError]") -> bool:
        """Wait until a session is lost, or is to be followed by another; whether that is because its server asks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.wanted.options.rotate_s or None):
                await until_first_ended(self._wait_until_asked(session), _end_of(lost))
                return not lost.done()
        return False

    async def _wait_until_asked(self, session: Session) -> None:
        if session.move_asked is None:
            await asyncio.Event().wait()
            return
        await session.move_asked.wait()
        await asyncio.sleep(self._moved_at + MOVES_S - asyncio.get_running_loop().time())

    async def _open_beside(self, session: Session) -> Session | None:
        """Open the session that is to take the place of this one, where its server asks; None if that did not work."""
        self._moved_at = asyncio.get_running_loop().time()
        peer = session.lead_next()
        try:
            async with asyncio.timeout(BESIDE_S):
                beside = await self._open()
            self._tell_moved(Reason.of(Code.DESTINATION_MOVED, peer=peer))
            return beside
        except TimeoutError:
            why = Reason.of(Code.DESTINATION_SILENT_BESIDE, seconds=BESIDE_S)
        except DestinationError as error:
            error.forget_trace()
            why = error.why
            if isinstance(error, PublishRejected):
                # It is there: it may take us once the first session has ended.
                session.lead_next()
        self._tell_moved(Reason.of(Code.DESTINATION_MOVED_LATE, peer=peer, why=why))
        return None

    def _tell_moved(self, why: Reason) -> None:
        self._context.log.info("%s", why)
        self._context.on_moved(Moved(self.wanted.id, why))

    async def _end_at_start(self, lost: "asyncio.Future[DestinationError]") -> None:
        """Let the session that is attached have what comes before the next place where a viewer can begin."""
        try:
            async with asyncio.timeout(ROTATE_PATIENCE_S):
                await until_first_ended(self._way.wait_for_start(), _end_of(lost))
        except TimeoutError:
            self._way.detach_session()


async def _end_of(lost: "asyncio.Future[DestinationError]") -> None:
    await asyncio.wait((lost,))
