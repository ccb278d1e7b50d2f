"""Tokens with which calendars read when tasks run: calendars cannot sign in.

``sfcal1.<key id>.<mac>`` stands in the address to subscribe to. The MAC is the store's keyed digest over the key's id
and its secret, so it reads calendars, and nothing else, as long as the key is valid.
"""

import base64
import binascii
import hmac
import re
from urllib.parse import urlencode

from streamferry.control.actions import Actions
from streamferry.store import Seal
from streamferry.store.records import KeyPair

_TOKEN = re.compile(r"sfcal1\.([A-Za-z0-9_-]{1,700})\.([0-9a-f]{32})")


#: Where REST has the calendar, below the service's address.
_PATH = "/api/v1/calendar.ics"


class CalendarTokens:
    """Makes and proves them."""

    def __init__(self, actions: Actions, seal: Seal) -> None:
        self._actions = actions
        self._seal = seal

    async def make(self, access_key_id: str) -> str | None:
        """A token of that key; None if it is not valid."""
        key = await self._actions.find_key(access_key_id)
        return None if key is None else f"sfcal1.{write_name(access_key_id)}.{self._mac(key)}"

    async def prove(self, token: str) -> KeyPair | None:
        """The key of a token; None if it proves nothing."""
        found = _TOKEN.fullmatch(token)
        key = await self._actions.find_key(read_name(found[1])) if found else None
        is_good = found is not None and key is not None and hmac.compare_digest(self._mac(key), found[2])
        return key if is_good else None

    def _mac(self, key: KeyPair) -> str:
        return self._seal.sign(f"calendar {len(key.access_key_id)} {key.access_key_id} {key.secret}")


def path_of(token: str, group: str = "") -> str:
    """The address to subscribe to, below that of the service: of all tasks, or of those in a group."""
    return f"{_PATH}?{urlencode({'token': token, **({'group': group} if group else {})})}"


def write_name(access_key_id: str) -> str:
    """A key's id, as tokens have it."""
    return base64.urlsafe_b64encode(access_key_id.encode()).decode().rstrip("=")


def read_name(text: str) -> str:
    """It again; what is none is the id of no key."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "\0"
