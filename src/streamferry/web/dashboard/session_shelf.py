"""Sessions in the store: known to all services on it, and after a restart. See ``sessions`` for those in memory.

A service reads the store for a token that it does not know, if some service has signed it: strangers cost no reads.
"""

import hmac
import time

from streamferry.store import Store, asks_again, dashboard_sessions
from streamferry.web.dashboard.sessions import SESSION_S, Session, Sessions, digest_of


class SessionShelf:
    """Puts sessions into the store, and gets them from it."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions

    async def begin(self, access_key_id: str, *, can_write: bool) -> str:
        """A new session; the token for its cookie."""
        token = self._signed(self._sessions.draw())
        async with self._store.write() as connection:
            await dashboard_sessions.put(connection, digest_of(token), access_key_id, round(SESSION_S * 1000))
        now = time.monotonic()
        self._sessions.adopt(token, access_key_id, can_write=can_write, ends_at=now + SESSION_S, now=now)
        return token

    async def find(self, token: str) -> Session | None:
        """The session of a token, or None."""
        now = time.monotonic()
        session = self._sessions.find(token, now)
        if session is not None or not self._is_signed(token):
            return session
        found = await self._read(digest_of(token))
        if found is None:
            return None
        access_key_id, is_read_only, left_ms = found
        return self._sessions.adopt(
            token, access_key_id, can_write=not is_read_only, ends_at=now + left_ms / 1000, now=now
        )

    async def end(self, token: str) -> None:
        """Sign out, at all services."""
        self._sessions.end(token)
        if self._is_signed(token):
            async with self._store.write() as connection:
                await dashboard_sessions.delete(connection, digest_of(token))

    @asks_again
    async def follow(self) -> None:
        """End those that were ended at another service."""
        held = self._sessions.digests
        if held:
            async with self._store.read() as connection:
                self._sessions.end_all(held - await dashboard_sessions.live_ones(connection, held))

    @asks_again
    async def _read(self, digest: str) -> tuple[str, bool, int] | None:
        async with self._store.read() as connection:
            return await dashboard_sessions.find(connection, digest)

    def _signed(self, drawn: str) -> str:
        return f"{drawn}.{self._store.seal.sign(f'session {drawn}')}"

    def _is_signed(self, token: str) -> bool:
        return token.isascii() and hmac.compare_digest(token, self._signed(token.partition(".")[0]))
