"""Bearer tokens: made from an access key, valid for a while, signed and not stored.

``sf1.<key id>.<expiry>.<mac>``: the MAC is the store's keyed digest over the key's id, its secret and the expiry, so a
token ends with its time, with its key, with another secret for the key, and with the seal key. Several services over
one store accept each other's.

Failures are counted in this process by who asks and for which key, and lock that pair out for a growing while.
"""

import base64
import binascii
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamferry.control.actions import Actions
from streamferry.control.clock import Clock
from streamferry.control.rest.faults import RestError
from streamferry.control.store import Seal
from streamferry.control.store.records import KeyPair

_TOKEN = re.compile(r"sf1\.([A-Za-z0-9_-]{1,700})\.([0-9]{1,12})\.([0-9a-f]{32})")
#: Failures in a row that are free, and the locks that follow: 2 s, doubling, to 5 minutes.
FREE_FAILURES = 5
_FIRST_LOCK_S = 2.0
_LONGEST_LOCK_S = 300.0
#: Pairs that are remembered; who has failed longest ago is forgotten first.
_MAX_PAIRS = 10_000


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
        self._lock_out = LockOut()

    async def log_in(self, access_key_id: str, secret: str, *, peer: str, now: float) -> KeyPair:
        """The key that was proved. ``now`` is monotonic. Raises RestError for a wrong one and while locked out."""
        pair = (peer, access_key_id)
        self._lock_out.check(pair, now)
        key = await self._actions.find_key(access_key_id)
        # Compared whether there is such a key or not, so that the time does not tell.
        proved = hmac.compare_digest((key.secret if key else "").encode(), secret.encode())
        if key is None or not proved:
            self._lock_out.fail(pair, now)
            raise RestError(401, "wrong_key", "the access key id or its secret is wrong, or the key is disabled")
        self._lock_out.succeed(pair)
        return key

    def make(self, key: KeyPair, lifetime: timedelta) -> tuple[str, datetime]:
        """A token of a key that was proved, and when it ends."""
        ends_at = (self._clock.now() + lifetime).replace(microsecond=0)
        expires = int(ends_at.timestamp())
        name = base64.urlsafe_b64encode(key.access_key_id.encode()).decode().rstrip("=")
        return f"sf1.{name}.{expires}.{self._mac(key, expires)}", ends_at

    async def prove(self, token: str) -> Caller:
        """Whose token it is. Raises RestError."""
        found = _TOKEN.fullmatch(token)
        key = await self._actions.find_key(_read_name(found[1])) if found else None
        if found is None or key is None or not hmac.compare_digest(self._mac(key, int(found[2])), found[3]):
            raise RestError(401, "wrong_token", "the token is not valid, or its key is disabled")
        if int(found[2]) <= self._clock.now().timestamp():
            raise RestError(401, "token_expired", "the token has expired: make another one")
        return Caller(key.access_key_id, key.read_only)

    def _mac(self, key: KeyPair, expires: int) -> str:
        return self._seal.digest(f"token {len(key.access_key_id)} {key.access_key_id} {key.secret} {expires}")


class LockOut:
    """Who fails too often has to wait, longer each time; one success is a new start."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, pair: tuple[str, str], now: float) -> None:
        """Raises RestError while the pair is locked out."""
        count, until = self._failures.get(pair, (0, 0.0))
        if count >= FREE_FAILURES and now < until:
            wait_s = int(until - now) + 1
            raise RestError(429, "locked_out", f"too many failures: wait {wait_s} s", retry_after_s=wait_s)

    def fail(self, pair: tuple[str, str], now: float) -> None:
        """Count a failure."""
        count = self._failures.pop(pair, (0, 0.0))[0] + 1
        lock_s = min(_FIRST_LOCK_S * 2 ** min(max(0, count - FREE_FAILURES), 20), _LONGEST_LOCK_S)
        self._failures[pair] = (count, now + lock_s)
        if len(self._failures) > _MAX_PAIRS:
            self._failures.popitem(last=False)

    def succeed(self, pair: tuple[str, str]) -> None:
        """Forget the failures."""
        self._failures.pop(pair, None)


def _read_name(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "\0"
