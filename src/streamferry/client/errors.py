"""The errors of a call, as one tree."""


class ClientError(Exception):
    """Base of the tree."""


class NoAnswer(ClientError):
    """The service could not be reached, or its answer was not one of the API. It may have acted nevertheless.

    ``status``: HTTP's; 0 where nothing was answered.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ApiError(ClientError):
    """The service answered with an error. ``code`` and ``code_n`` are from the API's table, ``status`` is HTTP's."""

    def __init__(self, message: str, *, code: str, code_n: int, request_id: str, status: int) -> None:
        super().__init__(f"{code}: {message} (request {request_id})")
        self.message = message
        self.code = code
        self.code_n = code_n
        self.request_id = request_id
        self.status = status


class Refused(ClientError):
    """REST answered with an error. ``status`` is HTTP's, ``code`` tells cases apart; ``field`` is the part of the
    request that is wrong, as ``sources[2].start_s``. ``retry_after_s``: when to try again, if the service says so."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        field: str | None = None,
        request_id: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message} (request {request_id})")
        self.message = message
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class InvalidParam(ApiError):
    """A field is wrong; the message names it."""


class AuthenticationFailed(ApiError):
    """The key, the signature or its time is not accepted."""


class PermissionDenied(ApiError):
    """The key may not do this."""


class ActionNotFound(ApiError):
    """The service has no such action or version."""


class RateLimited(ApiError):
    """Too many calls: wait a second."""


class ServerError(ApiError):
    """The service failed."""


_BY_STATUS = {401: AuthenticationFailed, 403: PermissionDenied, 404: ActionNotFound, 429: RateLimited}


def make_error(message: str, *, code: str, code_n: int, request_id: str, status: int) -> ApiError:
    """The error of the class that fits code and status."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if code.startswith("InvalidParam"):
        kind = InvalidParam
    elif code in ("InvalidTimestamp", "InvalidAuthorization", "InvalidCredential"):
        kind = AuthenticationFailed
    return kind(message, code=code, code_n=code_n, request_id=request_id, status=status)
