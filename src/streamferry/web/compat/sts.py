"""STS2 tokens: temporary keys that the SDKs make by themselves, signed with a long-term secret. Pure.

The token contains the long-term key's id, the temporary key, its secret (encrypted) and a policy, under an HMAC. The
temporary secret can be recovered with the long-term one, so nothing is stored. The ciphers are given by the format.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from streamferry.web.compat.api_errors import ApiError, ErrorCode

_PREFIX = "STS2"
_MAX_CHARS = 16 * 1024
_BLOCK_BYTES = 16
#: Members of a statement that are understood; NotResource, NotAction and Principal are not.
_PLAIN = frozenset(("Sid", "Effect", "Action", "Resource", "Condition"))


@dataclass(frozen=True, slots=True)
class StsToken:
    """The content of a token; none of it is proved before :meth:`open_secret`."""

    long_term_key_id: str
    access_key_id: str
    encrypted_secret: str
    expires_at: int
    policy: str
    signature: str

    @classmethod
    def parse(cls, text: str) -> "StsToken":
        """Read a token. Raises ApiError InvalidSecretToken."""
        if not text.startswith(_PREFIX) or len(text) > _MAX_CHARS:
            _refuse("it is not an STS2 token")
        try:
            told = json.loads(base64.b64decode(text.removeprefix(_PREFIX), validate=True))
            token = cls(
                long_term_key_id=told["LTAccessKeyId"],
                access_key_id=told["AccessKeyId"],
                encrypted_secret=told["SignedSecretAccessKey"],
                expires_at=told["ExpiredTime"],
                policy=told.get("PolicyString") or "",
                signature=told["Signature"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            _refuse("it cannot be read")
        texts = (token.long_term_key_id, token.access_key_id, token.encrypted_secret, token.policy, token.signature)
        if not all(isinstance(part, str) and part.isprintable() for part in texts) or type(token.expires_at) is not int:
            _refuse("it cannot be read")
        return token

    def open_secret(self, long_term_secret: str, access_key_id: str, now: datetime) -> str:
        """Prove the token with the long-term secret; returns the temporary one. Raises ApiError InvalidSecretToken."""
        key = hashlib.md5(long_term_secret.encode()).digest()
        parts = (self.long_term_key_id, self.access_key_id, self.expires_at, self.encrypted_secret, self.policy)
        expected = hmac.digest(key, "|".join(map(str, parts)).encode("utf-8", "replace"), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), self.signature.encode("utf-8", "replace")):
            _refuse("its signature is wrong")
        if self.access_key_id != access_key_id:
            _refuse("it belongs to another access key")
        if now.timestamp() >= self.expires_at:
            _refuse("it has expired")
        try:
            sealed = base64.b64decode(self.encrypted_secret, validate=True)
            if not sealed or len(sealed) % _BLOCK_BYTES:
                _refuse("it cannot be read")
            cipher = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
            return (cipher.update(sealed) + cipher.finalize()).rstrip(b"\0").decode()
        except ValueError:
            _refuse("it cannot be read")

    def allows(self, action: str) -> bool:
        """True if the token's policy lets its holder call an action. A token without a policy restricts nothing.

        A statement about certain resources or under a condition grants nothing, because neither can be decided here;
        a denial always applies.
        """
        if not self.policy:
            return True
        try:
            statements = json.loads(self.policy)["Statement"]
            matching = [one for one in statements if _matches(one["Action"], action)]
            denied = any(one["Effect"] != "Allow" for one in matching)
            return not denied and any(_is_general(one) for one in matching)
        except (ValueError, KeyError, TypeError, RecursionError):
            return False


def _matches(patterns: Any, action: str) -> bool:
    names = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(f"live:{action}", pattern) for pattern in names)


def _is_general(statement: Any) -> bool:
    """Whether it applies to every resource unconditionally; an unknown member may limit it."""
    resources = statement.get("Resource", "*")
    names = [resources] if isinstance(resources, str) else resources
    is_plain = statement.keys() <= _PLAIN and not statement.get("Condition")
    return is_plain and any(name and set(name.removeprefix("trn:live:")) <= set("*:/") for name in names)


def _refuse(reason: str) -> NoReturn:
    raise ApiError(ErrorCode.INVALID_SECRET_TOKEN, reason)
