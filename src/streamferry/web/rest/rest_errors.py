"""What REST answers instead of a result: a status, a code, a sentence and the field, by the name the rules have."""

from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from streamferry.tasks.errors import (
    ActionError,
    DeliveryNotFound,
    DestinationConflict,
    GroupExists,
    GroupInUse,
    GroupNotFound,
    InvalidField,
    LibraryAway,
    LibraryFull,
    NoProber,
    PreviewUnavailable,
    ProbeFailed,
    ProberBusy,
    TaskNotFound,
    VersionConflict,
    WorkerNotFound,
    WrongState,
)


class Problem(BaseModel):
    """What went wrong."""

    code: str
    message: str
    """A sentence for the user."""
    field: str | None = None
    """Which part of the request is wrong, for example ``sources[2].start_s``."""


class Refusal(BaseModel):
    """Every answer that is not a success."""

    error: Problem


#: Status -> when it comes, with the codes that tell cases apart; the document and both pages say it.
STATUSES = {
    400: "`bad_request`: the request breaks off or is not HTTP.",
    401: "`no_token`; `wrong_token`; `token_expired`; `wrong_key`, when a token is made.",
    403: "`read_only`: the key may only read.",
    404: "`task_not_found`, `group_not_found`, `callback_not_found`, `worker_not_found`, `no_watermark`, "
    "`no_such_path`.",
    405: "`method_not_allowed`.",
    408: "`timeout`: the body did not arrive within 30 s.",
    409: "`wrong_state`: not for a task in this state; `destination_conflict`; `group_exists`; `group_in_use`; "
    "`no_preview`: there is nothing to show now.",
    412: "`version_conflict`: the task has another version than `If-Match` says.",
    413: "`too_large`: the body is larger than 4 MiB, or than 8 KiB where no token is needed.",
    414: "`too_large`: the query has more than 16 KiB, or the path more than 2 KiB.",
    422: "`invalid_field`: `field` names it; `invalid_body`: not a JSON object; `probe_failed`.",
    429: "`too_many` calls a second; `locked_out` after failures. `Retry-After` says for how long.",
    431: "`too_large`: more than 100 headers.",
    500: "`internal`: a bug in streamferry; the log of the service has the details.",
    503: "`store_unavailable`, `library_unavailable`, with the reason; `no_probe`, `no_previews`, `no_library`: this "
    "service has none.",
    507: "`library_full`: the disk of the library is full.",
}


class RestError(Exception):
    """An answer that is not a success. ``retry_after_s`` becomes a header."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s

    def response(self) -> Response:
        """As JSON."""
        body: dict[str, Any] = {"error": {"code": self.code, "message": str(self), "field": self.field}}
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(body, self.status, headers=headers)


_STATUS: dict[type[ActionError], tuple[int, str]] = {
    InvalidField: (422, "invalid_field"),
    TaskNotFound: (404, "task_not_found"),
    WorkerNotFound: (404, "worker_not_found"),
    GroupNotFound: (404, "group_not_found"),
    DeliveryNotFound: (404, "callback_not_found"),
    GroupExists: (409, "group_exists"),
    GroupInUse: (409, "group_in_use"),
    WrongState: (409, "wrong_state"),
    PreviewUnavailable: (409, "no_preview"),
    LibraryAway: (503, "library_unavailable"),
    LibraryFull: (507, "library_full"),
    DestinationConflict: (409, "destination_conflict"),
    VersionConflict: (412, "version_conflict"),
    ProbeFailed: (422, "probe_failed"),
    ProberBusy: (429, "too_many"),
    NoProber: (503, "no_probe"),
}
#: When to try again.
_RETRY_AFTER_S: dict[type[ActionError], int] = {LibraryAway: 5, ProberBusy: 5}


def translate(error: ActionError) -> RestError:
    """An action's error as an error of REST."""
    status, code = _STATUS[type(error)]
    return RestError(status, code, str(error), error.field, retry_after_s=_RETRY_AFTER_S.get(type(error)))
