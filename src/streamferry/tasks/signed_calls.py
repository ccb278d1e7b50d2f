"""A signed call: how it is recognised if it comes again.

The API's entrance sets the current call; ``Actions`` records it in the transaction of its change, so that it is done
only once by all services on one store.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignedCall:
    """``names``: hex digests, each of which identifies it. ``valid_s``: for how long it could come again.

    ``is_creation``: it is never done twice; any other one is, within its second (``store.calls``).
    """

    names: tuple[str, ...]
    is_creation: bool
    valid_s: float


class DoneBefore(Exception):
    """The call was done already. ``made``: the id of the task that it made. ``refusal``: as it was written down."""

    def __init__(self, made: str | None, refusal: str | None) -> None:
        super().__init__("the call was done before")
        self.made = made
        self.refusal = refusal


_doing: ContextVar[SignedCall | None] = ContextVar("signed_call", default=None)


def current_call() -> SignedCall | None:
    """The signed call that is being done now; None for a change that came another way."""
    return _doing.get()


@contextlib.contextmanager
def doing(call: SignedCall) -> Iterator[None]:
    """Changes within the block belong to that call."""
    token = _doing.set(call)
    try:
        yield
    finally:
        _doing.reset(token)
