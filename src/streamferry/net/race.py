"""A race of the addresses of a name: the next one is tried while the previous one is still silent, and the first to
answer wins. So a dead address, or a broken IPv6 route, costs 250 ms and not a large part of the deadline.

The one that answered last time goes first. Specification: RFC 8305 (Happy Eyeballs), sections 4 and 5.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar

from streamferry.media.errors import own_lack

#: Family and address of an endpoint.
Address = tuple[int, tuple[Any, ...]]
#: RFC 8305, 8: Connection Attempt Delay. After a failed try the next one starts at once.
DELAY_S = 0.25
#: How many names are remembered, the most recently used ones.
_REMEMBERED = 1000

_worked: "OrderedDict[tuple[str, int], Address]" = OrderedDict()

_T = TypeVar("_T")


def in_order(host: str, port: int, addresses: Sequence[Address]) -> list[Address]:
    """The resolver's order with alternating families; the address that answered last time goes first."""
    first_family = [one for one in addresses if one[0] == addresses[0][0]]
    other_families = [one for one in addresses if one[0] != addresses[0][0]]
    ordered = [one for pair in zip_longest(first_family, other_families) for one in pair if one is not None]
    if (worked := _worked.get((host, port))) in ordered:
        ordered.remove(worked)
        ordered.insert(0, worked)
    return ordered


def remember(host: str, port: int, address: Address) -> None:
    """Note that this address has answered."""
    _worked[host, port] = address
    _worked.move_to_end((host, port))
    if len(_worked) > _REMEMBERED:
        _worked.popitem(last=False)


async def race(
    addresses: Sequence[Address], start: Callable[[Address], Coroutine[None, None, _T]], discard: Callable[[_T], None]
) -> tuple[Address, _T]:
    """Run ``start`` for one address after the other, and return the first that succeeds with its result.

    Results of the others are passed to ``discard``. If all fail, one of their errors is raised: preferably one about a
    peer, not about something this machine lacks, such as a route for IPv6.
    """
    outcome = await _run(addresses, start, discard)
    if isinstance(outcome, Exception):
        try:
            raise outcome
        finally:
            del outcome  # The traceback refers to this frame: that would be a cycle (relay.collector).
    return outcome


async def _run(
    addresses: Sequence[Address], start: Callable[[Address], Coroutine[None, None, _T]], discard: Callable[[_T], None]
) -> tuple[Address, _T] | Exception:
    waiting = list(reversed(addresses))
    running: dict[asyncio.Task[_T], Address] = {}
    errors: list[Exception] = []
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop()
                running[asyncio.ensure_future(start(address))] = address
            done, _ = await asyncio.wait(
                running, timeout=DELAY_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                if (error := one.exception()) is None:
                    return running.pop(one), one.result()
                del running[one]
                if not isinstance(error, Exception):
                    raise error
                errors.append(error)
        return next((error for error in reversed(errors) if own_lack(error) is None), errors[-1])
    finally:
        # Not awaited: if the caller were cancelled meanwhile, the results of the others or the winner would be lost.
        for one in running:
            one.add_done_callback(partial(_discard_result, discard))
            one.cancel()


def _discard_result(discard: Callable[[_T], None], one: "asyncio.Task[_T]") -> None:
    if not one.cancelled() and one.exception() is None:
        discard(one.result())
