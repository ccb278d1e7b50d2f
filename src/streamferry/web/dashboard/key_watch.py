"""Ends sessions when their key is disabled or replaced, or another service ended them: reads the store regularly."""

import asyncio
import contextlib
import logging
import time

from streamferry.control.actions import Actions
from streamferry.store import TROUBLE, describe_trouble
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import Sessions

_log = logging.getLogger("streamferry.dashboard")

#: How long it takes at most until a key that was disabled anywhere is no longer accepted.
LOOK_S = 2.0


async def watch_keys(
    actions: Actions, sessions: Sessions, stopping: asyncio.Event, shelf: SessionShelf | None = None
) -> None:
    """Run until ``stopping`` is set. A key with a new secret counts as another key. ``shelf``: where sessions may be
    ended by other services."""
    made_at: dict[str, object] = {}
    is_well = True
    while not stopping.is_set():
        asked_at = time.monotonic()
        try:
            if shelf is not None:
                await shelf.follow()
            keys = {one.access_key_id: one for one in await actions.list_keys() if one.enabled}
        except TROUBLE as error:
            if is_well:
                _log.error("the keys of sessions cannot be looked at: %s", describe_trouble(error))
            is_well = False
        else:
            same = [one for name, one in keys.items() if made_at.get(name, one.created_at) == one.created_at]
            sessions.keep_only({one.access_key_id: not one.read_only for one in same}, asked_at)
            made_at = {name: one.created_at for name, one in keys.items()}
            is_well = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await stopping.wait()
