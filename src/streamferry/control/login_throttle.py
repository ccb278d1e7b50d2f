"""Limits the guessing of secrets, for every front end that takes one: waits after failures, constant-time comparison.

Failures are counted by peer and name together, so that a stranger who knows a key's id cannot lock its owner out, and
by peer alone, so that made-up names buy no further guesses. The second takes many more failures, so that one person
does not lock out a whole office at once. A successful sign-in does not clear it: the owner of one key may not use it to
guess another. Against attackers with many peers, failures are also counted by name alone: far more are free, and each
further one adds a second's wait. Peers that have signed in before are exempt from it, so that nobody is locked out.
Failures are forgotten after an hour. Services on one store count together (``sign_ins``). Times are monotonic seconds,
passed in.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from streamferry.net.peers import peer_of

#: This many failures of a peer with one name are free; each further one doubles the wait.
FREE_FAILURES = 4
#: The same for a peer with any names.
FREE_FAILURES_OF_PEER = 50
#: Failures with one name from any peer, and the wait that each further one adds.
FREE_FAILURES_OF_NAME = 200
_WAIT_OF_NAME_S = 1.0
_FIRST_WAIT_S = 15.0
_LONGEST_WAIT_S = 900.0
#: After this long failures are forgotten.
MEMORY_S = 3600.0
_MAX_REMEMBERED = 20_000

#: Peer and name; None: any.
_Counted = tuple[str | None, str | None]


class LoginThrottle:
    """Makes clients that fail to sign in wait, longer each time. ``address``: the peer's; ``name``: the one claimed.

    What is counted in the store for several services is learnt from there before each judgement (``names_of``).
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[_Counted, tuple[int, float]] = OrderedDict()
        self._welcome: OrderedDict[_Counted, None] = OrderedDict()

    def wait_s(self, address: str, name: str, now: float) -> float:
        """How long the next try has to wait; 0 if it may come now."""
        pair, peer, named = _counted(address, name)
        asked = (pair, peer) if pair in self._welcome else (pair, peer, named)
        return max(0.0, *(self._failures.get(one, (0, now))[1] - now for one in asked))

    def learn(self, address: str, name: str, known: Mapping[str, tuple[int, float]], now: float) -> None:
        """Take over what is counted elsewhere. ``known``: by names as ``names_of`` has them, failures and the wait."""
        for one, text in zip(_counted(address, name), names_of(address, name), strict=True):
            self._failures.pop(one, None)
            if text in known:
                failures, wait_s = known[text]
                self._failures[one] = (failures, now + wait_s)

    def fail(self, address: str, name: str, now: float) -> dict[str, float]:
        """Count a failure; returns the waits that it means, by names as ``names_of`` has them."""
        waits: dict[str, float] = {}
        for one, text in zip(_counted(address, name), names_of(address, name), strict=True):
            count, until = self._failures.pop(one, (0, now))
            if now - until > MEMORY_S:
                count = 0
            waits[text] = _wait_after(one, count + 1)
            self._failures[one] = (count + 1, now + waits[text])
        _forget_oldest(self._failures)
        return waits

    def forgive(self, address: str, name: str) -> bool:
        """Note a successful sign-in; returns whether there were failures of that peer with that name."""
        pair = _counted(address, name)[0]
        had_failed = self._failures.pop(pair, None) is not None
        self._welcome[pair] = None
        self._welcome.move_to_end(pair)
        _forget_oldest(self._welcome)
        return had_failed


def _wait_after(one: _Counted, count: int) -> float:
    peer, name = one
    if peer is None:
        return _WAIT_OF_NAME_S if count > FREE_FAILURES_OF_NAME else 0.0
    extra = count - (FREE_FAILURES if name is not None else FREE_FAILURES_OF_PEER)
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(extra - 1, 10)) if extra > 0 else 0.0


def _forget_oldest(remembered: OrderedDict[_Counted, Any]) -> None:
    while len(remembered) > _MAX_REMEMBERED:
        remembered.popitem(last=False)


def _counted(address: str, name: str) -> tuple[_Counted, _Counted, _Counted]:
    peer = peer_of(address)
    return (peer, name[:128]), (peer, None), (None, name[:128])


def names_of(address: str, name: str) -> tuple[str, str, str]:
    """What a failure is counted by, as texts that differ where it does: the pair, the peer, the name."""
    pair, (peer, _), (_, named) = _counted(address, name)
    return f"pair {pair[0]} {pair[1]}", f"peer {peer}", f"name {named}"


def is_same_secret(given: str, secret: str) -> bool:
    """Whether the secret is right, in the same time however much of it is."""
    return hmac.compare_digest(_digest(given), _digest(secret))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
