"""Signatures: every SDK's way of signing is accepted, and nothing else."""

import base64
import hashlib
import json
import random
import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamferry.web.compat.api_errors import ApiError, ErrorCode
from streamferry.web.compat.signature import SignedRequest, parse_query, read_claim, verify

VECTORS = json.loads((Path(__file__).parents[3] / "vectors/signed-requests.json").read_text())
SECRET: str = VECTORS["secret"]
NOW = datetime.strptime(VECTORS["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
NAMES = [one["name"] for one in VECTORS["requests"]]


def request_of(name: str) -> SignedRequest:
    """A vector as the server meets it."""
    one = next(one for one in VECTORS["requests"] if one["name"] == name)
    return SignedRequest(
        method=one["method"],
        query=one["query"].encode(),
        headers=[(key.encode(), value.encode()) for key, value in one["headers"]],
        body_sha256=hashlib.sha256(base64.b64decode(one["body"])).hexdigest(),
    )


def prove(
    request: SignedRequest, now: datetime = NOW, secret: str = SECRET, public_hosts: tuple[str, ...] = ()
) -> None:
    """What the server does: the secret is found by the key id, which is not in the signed text."""
    claim = read_claim(request)
    if claim.access_key_id != VECTORS["key_id"]:
        raise ApiError(ErrorCode.INVALID_ACCESS_KEY, claim.access_key_id)
    claim.check_time(now)
    verify(claim, request, secret, public_hosts)


def code_of(request: SignedRequest, now: datetime = NOW) -> str:
    with pytest.raises(ApiError) as caught:
        prove(request, now)
    return caught.value.code


def with_header(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    """The request with a header replaced, added, or taken away."""
    others = [pair for pair in request.headers if pair[0] != name.encode()]
    return replace(request, headers=others if value is None else [*others, (name.encode(), value.encode())])


@pytest.mark.parametrize("name", NAMES)
def test_what_an_sdk_signs_is_accepted(name: str) -> None:
    """Each SDK's order of headers, escapes, omissions and forms."""
    prove(request_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_another_secret_is_refused(name: str) -> None:
    """The same request is worth nothing under another secret."""
    with pytest.raises(ApiError, match="does not match") as caught:
        prove(request_of(name), secret=SECRET + "x")
    assert (caught.value.status, caught.value.number) == (401, 100010)


def test_a_thousand_forgeries_are_refused() -> None:
    """One change anywhere in what was signed, 1,000 times over all forms: none passes."""
    chance = random.Random(20260102)
    passed = []
    for count in range(1000):
        name = NAMES[count % len(NAMES)]
        forged = next(_forgeries(request_of(name), chance))
        try:
            prove(forged)
        except ApiError:
            continue
        passed.append((name, forged))
    assert passed == []


def _forgeries(request: SignedRequest, chance: random.Random) -> Iterator[SignedRequest]:
    """Requests that say something else than the one given."""
    pairs = [list(pair) for pair in request.headers]
    signed = read_claim(request).signed_headers
    targets = [pair for pair in pairs if pair[0].decode() in ("authorization", *signed)]
    while True:
        kind = chance.choice(("header", "query", "body", "method", "extra", "lost"))
        forged = request
        if kind == "header" and targets:
            name, value = chance.choice(targets)
            forged = with_header(request, name.decode(), _changed(value, chance).decode("latin-1"))
        elif kind == "query":
            forged = replace(request, query=_changed(request.query, chance))
        elif kind == "body":
            forged = replace(request, body_sha256=hashlib.sha256(chance.randbytes(8)).hexdigest())
        elif kind == "method":
            forged = replace(request, method=chance.choice(("PUT", "DELETE", "HEAD", "get")))
        elif kind == "extra":
            forged = replace(
                request, query=request.query + b"&" + chance.choice((b"Size=500", b"x=", b"X-Expires=9999"))
            )
        elif kind == "lost" and targets:
            forged = with_header(request, chance.choice(targets)[0].decode(), None)
        # Escapes have more than one spelling: what reads the same is no forgery.
        if (forged.headers, parse_query(forged.query)) != (request.headers, parse_query(request.query)) or (
            forged.body_sha256 != request.body_sha256 or forged.method != request.method
        ):
            yield forged


def _changed(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text))
    alphabet = (string.ascii_letters + string.digits + "%&=;/").encode()
    match chance.randrange(3):
        case 0:
            return text[:at] + text[at + 1 :] if text[at : at + 1].strip() else _changed(text, chance)
        case 1:
            return text[:at] + bytes([chance.choice(alphabet)]) + text[at:]
        case _:
            other = chance.choice([letter for letter in alphabet if letter != text[at]])
            return text[:at] + bytes([other]) + text[at + 1 :]


@pytest.mark.parametrize(
    ("age_s", "passes"), [(0, True), (899, True), (901, False), (-899, True), (-901, False), (-86400, False)]
)
def test_a_signature_lives_15_minutes_either_way(age_s: int, passes: bool) -> None:
    """Older ones have expired; ones from the future are no better."""
    now = NOW + timedelta(seconds=age_s)
    if passes:
        prove(request_of("go-get"), now)
    else:
        assert code_of(request_of("go-get"), now) == "InvalidTimestamp"


def test_x_expires_prolongs_a_signature() -> None:
    """For as long as the signed query says."""
    prove(request_of("with-expires"), NOW + timedelta(seconds=3599))
    assert code_of(request_of("with-expires"), NOW + timedelta(seconds=3601)) == "InvalidTimestamp"


@pytest.mark.parametrize("text", ["0", "-1", "604801", "1e3", "x", "９"])
def test_x_expires_out_of_range_is_refused(text: str) -> None:
    """A signature that never ends must not be asked for."""
    request = request_of("go-get")
    assert code_of(replace(request, query=request.query + f"&X-Expires={text}".encode())) in (
        "InvalidParam",
        "InvalidParam.BindError",
    )


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("authorization", None, "MissingAuthenticationToken"),
        ("authorization", "Bearer abc", "InvalidAuthorization"),
        ("authorization", "HMAC-SHA256 nonsense", "MissingSignature"),
        (
            "authorization",
            "HMAC-SHA256 Credential=AKLTexample/20260102/r/live/request, SignedHeaders=host",
            "MissingSignature",
        ),
        (
            "authorization",
            "HMAC-SHA256 Credential=AKLTexample/20260102/r/live/request, SignedHeaders=host, Signature=",
            "MissingSignature",
        ),
        ("authorization", "HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0", "InvalidCredential"),
        (
            "authorization",
            "HMAC-SHA256 Credential=AKLTexample/20260102/r/vod/request, SignedHeaders=host, Signature=0",
            "ServiceNotFound",
        ),
        (
            "authorization",
            "HMAC-SHA256 Credential=AKLTexample/20260103/r/live/request, SignedHeaders=host, Signature=0",
            "InvalidCredential",
        ),
        ("x-date", None, "MissingRequestInfo"),
        ("x-date", "20260102T030405+0800", "InvalidTimestamp"),
        ("x-date", "20260102T036105Z", "InvalidTimestamp"),
        ("x-content-sha256", "0" * 64, "SignatureDoesNotMatch"),
    ],
)
def test_malformed_claims_have_their_own_codes(header: str, value: str | None, code: str) -> None:
    """What is missing or wrong is said with the gateway's code."""
    assert code_of(with_header(request_of("python-get"), header, value)) == code


def test_an_unsigned_content_hash_that_is_wrong_is_refused() -> None:
    """PHP sends none; a wrong one added on the way must not pass for the body's."""
    assert code_of(with_header(request_of("php-post"), "x-content-sha256", "0" * 64)) == "SignatureDoesNotMatch"


def test_a_header_given_twice_is_refused() -> None:
    """Two values of a signed header: which one was meant cannot be told."""
    request = request_of("go-get")
    assert code_of(replace(request, headers=[*request.headers, (b"host", b"other")])) == "InvalidAuthorization"


def test_a_query_name_given_twice_is_refused() -> None:
    """Whichever value was signed, the other could be the one that is read."""
    request = request_of("go-get")
    assert code_of(replace(request, query=request.query + b"&Size=500")) == "InvalidParam"


def test_behind_a_proxy_the_public_name_is_what_was_signed() -> None:
    """The proxy put its own Host; a public name of the settings is tried too."""
    request = with_header(request_of("go-get"), "host", "10.0.0.5:8080")
    with pytest.raises(ApiError):
        prove(request)
    prove(request, public_hosts=("live.example.com:8080",))


def test_a_presigned_query_holds_nothing_unsigned() -> None:
    """A parameter that the list leaves out is refused, not ignored."""
    request = request_of("go-presigned")
    assert code_of(replace(request, query=request.query + b"&GroupName=x")) == "SignatureDoesNotMatch"


def test_a_presigned_query_is_for_get_without_a_body() -> None:
    """Nobody signed a body there."""
    request = request_of("node-presigned")
    assert code_of(replace(request, method="POST")) == "InvalidAuthorization"
    assert code_of(replace(request, body_sha256="0" * 64)) == "InvalidAuthorization"
