"""Who is signed in: sessions in memory. No HTTP here.

A session is found by a random token that only the browser's cookie holds; only its digest is kept here. A restart of
the service ends all sessions. Times are monotonic seconds, passed in.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: A session ends this long after sign-in, even if it is in use.
SESSION_S = 12 * 3600.0
_MAX_SESSIONS = 10_000


@dataclass(slots=True)
class Session:
    """One sign-in. An open page keeps it, so it knows itself whether it is still valid."""

    access_key_id: str
    can_write: bool
    ends_at: float
    is_ended: bool = field(default=False)

    def is_live(self, now: float) -> bool:
        """Whether it has neither ended nor expired."""
        return not self.is_ended and now < self.ends_at


class Sessions:
    """All sessions, the oldest forgotten first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, access_key_id: str, *, can_write: bool, now: float) -> str:
        """A new session; its token."""
        token = secrets.token_urlsafe(32)
        self._drop(lambda session: not session.is_live(now))
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.popitem(last=False)[1].is_ended = True
        self._sessions[_digest(token)] = Session(access_key_id, can_write, now + SESSION_S)
        return token

    def find(self, token: str, now: float) -> Session | None:
        """The session of a token, or None."""
        session = self._sessions.get(_digest(token))
        return session if session is not None and session.is_live(now) else None

    def end(self, token: str) -> None:
        """Sign out: its open pages can do nothing more."""
        session = self._sessions.pop(_digest(token), None)
        if session is not None:
            session.is_ended = True

    def keep_only(self, roles: Mapping[str, bool], asked_at: float) -> None:
        """End the sessions of keys that are gone. ``roles``: each enabled key, and whether it may write.

        ``asked_at``: when the keys were read; sessions that began later are kept.
        """
        self._drop(
            lambda session: (
                session.ends_at - SESSION_S <= asked_at and roles.get(session.access_key_id) is not session.can_write
            )
        )

    def _drop(self, is_dropped: Callable[[Session], bool]) -> None:
        for digest in [digest for digest, session in self._sessions.items() if is_dropped(session)]:
            self._sessions.pop(digest).is_ended = True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
