"""Temporary keys: what an SDK makes from the long-term secret is honoured, and narrowed by its policy."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from streamferry.web.compat.api_errors import ApiError
from streamferry.web.compat.sts import StsToken

SECRET = "long-term-secret"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
TEMPORARY_SECRET = "temporary-secret-of-some-length"


def token(policy: object = None, expires_in: int = 60, **changes: object) -> str:
    """A token as the SDKs make it, with parts changed after signing."""
    key = hashlib.md5(SECRET.encode()).digest()
    padded = TEMPORARY_SECRET.encode().ljust(-(-len(TEMPORARY_SECRET) // 16) * 16, b"\0")
    cipher = Cipher(algorithms.AES(key), modes.CBC(key)).encryptor()
    parts = {
        "LTAccessKeyId": "AKLT1",
        "AccessKeyId": "AKTP1",
        "ExpiredTime": int(NOW.timestamp()) + expires_in,
        "SignedSecretAccessKey": base64.b64encode(cipher.update(padded) + cipher.finalize()).decode(),
        "PolicyString": "" if policy is None else json.dumps(policy),
    }
    parts["Signature"] = hmac.new(key, "|".join(map(str, parts.values())).encode(), hashlib.sha256).hexdigest()
    return "STS2" + base64.b64encode(json.dumps({**parts, **changes}).encode()).decode()


def allow(actions: object, resources: object = ("*",), effect: str = "Allow", **more: object) -> dict[str, object]:
    return {"Statement": [{"Effect": effect, "Action": actions, "Resource": list(resources), **more}]}


def test_the_temporary_secret_is_recovered() -> None:
    """With the long-term secret alone: nothing is stored for it."""
    read = StsToken.parse(token())
    assert read.long_term_key_id == "AKLT1"
    assert read.open_secret(SECRET, "AKTP1", NOW) == TEMPORARY_SECRET


@pytest.mark.parametrize(
    "changes",
    [
        {"LTAccessKeyId": "AKLT2"},
        {"AccessKeyId": "AKTP2"},
        {"ExpiredTime": 2**40},
        {"PolicyString": "{}"},
        {"SignedSecretAccessKey": base64.b64encode(bytes(16)).decode()},
        {"Signature": "0" * 64},
        {"Signature": ""},
    ],
)
def test_a_changed_token_is_refused(changes: dict[str, object]) -> None:
    """Every part is under the signature."""
    with pytest.raises(ApiError, match="signature is wrong"):
        StsToken.parse(token(**changes)).open_secret(SECRET, "AKTP1", NOW)


def test_a_token_ends_and_belongs_to_its_key() -> None:
    """Expired ones and ones of another temporary key are refused."""
    with pytest.raises(ApiError, match="expired"):
        StsToken.parse(token(expires_in=0)).open_secret(SECRET, "AKTP1", NOW)
    with pytest.raises(ApiError, match="another access key"):
        StsToken.parse(token()).open_secret(SECRET, "AKTP2", NOW)
    with pytest.raises(ApiError, match="signature is wrong"):
        StsToken.parse(token()).open_secret("other", "AKTP1", NOW)


@pytest.mark.parametrize(
    "text",
    [
        *("", "abc", "STS2", "STS2!!", "STS2" + "A" * 20000),
        *("STS2" + base64.b64encode(json_text).decode() for json_text in (b"[]", b"1", b"{}")),
        *(token(ExpiredTime="1"), token(Signature=5), token(AccessKeyId="a\nb")),
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """With a code of its own, never with a traceback."""
    with pytest.raises(ApiError) as caught:
        StsToken.parse(text)
    assert caught.value.code == "InvalidSecretToken"


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (None, True),
        (allow(["*"]), True),
        (allow("live:*"), True),
        (allow(["live:List*"]), True),
        (allow(["live:ListPullToPushTask"], ["trn:live:*:*:*"]), True),
        (allow(["live:CreatePullToPushTask"]), False),
        (allow(["vod:*"]), False),
        (allow(["live:*"], ["trn:live:cn:1:task/5"]), False),
        (allow(["live:*"], Condition={"IpAddress": {}}), False),
        (allow(["live:*"], [""]), False),
        (allow(["live:*"], ""), False),
        (allow(["live:*"], [], NotResource=["trn:live:*:*:task/5"]), False),
        (allow(["live:*"], NotResource="*"), False),
        (allow(["live:*"], Principal={"IAM": ["x"]}), False),
        (allow(["live:*"], Sid="named"), True),
        ({"Statement": [{"Effect": "Allow", "NotAction": "live:Delete*", "Resource": "*"}]}, False),
        ({"Statement": [{"Effect": "Allow", "NotResource": "trn:live:*:*:task/5", "Action": "*"}]}, False),
        (
            {"Statement": [*allow(["*"])["Statement"], *allow(["*"], effect="Deny", NotResource="x")["Statement"]]},
            False,
        ),
        ({"Statement": [*allow(["*"])["Statement"], *allow(["live:List*"], effect="Deny")["Statement"]]}, False),
        ({}, False),
        ([], False),
        ({"Statement": [1]}, False),
    ],
)
def test_the_policy_narrows(policy: object, allowed: bool) -> None:
    """Nothing is allowed that no statement allows in general, and a denial wins."""
    assert StsToken.parse(token(policy)).allows("ListPullToPushTask") is allowed
