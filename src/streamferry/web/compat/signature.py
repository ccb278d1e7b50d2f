"""Signature V4 ("HMAC-SHA256") as the cloud's SDKs make it: reading what a request claims, and proving it. Pure.

A request is proved by building the text that the client says it signed and comparing the HMAC. Theory of operation:

    method, path, sorted query, the signed headers, the names of the signed headers, sha256 of the body

one per line, hashed, joined to algorithm, time and scope, and signed with a key derived from secret, day, region and
service. Two forms: the ``Authorization`` header, and for GET a pre-signed query. SDKs differ in details, so a claim has
a few candidate texts, all of which describe the same request:

- Python, Go, Java and the universal client sign ``Host`` without ``:80`` and ``:443``; PHP signs what it sends; Node
  signs no Host. Behind a proxy the client signed the public name.
- Node and PHP collapse white space inside a header, Python does not. Header names come in the order of SignedHeaders:
  the Go demo does not sort them.
- Python signs ``X-Security-Token`` in a pre-signed query without listing it.

The body's hash is always our own: a different ``X-Content-Sha256`` is refused. A request with that header can be proved
by its head alone, before a byte of the body is read.

Until then the sender is unknown, so the work it can cause is bounded: headers are read once into a
table, ``MAX_SIGNED_HEADERS`` names may be signed, none of them twice, and a candidate is as long as the head at most.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NoReturn
from urllib.parse import quote_from_bytes, unquote_to_bytes

from streamferry.web.compat.api_errors import ApiError, ErrorCode

ALGORITHM = "HMAC-SHA256"
SERVICE = "live"
#: Valid this long if X-Expires says nothing; a signature from the future is refused beyond it too.
DEFAULT_EXPIRES_S = 900
#: The longest validity of a pre-signed address: that of the longest window of a task.
MAX_EXPIRES_S = 7 * 86400
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
#: The SDKs sign six at most; callers may add some of their own.
MAX_SIGNED_HEADERS = 32
#: Names in one query: an action has a dozen, and a pre-signed one eight more.
MAX_QUERY_NAMES = 64
#: A list of titles and groups, or a session token of some KB.
MAX_QUERY_BYTES = 16 * 1024
_TIME_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TIME_WORDS = " X-Date must be a time in UTC, written as 20260131T235900Z."
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
    """A request as received: ``query`` raw, header names in lower case, ``body_sha256`` hex of the body as received."""

    method: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body_sha256: str = EMPTY_SHA256
    path: str = "/"
    _table: dict[str, str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the headers, once: name -> value, and None for one that came twice."""
        table: dict[str, str | None] = {}
        for raw_name, raw_value in self.headers:
            name = raw_name.decode("latin-1")
            table[name] = None if name in table else raw_value.decode("latin-1")
        object.__setattr__(self, "_table", table)

    def header(self, name: str) -> str | None:
        """Value of a header, None if absent. A header given twice has no one meaning: InvalidAuthorization."""
        value = self._table.get(name)
        if value is None and name in self._table:
            raise ApiError(ErrorCode.INVALID_AUTHORIZATION)
        return value

    def told_sha256(self) -> str | None:
        """The client's hash of the body, None if it sent none. Raises ApiError if it is not a hash."""
        told = self.header("x-content-sha256")
        if told is not None and not _SHA256_HEX.fullmatch(told):
            _mismatch("X-Content-Sha256 must be 64 lower-case hex digits")
        return told

    def check_told(self) -> None:
        """Refuse a body that does not match the client's hash."""
        if self.told_sha256() not in (None, self.body_sha256):
            _mismatch("the body that arrived is not the one that X-Content-Sha256 tells of")


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a signature: by whom, of what, and when. ``signed_queries`` is None in the header form."""

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

    def check_time(self, now: datetime, at_most_s: int = MAX_EXPIRES_S) -> None:
        """Refuse what has expired or comes from the future, naming both clocks. ``at_most_s`` bounds its validity."""
        age, valid_s = now - self.signed_at, min(self.expires_s, at_most_s)
        if age > timedelta(seconds=valid_s) or age < -timedelta(seconds=DEFAULT_EXPIRES_S):
            raise ApiError(ErrorCode.INVALID_TIMESTAMP, _tell_clocks(self.signed_at, now, valid_s))

    def valid_s(self, now: datetime, at_most_s: int = MAX_EXPIRES_S) -> float:
        """For how long it is still valid, in seconds. ``at_most_s`` as above."""
        return (self.signed_at - now).total_seconds() + min(self.expires_s, at_most_s)


def parse_query(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The query read as form data, in the order given. Raises ApiError if it names too much."""
    if len(raw) > MAX_QUERY_BYTES:
        raise ApiError(ErrorCode.QUERY_TOO_LONG, MAX_QUERY_BYTES)
    pieces = raw.split(b"&", MAX_QUERY_NAMES)
    if len(pieces) > MAX_QUERY_NAMES:
        raise ApiError(ErrorCode.BIND_ERROR, f"the query has more than {MAX_QUERY_NAMES} parameters")
    pairs = (piece.partition(b"=") for piece in pieces if piece)
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
    request.check_told()
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
        signed_headers=_header_names(found["headers"]),
        signature=_read_signature(found["sign"]),
        security_token=request.header("x-security-token"),
        expires_s=_read_expires(query.get("X-Expires")),
    )


def _read_query_claim(request: SignedRequest, query: dict[str, str]) -> Claim:
    if query.get("X-Algorithm") != ALGORITHM or request.method != "GET" or request.body_sha256 != EMPTY_SHA256:
        raise ApiError(ErrorCode.INVALID_AUTHORIZATION)
    access_key_id, day, region = _read_credential(query.get("X-Credential", ""))
    listed = _query_names(query.get("X-SignedQueries", ""))
    if not query.keys() <= {*listed, *_NEVER_LISTED} or "X-Signature" in listed:
        _mismatch("the query holds parameters that X-SignedQueries does not list")
    return Claim(
        access_key_id=access_key_id,
        signed_at=_read_time(query.get("X-Date"), day),
        region=region,
        signed_headers=_header_names(query.get("X-SignedHeaders", "")),
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
        raise ApiError(ErrorCode.INVALID_TIMESTAMP, _TIME_WORDS)
    if day != text[:8]:
        raise ApiError(ErrorCode.INVALID_CREDENTIAL)
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(ErrorCode.INVALID_TIMESTAMP, _TIME_WORDS) from None


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
    path = quote_from_bytes(unquote_to_bytes(request.path), safe=f"/{_UNRESERVED}") or "/"
    names = ";".join(claim.signed_headers)
    signed = [(name, _signed_value(request, name)) for name in claim.signed_headers]
    plain = {name: value.strip() for name, value in signed}
    collapsed = {name: " ".join(value.split()) for name, value in signed}
    for query, host, values in product(_queries(claim, request), hosts, (plain, collapsed)):
        lines = "".join(f"{name}:{host if name == 'host' else value}\n" for name, value in values.items())
        # The pre-signed form has a fixed line in place of the headers.
        block = lines if claim.signed_queries is None or lines else "\n"
        yield "\n".join((request.method, path, query, block, names, request.body_sha256))


def _queries(claim: Claim, request: SignedRequest) -> Iterator[str]:
    pairs = parse_query(request.query)
    if claim.signed_queries is None:
        yield canonical_query(pairs)
        return
    listed = {name.encode() for name in claim.signed_queries}
    if not listed <= {key for key, _ in pairs}:
        _mismatch("X-SignedQueries lists parameters that the query does not hold")
    yield canonical_query([pair for pair in pairs if pair[0] in listed])
    if claim.security_token is not None:
        yield canonical_query([pair for pair in pairs if pair[0] in {*listed, b"X-Security-Token"}])


def _hosts(request: SignedRequest, public_hosts: Sequence[str]) -> list[str]:
    host = request.header("host") or ""
    name, _, port = host.rpartition(":")
    bare = [name] if port in ("80", "443") else []
    return list(dict.fromkeys((host, *bare, *public_hosts)))


def _signed_value(request: SignedRequest, name: str) -> str:
    value = request.header(name)
    if value is None and name != "host":
        _mismatch(f"the header {name[:64]} is among the signed ones, and not in the request")
    return value or ""


def _header_names(text: str) -> tuple[str, ...]:
    """Names of SignedHeaders. Raises ApiError for too many, or for one that comes twice."""
    names = tuple(name for name in text.split(";", MAX_SIGNED_HEADERS) if name)
    if len(set(names)) < len(names) or ";" in "".join(names) or len(names) > MAX_SIGNED_HEADERS:
        raise ApiError(ErrorCode.INVALID_AUTHORIZATION)
    return names


def _query_names(text: str) -> tuple[str, ...]:
    """Names of X-SignedQueries, which cannot be more than the query's."""
    return tuple(name for name in text.split(";", MAX_QUERY_NAMES) if name)


def _unescape(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))


def _escape(value: bytes) -> str:
    return quote_from_bytes(value, safe=_UNRESERVED)


def _mismatch(detail: str = "") -> NoReturn:
    """``detail``: what is known to be wrong; it reveals no secret."""
    raise ApiError(ErrorCode.SIGNATURE_MISMATCH, f" In this case: {detail}." if detail else "")


def _tell_clocks(signed_at: datetime, now: datetime, valid_s: int) -> str:
    gap_s = round((signed_at - now).total_seconds())
    return (
        f" It was signed at {signed_at:%Y-%m-%dT%H:%M:%SZ} by the client's clock and is valid for {valid_s} s; it is "
        f"{now:%Y-%m-%dT%H:%M:%SZ} here. The client's clock is {timedelta(seconds=abs(gap_s))} "
        f"{'ahead' if gap_s > 0 else 'behind'}, or X-Date is not in UTC, or the request was sent late."
    )
