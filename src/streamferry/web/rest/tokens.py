"""Bearer tokens: made from an access key, valid for a while, signed and not stored.

``sf1.<key id>.<expiry>.<mac>``: the MAC is the store's keyed digest over the key's id, its secret and the expiry, so a
token ends with its time, with its key, with another secret for the key, and with the seal key. Several services over
one store accept each other's.

Failures to make one are counted with those of the dashboard's sign-in (``control.sign_ins``).
"""

import hmac
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamferry.control.actions import Actions
from streamferry.control.clock import Clock
from streamferry.control.sign_ins import MustWait, WrongKey
from streamferry.store import Seal
from streamferry.store.records import KeyPair
from streamferry.tasks.actor import current_actor
from streamferry.web.calendar_tokens import CalendarTokens, read_name, write_name
from streamferry.web.rest.rest_errors import RestError

_TOKEN = re.compile(r"sf1\.([A-Za-z0-9_-]{1,700})\.([0-9]{1,12})\.([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    access_key_id: str
    read_only: bool


class Tokens:
    """Makes and proves tokens."""

    def __init__(self, actions: Actions, seal: Seal, clock: Clock) -> None:
        self._actions = actions
        self._seal = seal
        self._clock = clock
        self._calendars = CalendarTokens(actions, seal)

    async def log_in(self, access_key_id: str, secret: str, *, peer: str, now: float) -> KeyPair:
        """The key, if the secret is right. ``now`` is monotonic. Raises RestError if it is wrong or locked out."""
        try:
            return await self._actions.sign_ins.by_secret(
                access_key_id, secret, "rest", peer=peer, request_id=current_actor().request_id or "", now=now
            )
        except MustWait as error:
            wait_s = math.ceil(error.wait_s)
            raise RestError(429, "locked_out", f"too many failures: wait {wait_s} s", retry_after_s=wait_s) from None
        except WrongKey:
            raise RestError(
                401, "wrong_key", "the access key id or its secret is wrong, or the key is disabled"
            ) from None

    def make(self, key: KeyPair, lifetime: timedelta) -> tuple[str, datetime]:
        """A token for a proved key, and when it expires."""
        ends_at = (self._clock.now() + lifetime).replace(microsecond=0)
        expires = int(ends_at.timestamp())
        return f"sf1.{write_name(key.access_key_id)}.{expires}.{self._mac(key, expires)}", ends_at

    async def make_calendar_token(self, access_key_id: str) -> str:
        """A token that reads calendars and nothing else. Raises RestError."""
        token = await self._calendars.make(access_key_id)
        if token is None:
            raise RestError(401, "wrong_key", "the key is disabled")
        return token

    async def prove_calendar(self, token: str) -> Caller:
        """The owner of such a token. Raises RestError."""
        key = await self._calendars.prove(token)
        if key is None:
            raise RestError(401, "wrong_token", "the token is not valid, or its key is disabled")
        return Caller(key.access_key_id, True)

    async def prove(self, token: str) -> Caller:
        """The owner of the token. Raises RestError."""
        found = _TOKEN.fullmatch(token)
        key = await self._actions.find_key(read_name(found[1])) if found else None
        if found is None or key is None or not hmac.compare_digest(self._mac(key, int(found[2])), found[3]):
            raise RestError(401, "wrong_token", "the token is not valid, or its key is disabled")
        if int(found[2]) <= self._clock.now().timestamp():
            raise RestError(401, "token_expired", "the token has expired: make another one")
        return Caller(key.access_key_id, key.read_only)

    def _mac(self, key: KeyPair, expires: int) -> str:
        return self._seal.sign(f"token {len(key.access_key_id)} {key.access_key_id} {key.secret} {expires}")
