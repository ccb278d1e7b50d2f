"""Usage of one stream: who asks for it by its name has to know it, since the name is the secret of who pushes there.

No answer of the API shows a stream key, so a key that may only read may not ask by one. One that may write could have
it wrong: so many times, and then it waits, also for streams that there are.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from streamferry.control.actions import Actions
from streamferry.control.token_buckets import TokenBuckets
from streamferry.store.records import KeyPair
from streamferry.web.compat.api_errors import ApiError, ErrorCode
from streamferry.web.compat.schemas import Usage

#: Queries of one key that match no stream: so many at once, and as many a minute.
MISSES_AT_ONCE = 10
_TOTALS = ("TotalDuration", "PeakUpBandwidth")


class StreamGuesses:
    """Counts queries that match nothing, by key. In this process's memory."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._misses = TokenBuckets(MISSES_AT_ONCE / 60, MISSES_AT_ONCE)
        # One after the other: of guesses at once each would find a token that the next one takes.
        self._asking = asyncio.Lock()

    async def perform(
        self, action: str, body: Usage, key: KeyPair, run: Callable[[], Awaitable[dict[str, Any] | None]]
    ) -> dict[str, Any] | None:
        """The answer to a query that names a stream. Raises ApiError AccessDenied, AccountFlowLimitExceeded."""
        if key.read_only:
            raise ApiError(ErrorCode.ACCESS_DENIED, f"live:{action}", "a stream by its name (App, Stream)")
        async with self._asking:
            now = time.monotonic()
            if not self._misses.has_token(key.access_key_id, now):
                raise ApiError(ErrorCode.FLOW_LIMIT)
            answer = await run() or {}
            is_hit = any(answer.get(name) for name in _TOTALS)
            if not is_hit and not await self._actions.knows_stream(body.App or "", body.Stream or ""):
                self._misses.take(key.access_key_id, now)
            return answer
