"""What can be done to access keys, and the audit stream that tells of it."""

import secrets

from streamferry.control.transactions import Transactions
from streamferry.store import asks_again, audit, keys
from streamferry.store.records import AuditRecord, KeyPair, KeyRecord
from streamferry.tasks.errors import KeyNotFound
from streamferry.tasks.model import AuditKind


class KeyActions(Transactions):
    """See the module."""

    async def create_key(self, *, read_only: bool = False) -> KeyPair:
        """A new access key."""
        pair = self.draw_key(read_only=read_only)
        await self.import_key(pair)
        return pair

    def draw_key(self, *, read_only: bool = False) -> KeyPair:
        """A new pair that is not stored yet."""
        return KeyPair("AK" + secrets.token_hex(15).upper(), secrets.token_urlsafe(30), read_only)

    async def import_key(self, pair: KeyPair) -> None:
        """Store a key that was made elsewhere, enabled; its secret replaces the one it had."""
        async with self._store.write() as connection:
            known = await keys.exists(connection, pair.access_key_id)
            await keys.put(connection, self._seal, pair, now_ms=await self._now_ms(connection))
            kind = AuditKind.KEY_REPLACED if known else AuditKind.KEY_MADE
            await audit.append(connection, kind, pair.access_key_id, {"read_only": pair.read_only})

    @asks_again
    async def find_key(self, access_key_id: str) -> KeyPair | None:
        """An enabled key with its secret, or None; any text may be asked for."""
        if not access_key_id.isprintable():
            return None
        async with self._store.read() as connection:
            return await keys.find(connection, self._seal, access_key_id)

    async def disable_key(self, access_key_id: str) -> None:
        """Disable a key. Raises KeyNotFound."""
        async with self._store.write() as connection:
            if not await keys.disable(connection, access_key_id):
                raise KeyNotFound(access_key_id)
            await audit.append(connection, AuditKind.KEY_DISABLED, access_key_id)

    @asks_again
    async def list_keys(self) -> list[KeyRecord]:
        """Every key, oldest first, without secrets."""
        async with self._store.read() as connection:
            return await keys.all_keys(connection)

    @asks_again
    async def list_audit(self, *, before: int | None = None, limit: int = 100) -> list[AuditRecord]:
        """Lines of the audit stream before an id, newest first."""
        async with self._store.read() as connection:
            return await audit.page(connection, before=before, limit=limit)
