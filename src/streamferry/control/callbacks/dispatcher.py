"""Dispatcher: sends callbacks, retrying for a day, in the order of each task. Run it in the service's process.

Theory of operation. It works in turns. A turn is one transaction, which records the results of the attempts since the
last turn and claims the mailboxes that are due; then it sends to all of them at once. So a turn costs the same for one
attempt as for a hundred, and any number of dispatchers may work on one store.

A slow or dead receiver delays only its own tasks: a host has few places at a time, addresses whose last attempt failed
share one of them, and the longest due go first. A receiver that refuses a callback delays the next ones only for a
while: see ``sender.judge`` for which answers end a callback, and which the whole address.
"""

import asyncio
import contextlib
import logging
import random
import secrets as random_names
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from standardwebhooks import Webhook

from streamferry import __version__
from streamferry.control.callbacks.sender import SEND_S, Failure, Sender
from streamferry.reasons import Code, Reason
from streamferry.store import TROUBLE, Seal, SealBroken, Store, callback_secret, describe_trouble, mailboxes
from streamferry.store.host_places import HostPlaces
from streamferry.store.mailboxes import Attempt, Claim
from streamferry.store.records import DeliveryRecord

_log = logging.getLogger("streamferry.callbacks")

#: How often it checks for due mailboxes: one read by key.
POLL_S = 0.5
#: Concurrent attempts: in total, to one host, and of these to addresses whose last attempt failed.
PLACES = 200
PLACES_OF_HOST = 8
PLACES_OF_FAILING = 1
#: A claim is given up after this long: longer than an attempt can take, plus time to record its result.
LEASE_MS = round(SEND_S * 1000) + 10_000
#: Pauses between attempts double from the first to the longest: about 60 attempts in a day.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 1800.0
#: Attempts in progress when the service stops get this long.
_LEAVE_S = 2.0
_MAX_FAILING = 1_000


def decide_pause_ms(failures: int, chance: float) -> int:
    """How long to wait after this many failed attempts in a row, at least 1. ``chance`` in 0..1 is for jitter."""
    # 2**9 is beyond the longest pause already.
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 9), LONGEST_PAUSE_S)
    return round(pause_s * (0.75 + chance / 2) * 1000)


def headers_of(record: DeliveryRecord, body: str, secrets: list[str], now: datetime) -> dict[str, str]:
    """The headers of an attempt: Standard Webhooks, signed with each of the secrets."""
    signatures = " ".join(Webhook(secret).sign(record.event_id, now, body) for secret in secrets)
    return {
        "connection": "close",
        "content-type": "application/json",
        "user-agent": f"streamferry/{__version__}",
        "webhook-id": record.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signatures,
    }


async def _secrets_to_sign_with(connection: AsyncConnection, seal: Seal) -> list[str]:
    """The current one first; empty if it cannot be opened."""
    try:
        await callback_secret.ensure(connection, seal)
    except SealBroken:
        return []
    return await callback_secret.current(connection, seal)


class Dispatcher:
    """See the module. ``chance`` returns random numbers in 0..1."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        serialize: Callable[[DeliveryRecord], str],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``serialize`` makes the body of a delivery."""
        self._store = store
        self._sender = sender
        self._serialize = serialize
        self._chance = chance
        self._holder = random_names.token_hex(16)
        # Task -> what is being sent.
        self._sending: dict[str, Claim] = {}
        self._senders: set[asyncio.Task[None]] = set()
        # Digests of addresses whose last attempt failed, the latest last.
        self._failing: OrderedDict[str, None] = OrderedDict()
        self._attempts: list[Attempt] = []
        self._stirred = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Take one turn after another until told to stop; after trouble with the store the next turn tries again."""
        async with asyncio.TaskGroup() as group:
            is_well = True
            while not stopping.is_set():
                self._stirred.clear()
                try:
                    for claim, secrets in await self._take_turn():
                        sender = group.create_task(self._attempt(claim, secrets), name="callback")
                        self._senders.add(sender)
                        sender.add_done_callback(self._senders.discard)
                    is_well = True
                except TROUBLE as error:
                    if is_well:
                        _log.error("callbacks wait: the store cannot be asked: %s", describe_trouble(error))
                    is_well = False
                except Exception:
                    # Whatever it is, it must not end the service that runs all tasks.
                    if is_well:
                        _log.exception("callbacks wait: a turn failed inside streamferry")
                    is_well = False
                await self._wait(stopping, is_well)
            await self._leave()

    async def _wait(self, stopping: asyncio.Event, is_well: bool) -> None:
        """Wait until there is a result to record, or it is time to check; after trouble with the store, pause."""
        waits = [asyncio.ensure_future(stopping.wait())]
        if is_well:
            waits.append(asyncio.ensure_future(self._stirred.wait()))
        try:
            await asyncio.wait(waits, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _take_turn(self) -> list[tuple[Claim, list[str]]]:
        """Record results of attempts, and claim what is to be sent now, with the secrets to sign it."""
        attempts = tuple(self._attempts)
        places = HostPlaces(PLACES_OF_HOST, PLACES_OF_FAILING, list(self._failing))
        for one in self._sending.values():
            places.put(one.host_digest, is_failing=one.is_failing)
        if not attempts:
            async with self._store.glance() as connection:
                if not await mailboxes.has_due(connection, places):
                    return []
        secrets: list[str] = []
        async with self._store.write() as connection:
            left, dead = await mailboxes.settle(connection, self._holder, attempts)
            claims = await mailboxes.claim(
                connection,
                self._store.seal,
                self._holder,
                limit=PLACES - len(self._sending),
                lease_ms=LEASE_MS,
                places=places,
            )
            if claims:
                secrets = await _secrets_to_sign_with(connection, self._store.seal)
        self._attempts = [*left, *self._attempts[len(attempts) :]]
        if dead:
            _log.error("%d callbacks were given up; streamferry callbacks list --state dead", dead)
        # One whose attempt outlasted its claim is still being sent.
        fresh = [claim for claim in claims if claim.record.task_id not in self._sending]
        self._sending |= {claim.record.task_id: claim for claim in fresh}
        return [(claim, secrets) for claim in fresh]

    async def _attempt(self, claim: Claim, secrets: list[str]) -> None:
        record = claim.record
        try:
            failure = await self._send(claim, secrets)
        except Exception:
            # A problem with one receiver must not cost the others their callbacks.
            _log.exception("an attempt failed inside streamferry")
            failure = Failure(Reason.of(Code.SERVICE_INTERNAL))
        finally:
            del self._sending[record.task_id]
        self._failing.pop(claim.address_digest, None)
        if failure is None:
            made = Attempt(record.task_id, record.number)
        else:
            self._failing[claim.address_digest] = None
            if len(self._failing) > _MAX_FAILING:
                self._failing.popitem(last=False)
            pause_ms = max(decide_pause_ms(claim.failures + 1, self._chance()), round(failure.wait_s * 1000))
            made = Attempt(
                record.task_id, record.number, failure.problem, pause_ms, failure.refusals, is_gone=failure.is_gone
            )
            if not claim.failures or failure.is_gone:
                _log.warning("callbacks of task %s wait: %s", record.task_id, failure.problem)
        self._attempts.append(made)
        self._stirred.set()

    async def _send(self, claim: Claim, secrets: list[str]) -> Failure | None:
        """What went wrong; None if it was accepted."""
        if claim.url is None:
            return Failure(Reason.of(Code.CALLBACK_URL_UNREADABLE))
        if not secrets:
            return Failure(callback_secret.DAMAGED_SECRET)
        if claim.record.is_damaged:
            # Nobody can ever accept it: continue with the next ones.
            return Failure(Reason.of(Code.CALLBACK_DAMAGED), refusals=1)
        body = self._serialize(claim.record)
        headers = headers_of(claim.record, body, secrets, datetime.now(UTC))
        return await self._sender.send(claim.url, headers, body.encode())

    async def _leave(self) -> None:
        """Let attempts in progress end, within a limit, and record their results; the rest is sent again later."""
        if self._senders:
            await asyncio.wait(self._senders, timeout=_LEAVE_S)
        for one in self._senders:
            one.cancel()
        with contextlib.suppress(*TROUBLE):
            async with self._store.write() as connection:
                await mailboxes.settle(connection, self._holder, self._attempts)
