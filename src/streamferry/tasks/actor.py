"""Who acts: known to the code that records what happened, without being passed through every call in between.

Each entrance sets it once: the APIs the key that signed the request, the dashboard the session, a worker and the
scheduler themselves, a command the user of the machine.
"""

import contextlib
import getpass
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What acts."""

    #: An access key, by the compatible API or by REST.
    KEY = "key"
    #: An access key that signed in to the dashboard.
    SESSION = "session"
    #: A worker that took, ran or gave back a task.
    WORKER = "worker"
    #: The scheduler: a window that closed, a worker that vanished.
    SCHEDULE = "schedule"
    #: A command on the machine, over the store.
    COMMAND = "command"
    #: The service at its start.
    SERVICE = "service"
    #: Unknown.
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Actor:
    """``name``: id of the key or of the worker, or the user of the machine. ``peer``: where the request came from."""

    kind: ActorKind
    name: str = ""
    request_id: str | None = None
    peer: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind.value


_NOBODY = Actor(ActorKind.NOBODY)
_acting: ContextVar[Actor] = ContextVar("actor")


def current_actor() -> Actor:
    """The current actor."""
    return _acting.get(_NOBODY)


@contextlib.contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """What is recorded within the block is attributed to that actor."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def new_request_id() -> str:
    """A unique and unguessable name for one request: 24 hex digits."""
    return secrets.token_hex(12)


def user_of_machine() -> Actor:
    """The user who runs this command."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return Actor(ActorKind.COMMAND, name)
