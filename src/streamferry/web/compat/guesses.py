"""Usage of one stream: a caller has to know its name, because the stream's name is the publisher's secret.

No answer of the API shows a stream key, so a read-only key may not query by one. A key that may write may get it wrong
a limited number of times; then it has to wait, even for streams that exist.
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

#: Queries of one key that match no stream: this many at once, and as many a minute.
MISSES_AT_ONCE = 10
_TOTALS = ("TotalDuration", "PeakUpBandwidth")


class StreamGuesses:
    """Counts queries without a match, per key, in this process's memory."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._misses = TokenBuckets(MISSES_AT_ONCE / 60, MISSES_AT_ONCE)
        # One after the other: otherwise concurrent guesses would all use the same allowance.
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
