"""Links that sign in once, for the user who started the service on this machine. No HTTP here.

The token is in the fragment of the address, which browsers never send, so it is in no log and no Referer; the page
posts it (``dashboard.js``). Only its digest is kept here. Times are monotonic seconds, passed in.
"""

import hashlib
import secrets
from collections import OrderedDict

#: How long a link can be used.
LINK_S = 600.0
#: How many unused links are kept; then the oldest is dropped.
_MAX_LINKS = 8


class SignInLinks:
    """The links that were made and not used yet."""

    def __init__(self) -> None:
        self._links: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def make(self, access_key_id: str, now: float) -> str:
        """The token of a new link, which signs in with that key."""
        token = secrets.token_urlsafe(32)
        while len(self._links) >= _MAX_LINKS:
            self._links.popitem(last=False)
        self._links[_digest(token)] = access_key_id, now + LINK_S
        return token

    def take(self, token: str, now: float) -> str | None:
        """Use up a link: returns its key; None if there is no such link, or no longer."""
        access_key_id, ends_at = self._links.pop(_digest(token), ("", 0.0))
        return access_key_id if now < ends_at else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
