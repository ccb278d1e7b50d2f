"""Who is signed in. No HTTP here.

A session is found by a random token that only the browser's cookie holds; only its digest is kept, here and in the
store (``session_shelf``), so that other services on the store, and this one after a restart, know it, too. Times are
monotonic seconds, passed in.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
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
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    @property
    def digests(self) -> set[str]:
        """Of all sessions."""
        return set(self._sessions)

    def draw(self) -> str:
        """A token that nobody can guess."""
        return secrets.token_urlsafe(32)

    def begin(self, access_key_id: str, *, can_write: bool, now: float) -> str:
        """A new session that only this process knows; its token."""
        token = self.draw()
        self.adopt(token, access_key_id, can_write=can_write, ends_at=now + SESSION_S, now=now)
        return token

    def adopt(self, token: str, access_key_id: str, *, can_write: bool, ends_at: float, now: float) -> Session:
        """A session that began somewhere else: one for all who find it at once, so that a sign-out reaches them all."""
        if (known := self.find(token, now)) is not None:
            return known
        self._drop(lambda session: not session.is_live(now))
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.popitem(last=False)[1].is_ended = True
        session = self._sessions[digest_of(token)] = Session(access_key_id, can_write, ends_at)
        return session

    def find(self, token: str, now: float) -> Session | None:
        """The session of a token, or None."""
        session = self._sessions.get(digest_of(token))
        return session if session is not None and session.is_live(now) else None

    def end(self, token: str) -> None:
        """Sign out: its open pages can do nothing more."""
        session = self._sessions.pop(digest_of(token), None)
        if session is not None:
            session.is_ended = True

    def end_all(self, digests: Collection[str]) -> None:
        """End these sessions: somebody else has ended them."""
        for digest in digests:
            if (session := self._sessions.pop(digest, None)) is not None:
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
        self.end_all([digest for digest, session in self._sessions.items() if is_dropped(session)])


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
