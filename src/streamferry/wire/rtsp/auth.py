"""Authentication of requests: digest and basic, as cameras ask for it.

Of several challenges the strongest that is known is answered. The credentials are sent in no other way than was asked
for, and the password only to a server that knows nothing but basic.

Specification: RFC 7616 (digest; MD5 as in RFC 2617), RFC 7617 (basic), RFC 2326, 14.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

# By strength. Others (SHA-512-256) are known by nobody who makes cameras.
_ALGORITHMS: dict[str, Callable[[bytes], "hashlib._Hash"]] = {
    "SHA-256": hashlib.sha256,
    "SHA-256-SESS": hashlib.sha256,
    "MD5": hashlib.md5,
    "MD5-SESS": hashlib.md5,
}
_SCHEME = re.compile(r"(?:^|[\n,])\s*(Digest|Basic)(?=\s|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'(?<![a-zA-Z-])([a-zA-Z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_MAX_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that the server takes. ``algorithm`` is empty for basic."""

    realm: str
    nonce: str = ""
    algorithm: str = ""
    #: As the server wrote it; empty: it did not.
    algorithm_text: str = ""
    opaque: str | None = None
    has_qop: bool = False
    is_stale: bool = False


def parse_challenges(text: str) -> list[Challenge]:
    """Those of a WWW-Authenticate field that are known, the strongest first; several lines are one after another."""
    text = text[:_MAX_CHARS]
    begins = list(_SCHEME.finditer(text))
    found: list[Challenge] = []
    for number, begin in enumerate(begins):
        end = begins[number + 1].start() if number + 1 < len(begins) else len(text)
        values = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(text[begin.end() : end])
        }
        realm = values.get("realm", "")
        if begin[1].lower() == "basic":
            found.append(Challenge(realm))
            continue
        algorithm = values.get("algorithm", "MD5").upper()
        qops = [one.strip() for one in values.get("qop", "").lower().split(",")]
        if algorithm not in _ALGORITHMS or (any(qops) and "auth" not in qops):
            continue
        found.append(
            Challenge(
                realm,
                values.get("nonce", ""),
                algorithm,
                values.get("algorithm", ""),
                values.get("opaque"),
                "auth" in qops,
                values.get("stale", "").lower() == "true",
            )
        )
    order = list(_ALGORITHMS)
    return sorted(found, key=lambda one: order.index(one.algorithm) if one.algorithm else len(order))


class Authenticator:
    """Answers one challenge for one user after another request; counts as the server does."""

    def __init__(self, challenge: Challenge, user: str, password: str, client_nonce: str) -> None:
        """``client_nonce``: random characters."""
        self._challenge = challenge
        self._user, self._password = user, password
        self._client_nonce = client_nonce
        self._count = 0

    def authorization(self, method: str, url: str) -> str:
        """The Authorization field of a request."""
        challenge = self._challenge
        if not challenge.algorithm:
            return "Basic " + b64encode(f"{self._user}:{self._password}".encode()).decode()
        self._count += 1
        count = f"{self._count:08x}"
        secret = self._hash(f"{self._user}:{challenge.realm}:{self._password}")
        if challenge.algorithm.endswith("-SESS"):
            secret = self._hash(f"{secret}:{challenge.nonce}:{self._client_nonce}")
        asked = self._hash(f"{method}:{url}")
        if challenge.has_qop:
            response = self._hash(f"{secret}:{challenge.nonce}:{count}:{self._client_nonce}:auth:{asked}")
        else:
            response = self._hash(f"{secret}:{challenge.nonce}:{asked}")
        told = [
            f'username="{_quoted(self._user)}"',
            f'realm="{_quoted(challenge.realm)}"',
            f'nonce="{_quoted(challenge.nonce)}"',
            f'uri="{_quoted(url)}"',
            f'response="{response}"',
        ]
        if challenge.algorithm_text:
            told.append(f"algorithm={challenge.algorithm_text}")
        if challenge.opaque is not None:
            told.append(f'opaque="{_quoted(challenge.opaque)}"')
        if challenge.has_qop:
            told += ["qop=auth", f"nc={count}"]
        if challenge.has_qop or challenge.algorithm.endswith("-SESS"):
            told.append(f'cnonce="{self._client_nonce}"')
        return "Digest " + ", ".join(told)

    def _hash(self, text: str) -> str:
        return _ALGORITHMS[self._challenge.algorithm](text.encode()).hexdigest()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
