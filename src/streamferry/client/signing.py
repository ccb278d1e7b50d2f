"""Signs a request as the official Python SDK does (signature V4, ``HMAC-SHA256``). Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from streamferry.client.credentials import Credentials

_SERVICE = "live"


def canonical_query(query: Mapping[str, str]) -> str:
    """The query as it is signed and sent: sorted, RFC 3986 escapes."""
    return "&".join(f"{_escape(key)}={_escape(query[key])}" for key in sorted(query))


def sign_request(
    credentials: Credentials,
    *,
    method: str,
    host: str,
    query: Mapping[str, str],
    body: bytes,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """All headers of the request except Host. ``host`` is the Host header as sent, ``now`` an aware UTC time."""
    date = f"{now:%Y%m%dT%H%M%SZ}"
    body_sha256 = hashlib.sha256(body).hexdigest()
    headers = {"x-content-sha256": body_sha256, "x-date": date}
    if body:
        headers["content-type"] = "application/json"
    if credentials.session_token:
        headers["x-security-token"] = credentials.session_token
    signed = {**headers, "host": host}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = "\n".join((method, "/", canonical_query(query), lines, names, body_sha256))
    scope = f"{date[:8]}/{region}/{_SERVICE}/request"
    text = "\n".join(("HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = credentials.secret_access_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials.access_key_id}/{scope}"
    headers["authorization"] = f"HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers


def _escape(text: str) -> str:
    return quote(text, safe="-_.~")
