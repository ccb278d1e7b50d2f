"""Signing in with an access key: the dashboard's form, its links, REST's tokens. All share one throttle and one record.

Concurrent guesses do not escape the throttle: no other try is let through between checking it and counting a failure.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from streamferry.control.login_throttle import MEMORY_S, LoginThrottle, is_same_secret, names_of
from streamferry.control.token_buckets import TokenBuckets
from streamferry.net.peers import peer_of
from streamferry.store import Store, asks_again, audit, keys, sign_in_failures
from streamferry.store.records import KeyPair
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.tasks.model import AuditKind

#: One line per key, peer and kind of sign-in within this time: a script that gets a token for each call would bury all
#: others.
NOTED_AGAIN_S = 3600.0


class WrongKey(Exception):
    """The key or its secret is wrong, or the key is disabled; it is not revealed which."""


class MustWait(Exception):
    """There were too many failures. ``wait_s``: seconds until the next try."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failures: wait {wait_s:.0f} s")
        self.wait_s = wait_s


class FailureLines:
    """Which failed sign-ins leave a line: so many at once and again in a minute, and a few of each peer, so that one
    cannot hide the failures of the others. What was left out is counted.
    """

    def __init__(self, at_once: int = 30, of_peer: int = 5) -> None:
        self._in_all = TokenBuckets(at_once / 60, at_once)
        self._of_peer = TokenBuckets(of_peer / 60, of_peer)
        self._untold = 0

    def admits(self, address: str, now: float) -> bool:
        """Whether there is room for one of that peer now."""
        if self._in_all.has_token("", now) and self._of_peer.take(peer_of(address), now):
            return self._in_all.take("", now)
        self._untold += 1
        return False

    def tell_untold(self) -> int:
        """How many were left out; from here on they count as told."""
        told, self._untold = self._untold, 0
        return told


class SignIns:
    """See the module. ``find_key``: an enabled key by its id."""

    def __init__(self, store: Store, find_key: Callable[[str], Awaitable[KeyPair | None]]) -> None:
        self._store = store
        self._find_key = find_key
        self._brake = LoginThrottle()
        self._failure_lines = FailureLines()
        # Of each key, peer and door.
        self._success_lines = TokenBuckets(1 / NOTED_AGAIN_S, 1)
        self._judging = asyncio.Lock()

    async def by_secret(
        self, access_key_id: str, secret: str, door: str, *, peer: str, request_id: str, now: float
    ) -> KeyPair:
        """The key, if the secret is right. ``now`` is monotonic. Raises WrongKey, MustWait."""

        async def find() -> KeyPair | None:
            key = await self._find_key(access_key_id)
            return key if is_same_secret(secret, key.secret if key else "") else None

        return await self._judge(access_key_id, find, door, peer=peer, request_id=request_id, now=now)

    async def by_link(
        self, take: Callable[[], str | None], door: str, *, peer: str, request_id: str, now: float
    ) -> KeyPair:
        """The key that a link was made for. ``take`` gives its id, once. Raises WrongKey, MustWait.

        A link cannot be guessed, but each try costs a read of the store and a line.
        """

        async def find() -> KeyPair | None:
            access_key_id = take()
            return await self._find_key(access_key_id) if access_key_id else None

        return await self._judge("", find, door, peer=peer, request_id=request_id, now=now)

    async def _judge(
        self,
        name: str,
        find: Callable[[], Awaitable[KeyPair | None]],
        door: str,
        *,
        peer: str,
        request_id: str,
        now: float,
    ) -> KeyPair:
        # Clients that have to wait anyway do not queue.
        self._check(peer, name, now)
        async with self._judging:
            await self._learn(peer, name, now)
            self._check(peer, name, now)
            key = await find()
            if key is None:
                await self._tell_failure(self._brake.fail(peer, name, now))
            elif self._brake.forgive(peer, name):
                await self._tell_forgiven(peer, name)
        if key is None:
            await self._note_failure(name, door, peer, request_id, now)
            raise WrongKey
        await self._note_success(key.access_key_id, door, peer, request_id, now)
        return key

    # A store that is a file has one service, which knows all by itself.

    @asks_again
    async def _learn(self, peer: str, name: str, now: float) -> None:
        if self._store.is_file:
            return
        digests = {one: self._store.seal.digest(f"sign-in {one}") for one in names_of(peer, name)}
        async with self._store.read() as connection:
            found = await sign_in_failures.read(connection, digests.values())
        known = {one: found[digest] for one, digest in digests.items() if digest in found}
        self._brake.learn(peer, name, known, now)

    async def _tell_failure(self, waits_s: Mapping[str, float]) -> None:
        if self._store.is_file:
            return
        digests = {self._store.seal.digest(f"sign-in {one}"): wait_s for one, wait_s in waits_s.items()}
        async with self._store.write() as connection:
            await sign_in_failures.count(connection, digests, MEMORY_S)

    async def _tell_forgiven(self, peer: str, name: str) -> None:
        if not self._store.is_file:
            async with self._store.write() as connection:
                pair = self._store.seal.digest(f"sign-in {names_of(peer, name)[0]}")
                await sign_in_failures.forgive(connection, pair)

    def _check(self, peer: str, name: str, now: float) -> None:
        wait_s = self._brake.wait_s(peer, name, now)
        if wait_s > 0:
            raise MustWait(wait_s)

    async def _note_success(self, name: str, door: str, peer: str, request_id: str, now: float) -> None:
        entry = f"{name} {peer} {door}"
        if not self._success_lines.has_token(entry, now):
            return
        with acting_as(Actor(ActorKind.KEY, name, request_id, peer)):
            async with self._store.write() as connection:
                await audit.append(connection, AuditKind.SIGNED_IN, name, {"door": door})
        self._success_lines.take(entry, now)

    async def _note_failure(self, name: str, door: str, peer: str, request_id: str, now: float) -> None:
        """No more than some a minute. What is no key's id is not kept: people type their secret in the wrong field."""
        if not self._failure_lines.admits(peer, now):
            return
        detail: dict[str, object] = {"door": door}
        if untold := self._failure_lines.tell_untold():
            detail["untold"] = untold
        with acting_as(Actor(ActorKind.NOBODY, "", request_id, peer)):
            async with self._store.write() as connection:
                is_key = name.isprintable() and await keys.exists(connection, name)
                await audit.append(connection, AuditKind.SIGN_IN_FAILED, name if is_key else "", detail)
