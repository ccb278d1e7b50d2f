"""Calls that come twice: a captured one that somebody sends again, and one that an SDK repeats.

A signature is good for minutes, and whoever reads plain HTTP on the way can send the same bytes again. So what was
answered to a call that changes something is remembered as long as its signature is good, and who sends it again gets
that answer, and nothing is done. That serves an SDK that never got its answer, too:

- Go's may send the same signature again. ``volcengine-python-sdk`` signs each attempt anew, under the same signed
  ``X-Sdk-Invocation-Id``, so a call is known by that as well.
- A client that stops, continues and stops a task within a second signs both stops alike, since ``X-Date`` counts
  seconds. So only a creation is never done twice; anything else is, for ``SAME_SECOND_S`` after its first time.

What failed for a reason of ours, or was too much, was not done, and is not remembered. All this is in this process's
memory. Times are monotonic seconds, passed in.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streamferry.control.errors import ActionError

#: As long as two calls that were signed in the same second may lie apart when they arrive.
SAME_SECOND_S = 2.0
#: More are forgotten, the oldest first: 10 calls a second are 9,000 within the usual 15 minutes.
_MAX_REMEMBERED = 50_000

Result = dict[str, object] | None


@dataclass(slots=True)
class _Call:
    """One that was seen. ``answer``: its result, or the refusal, once there is one that stays."""

    seen_at: float
    ends_at: float
    answer: "asyncio.Future[Result | ActionError]"


class Replays:
    """See the module."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    async def perform(
        self,
        names: Sequence[str],
        action: Callable[[], Awaitable[Result]],
        *,
        is_creation: bool,
        valid_s: float,
        now: float,
    ) -> Result:
        """The result of the action; of one that was done already under one of these names, that of then.

        ``valid_s``: how long the call could be sent again. Raises what the action raises, or raised.
        """
        while known := self._find(names, now, is_creation=is_creation):
            answer = await _wait(known)
            if isinstance(answer, ActionError):
                raise answer
            if answer is not _NOT_DONE:
                return answer
        call = _Call(now, now + valid_s, asyncio.get_running_loop().create_future())
        self._remember(names, call, now)
        try:
            result = await action()
        except ActionError as refusal:
            call.answer.set_result(refusal)
            raise
        except BaseException:
            self._forget(names, call)
            call.answer.cancel()
            raise
        call.answer.set_result(result)
        return result

    def _find(self, names: Sequence[str], now: float, *, is_creation: bool) -> _Call | None:
        for name in names:
            call = self._calls.get(name)
            if call is not None and now < call.ends_at and (is_creation or now - call.seen_at > SAME_SECOND_S):
                return call
        return None

    def _remember(self, names: Sequence[str], call: _Call, now: float) -> None:
        for name in names:
            before = self._calls.pop(name, None)
            if before is not None:
                # Done again within its second: what makes it a replay is the time since the first.
                call.seen_at = min(call.seen_at, before.seen_at) if now < before.ends_at else call.seen_at
            self._calls[name] = call
        while self._calls:
            oldest = next(iter(self._calls))
            if len(self._calls) <= _MAX_REMEMBERED and self._calls[oldest].ends_at > now:
                break
            del self._calls[oldest]

    def _forget(self, names: Sequence[str], call: _Call) -> None:
        for name in names:
            if self._calls.get(name) is call:
                del self._calls[name]


#: What is waited for was not done after all.
_NOT_DONE: Result = {}


async def _wait(call: _Call) -> "Result | ActionError":
    try:
        return await asyncio.shield(call.answer)
    except asyncio.CancelledError:
        if call.answer.cancelled():
            return _NOT_DONE
        raise
