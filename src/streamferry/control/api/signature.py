"""Signature V4 ("HMAC-SHA256") as the cloud's SDKs make it: reading what a request claims, and proving it. Pure.

A request is proved by building the text that the client says it signed and comparing the HMAC. Theory of operation:

    method, path, sorted query, the signed headers, the names of the signed headers, sha256 of the body

one a line, hashed, put under algorithm, time and scope, and signed with a key derived from secret, day, region and
service. Two forms: the ``Authorization`` header, and for GET a pre-signed query. SDKs differ in details, so a claim has
a few candidate texts, all of which say the same request:

- Python, Go, Java and the universal client sign ``Host`` without ``:80`` and ``:443``; PHP signs what it sends; Node
  signs no Host. Behind a proxy the client signed the public name.
- Node and PHP collapse white space inside a header, Python does not. Header names come in the order of SignedHeaders:
  the Go demo does not sort them.
- Python signs ``X-Security-Token`` in a pre-signed query without listing it.

The body's hash is always our own: an ``X-Content-Sha256`` that tells another one is refused.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NoReturn
from urllib.parse import quote_from_bytes, unquote_to_bytes

from streamferry.control.api.faults import ApiError, ErrorCode

ALGORITHM = "HMAC-SHA256"
SERVICE = "live"
#: Valid this long if X-Expires says nothing; a signature from the future is refused beyond it too.
DEFAULT_EXPIRES_S = 900
#: A pre-signed address must end some day: the longest window of a task.
MAX_EXPIRES_S = 7 * 86400
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_TIME_FORM = re.compile(r"\d{8}T\d{6}Z")
_AUTHORIZATION = re.compile(
    r"HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]*),\s*Signature=(?P<sign>\S*)"
)
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_UNRESERVED = "-_.~"
#: What a pre-signed query may hold beside the parameters it lists as signed.
_NEVER_LISTED = frozenset(("X-Signature", "X-SignedQueries", "X-Security-Token"))

Query = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came: ``query`` raw, header names in lower case, ``body_sha256`` hex of the body as received."""

    method: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body_sha256: str = EMPTY_SHA256
    path: str = "/"

    def header(self, name: str) -> str | None:
        """Value of a header, None if absent. A header given twice has no one meaning: InvalidAuthorization."""
        values = [value for key, value in self.headers if key == name.encode()]
        if len(values) > 1:
            raise ApiError(ErrorCode.INVALID_AUTHORIZATION)
        return values[0].decode("latin-1") if values else None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says they signed what, and when. ``signed_queries`` is None in the header form."""

    access_key_id: str
    signed_at: datetime
    region: str
    signed_headers: tuple[str, ...]
    signature: str
    security_token: str | None
    expires_s: int
    signed_queries: tuple[str, ...] | None = None

    @property
    def scope(self) -> str:
        """``<day>/<region>/live/request``."""
        return f"{self.signed_at:%Y%m%d}/{self.region}/{SERVICE}/request"

    def check_time(self, now: datetime) -> None:
        """Refuse what has expired or comes from the future."""
        age = now - self.signed_at
        if age > timedelta(seconds=self.expires_s) or age < -timedelta(seconds=DEFAULT_EXPIRES_S):
            raise ApiError(ErrorCode.INVALID_TIMESTAMP)


def parse_query(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The query read as form data, in the order given."""
    pairs = (piece.partition(b"=") for piece in raw.split(b"&") if piece)
    return [(_unescape(key), _unescape(value)) for key, _, value in pairs]


def read_query(raw: bytes) -> dict[str, str]:
    """The query as a mapping. Raises ApiError if a name comes twice or the text is not UTF-8."""
    values: dict[str, str] = {}
    for raw_key, raw_value in parse_query(raw):
        try:
            key, value = raw_key.decode(), raw_value.decode()
        except UnicodeDecodeError:
            raise ApiError(ErrorCode.BIND_ERROR, "the query is not UTF-8") from None
        if key in values:
            raise ApiError(ErrorCode.INVALID_PARAM, f"{key[:64]}: given twice")
        values[key] = value
    return values


def read_claim(request: SignedRequest) -> Claim:
    """Read the claim of either form. Raises ApiError for one that is missing or malformed; nothing is proved yet."""
    query = read_query(request.query)
    authorization = request.header("authorization")
    if authorization is not None:
        return _read_header_claim(request, authorization, query)
    if "X-Algorithm" in query or "X-Signature" in query:
        return _read_query_claim(request, query)
    raise ApiError(ErrorCode.MISSING_TOKEN)


def verify(claim: Claim, request: SignedRequest, secret: str, public_hosts: Sequence[str] = ()) -> None:
    """Prove the claim with the key's secret, or raise SignatureDoesNotMatch. Compares in constant time."""
    told = request.header("x-content-sha256")
    if told is not None and told != request.body_sha256:
        _mismatch()
    key = signing_key(secret, claim)
    given = claim.signature.encode("latin-1", "replace")
    proved = False
    for text in dict.fromkeys(_candidates(claim, request, public_hosts)):
        proved |= hmac.compare_digest(sign(key, claim, text).encode(), given)
    if not proved:
        _mismatch()


def signing_key(secret: str, claim: Claim) -> bytes:
    """The day's key for a region and service, derived from the secret."""
    key = secret.encode()
    for part in (f"{claim.signed_at:%Y%m%d}", claim.region, SERVICE, "request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, claim: Claim, canonical_request: str) -> str:
    """Lower-case hex signature of a canonical request."""
    hashed = hashlib.sha256(canonical_request.encode("latin-1")).hexdigest()
    text = "\n".join((ALGORITHM, f"{claim.signed_at:%Y%m%dT%H%M%SZ}", claim.scope, hashed))
    return hmac.digest(key, text.encode(), "sha256").hex()


def canonical_query(query: Query) -> str:
    """Sorted by key, then by value, and escaped again: what all SDKs sign, however they sent it."""
    return "&".join(f"{_escape(key)}={_escape(value)}" for key, value in sorted(query))


def _read_header_claim(request: SignedRequest, authorization: str, query: dict[str, str]) -> Claim:
    found = _AUTHORIZATION.fullmatch(authorization.strip())
    if found is None:
        missing = "Signature=" not in authorization and authorization.startswith(ALGORITHM)
        raise ApiError(ErrorCode.MISSING_SIGNATURE if missing else ErrorCode.INVALID_AUTHORIZATION)
    access_key_id, day, region = _read_credential(found["credential"])
    return Claim(
        access_key_id=access_key_id,
        signed_at=_read_time(request.header("x-date"), day),
        region=region,
        signed_headers=_names(found["headers"]),
        signature=_read_signature(found["sign"]),
        security_token=request.header("x-security-token"),
        expires_s=_read_expires(query.get("X-Expires")),
    )


def _read_query_claim(request: SignedRequest, query: dict[str, str]) -> Claim:
    if query.get("X-Algorithm") != ALGORITHM or request.method != "GET" or request.body_sha256 != EMPTY_SHA256:
        raise ApiError(ErrorCode.INVALID_AUTHORIZATION)
    access_key_id, day, region = _read_credential(query.get("X-Credential", ""))
    listed = _names(query.get("X-SignedQueries", ""))
    if not query.keys() <= {*listed, *_NEVER_LISTED} or "X-Signature" in listed:
        _mismatch()
    return Claim(
        access_key_id=access_key_id,
        signed_at=_read_time(query.get("X-Date"), day),
        region=region,
        signed_headers=_names(query.get("X-SignedHeaders", "")),
        signature=_read_signature(query.get("X-Signature", "")),
        security_token=query.get("X-Security-Token"),
        expires_s=_read_expires(query.get("X-Expires")),
        signed_queries=listed,
    )


def _read_credential(text: str) -> tuple[str, str, str]:
    """``<key id>/<day>/<region>/live/request`` -> key id, day, region. Any region will do: the service has none."""
    parts = text.split("/")
    if len(parts) != 5 or not all(parts) or parts[4] != "request" or not text.isascii():
        raise ApiError(ErrorCode.INVALID_CREDENTIAL)
    if parts[3] != SERVICE:
        raise ApiError(ErrorCode.SERVICE_NOT_FOUND, parts[3][:64])
    return parts[0], parts[1], parts[2]


def _read_time(text: str | None, day: str) -> datetime:
    if not text:
        raise ApiError(ErrorCode.MISSING_REQUEST_INFO, "timestamp")
    if not _TIME_FORM.fullmatch(text):
        raise ApiError(ErrorCode.INVALID_TIMESTAMP)
    if day != text[:8]:
        raise ApiError(ErrorCode.INVALID_CREDENTIAL)
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(ErrorCode.INVALID_TIMESTAMP) from None


def _read_signature(text: str) -> str:
    if not text:
        raise ApiError(ErrorCode.MISSING_SIGNATURE)
    if not _SHA256_HEX.fullmatch(text):
        _mismatch()
    return text


def _read_expires(text: str | None) -> int:
    if text is None or text == "":
        return DEFAULT_EXPIRES_S
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_EXPIRES_S:
        raise ApiError(ErrorCode.INVALID_PARAM, f"X-Expires: must be 1 to {MAX_EXPIRES_S} seconds")
    return int(text)


def _candidates(claim: Claim, request: SignedRequest, public_hosts: Sequence[str]) -> Iterator[str]:
    hosts = _hosts(request, public_hosts) if "host" in claim.signed_headers else ("",)
    for query, host, collapse in product(_queries(claim, request), hosts, (False, True)):
        lines = "".join(f"{name}:{_header_value(request, name, host, collapse)}\n" for name in claim.signed_headers)
        # The pre-signed form puts a line of its own where the headers would stand.
        block = lines if claim.signed_queries is None or lines else "\n"
        path = quote_from_bytes(unquote_to_bytes(request.path), safe=f"/{_UNRESERVED}") or "/"
        names = ";".join(claim.signed_headers)
        yield "\n".join((request.method, path, query, block, names, request.body_sha256))


def _queries(claim: Claim, request: SignedRequest) -> Iterator[str]:
    pairs = parse_query(request.query)
    if claim.signed_queries is None:
        yield canonical_query(pairs)
        return
    listed = {name.encode() for name in claim.signed_queries}
    if not listed <= {key for key, _ in pairs}:
        _mismatch()
    yield canonical_query([pair for pair in pairs if pair[0] in listed])
    if claim.security_token is not None:
        yield canonical_query([pair for pair in pairs if pair[0] in {*listed, b"X-Security-Token"}])


def _hosts(request: SignedRequest, public_hosts: Sequence[str]) -> list[str]:
    host = request.header("host") or ""
    name, _, port = host.rpartition(":")
    bare = [name] if port in ("80", "443") else []
    return [host, *bare, *public_hosts]


def _header_value(request: SignedRequest, name: str, host: str, collapse: bool) -> str:
    if name == "host":
        return host
    value = request.header(name)
    if value is None:
        _mismatch()
    return " ".join(value.split()) if collapse else value.strip()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(";") if name)


def _unescape(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))


def _escape(value: bytes) -> str:
    return quote_from_bytes(value, safe=_UNRESERVED)


def _mismatch() -> NoReturn:
    raise ApiError(ErrorCode.SIGNATURE_MISMATCH)
