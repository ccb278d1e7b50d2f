"""The envelope of every answer: ``ResponseMetadata``, and ``Result`` only if the action has one."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from streamferry.web.compat.api_errors import ApiError
from streamferry.web.compat.signature import SERVICE
from streamferry.web.compat.task_bodies import CHINA

DEFAULT_REGION = "cn-north-1"
#: The caller's Action is repeated in the answer, up to this length.
_MAX_ECHO_CHARS = 128


@dataclass(slots=True)
class Envelope:
    """The metadata of one answer, in the order the API's documents show it. ``region`` is the signature's."""

    request_id: str
    action: str = ""
    version: str = ""
    region: str = DEFAULT_REGION

    @classmethod
    def begin(cls, now: datetime) -> "Envelope":
        """An envelope with a new request id: 14 digits of the time and 20 random ones, like the cloud's."""
        return cls(f"{now.astimezone(CHINA):%Y%m%d%H%M%S}{secrets.token_hex(10).upper()}")

    def success(self, result: object = None) -> Response:
        """Status 200. Without a result there is no ``Result`` at all."""
        body: dict[str, Any] = {"ResponseMetadata": self._metadata()}
        if result is not None:
            body["Result"] = result
        return _json(body, 200)

    def failure(self, error: ApiError) -> Response:
        """The error inside the metadata, under its HTTP status."""
        told = {"CodeN": error.number, "Code": error.code, "Message": str(error)}
        answer = _json({"ResponseMetadata": {**self._metadata(), "Error": told}}, error.status)
        if error.status in (429, 503):
            answer.headers["retry-after"] = "1"
        return answer

    def _metadata(self) -> dict[str, Any]:
        return {
            "RequestId": self.request_id,
            "Action": self.action[:_MAX_ECHO_CHARS],
            "Version": self.version[:_MAX_ECHO_CHARS],
            "Service": SERVICE,
            "Region": self.region,
        }


def _json(body: dict[str, Any], status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, media_type="application/json")
