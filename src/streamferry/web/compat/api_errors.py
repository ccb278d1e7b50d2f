"""The API's error table: codes, numbers, HTTP status and messages, and the exception that carries one.

Names and numbers of the gateway are the cloud API's (its common error codes page). Its business errors have names but
no published numbers: those from 200001 are ours, because the official Go client overlooks an error numbered 0.
"""

from enum import Enum
from typing import NamedTuple

from streamferry.tasks.errors import ActionError
from streamferry.web.compat.field_names import sentence_of


class _Row(NamedTuple):
    code: str
    number: int
    status: int
    message: str


class ErrorCode(Enum):
    """One row of the table. ``%s`` in the message is filled in by :class:`ApiError`."""

    MISSING_PARAMETER = _Row("MissingParameter", 100002, 400, "The request is missing %s parameter.")
    MISSING_TOKEN = _Row("MissingAuthenticationToken", 100003, 401, "Request is missing Authentication Token.")
    MISSING_REQUEST_INFO = _Row("MissingRequestInfo", 100004, 400, "The request is missing %s information.")
    MISSING_SIGNATURE = _Row("MissingSignature", 100005, 401, "The request is missing signature.")
    INVALID_TIMESTAMP = _Row("InvalidTimestamp", 100006, 400, "The Signature of the request is expired.%s")
    SERVICE_NOT_FOUND = _Row("ServiceNotFound", 100007, 404, "This service[%s] not found.")
    INVALID_ACTION = _Row("InvalidActionOrVersion", 100008, 404, "Could not find operation %s for version %s.")
    INVALID_ACCESS_KEY = _Row("InvalidAccessKey", 100009, 401, "The accesskey [%s] included in the request is invalid.")
    SIGNATURE_MISMATCH = _Row(
        "SignatureDoesNotMatch",
        100010,
        401,
        "The request signature we calculated does not match the signature you provided. "
        "Check your Secret Access Key and signing method. Consult the service documentation for details.%s",
    )
    ACCESS_DENIED = _Row("AccessDenied", 100013, 403, "User is not authorized to perform: %s on resource: %s.")
    INTERNAL_ERROR = _Row("InternalError", 100014, 500, "Service has some internal Error. Pls Contact With Admin.")
    UNAVAILABLE = _Row("ServiceUnavailableTemp", 100019, 503, "The store cannot be asked now: try again in a moment.")
    INVALID_AUTHORIZATION = _Row(
        "InvalidAuthorization", 100024, 400, "Invalid 'Authorization' header, Pls check your authorization header."
    )
    INVALID_CREDENTIAL = _Row(
        "InvalidCredential",
        100025,
        400,
        "Invalid credential in 'Authorization', Pls check credential in authorization header.",
    )
    INVALID_SECRET_TOKEN = _Row("InvalidSecretToken", 100026, 401, "Invalid secret token, msg: %s.")
    FLOW_LIMIT = _Row("AccountFlowLimitExceeded", 100027, 429, "Request speed exceeds the account flow control limit.")
    INVALID_PARAM = _Row("InvalidParam", 200001, 400, "%s")
    BIND_ERROR = _Row("InvalidParam.BindError", 200002, 400, "Request parameter error, please check input data: %s")
    BODY_TOO_LARGE = _Row("InvalidParam.BodyTooLarge", 200003, 413, "The body is larger than %s bytes.")
    BODY_TIMEOUT = _Row("InvalidParam.BodyTimeout", 200004, 408, "The body did not arrive within %s s.")
    QUERY_TOO_LONG = _Row("InvalidParam.QueryTooLong", 200005, 414, "The query is longer than %s bytes.")
    HEADERS_TOO_LARGE = _Row("InvalidParam.HeadersTooLarge", 200006, 431, "The request has more than %s headers.")
    BAD_REQUEST = _Row("InvalidParam.BadRequest", 200007, 400, "%s")
    NO_SUCH_PATH = _Row("InvalidParam.NoSuchPath", 200008, 404, "There is nothing at this path: the API is at /.")
    METHOD_NOT_ALLOWED = _Row("InvalidParam.MethodNotAllowed", 200009, 405, "The method %s is not for this path.")
    TOO_MANY_CONNECTIONS = _Row("FlowLimitExceeded", 200010, 429, "Too many requests at once from this address.")


class ApiError(Exception):
    """A row of the table with its message filled in: what the caller gets."""

    def __init__(self, code: ErrorCode, *words: object) -> None:
        row: _Row = code.value
        # An optional addition is left out if there is none.
        super().__init__(row.message % words if words else row.message.removesuffix("%s"))
        self.code = row.code
        self.number = row.number
        self.status = row.status


def translate_action_error(error: ActionError) -> ApiError:
    """An action's error as an error of the API."""
    return ApiError(ErrorCode.INVALID_PARAM, sentence_of(error))
