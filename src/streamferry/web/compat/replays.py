"""Calls that come twice: a captured one that somebody replays, and one that an SDK repeats.

A signature is valid for minutes, and anyone who reads plain HTTP on the way can send the same bytes again. So the
answer to a call that changes something is kept in the store as long as its signature is valid (``store.calls``). If it
comes again, at any service on that store, it gets that answer and nothing is done. This also helps an SDK that never
got its answer:

- Go's may send the same signature again. ``volcengine-python-sdk`` signs each attempt again, under the same signed
  ``X-Sdk-Invocation-Id``, so a call is recognised by that as well.
- A client that stops, continues and stops a task within a second signs both stops identically, since ``X-Date`` counts
  seconds. So only a creation is never done twice; anything else is, for two seconds after its first time.

A call that failed for a reason of ours, or was rate-limited, was not done and is not kept.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from streamferry.control.actions import Actions
from streamferry.tasks.errors import ActionError
from streamferry.tasks.signed_calls import DoneBefore, SignedCall, doing
from streamferry.web.compat.api_errors import ApiError, ErrorCode, translate_action_error
from streamferry.web.compat.signature import Claim, SignedRequest

_INVOCATION = "x-sdk-invocation-id"


def names_of(action: str, head: SignedRequest, claim: Claim, body: bytes) -> tuple[str, ...]:
    """Digests of the signature, and of the SDK's id for all attempts of one call, if it has signed that."""
    told = [f"{claim.access_key_id} {claim.signature}".encode()]
    if _INVOCATION in claim.signed_headers and (invocation := head.header(_INVOCATION)):
        told.append(f"{claim.access_key_id}\n{action}\n{invocation}\n".encode() + body)
    return tuple(hashlib.sha256(one).hexdigest() for one in told)


async def perform_once(
    actions: Actions,
    call: SignedCall,
    run: Callable[[], Awaitable[dict[str, Any] | None]],
    on_repeated: Callable[[], None],
) -> dict[str, Any] | None:
    """The result of ``run``; for a call that was already done, its earlier answer, after calling ``on_repeated``.

    Raises what ``run`` raises, and ApiError if it was refused then.
    """
    try:
        try:
            with doing(call):
                return await run()
        except ActionError as error:
            refusal = translate_action_error(error)
            await actions.keep_refusal(call, str(refusal))
            raise refusal from None
    except DoneBefore as done:
        on_repeated()
        if done.refusal is not None:
            raise ApiError(ErrorCode.INVALID_PARAM, done.refusal) from None
        return {"TaskId": done.made} if done.made else None
