"""The ``authmod`` challenges by which some CDNs ask for a user name: Adobe's (Akamai) and Limelight's.

No specification is public. The exchange is the one of librtmp and ffmpeg: the server refuses ``connect`` with a
description, the client connects again with an answer appended as a query to ``app`` and ``tcUrl``, twice:

    refused with "code=403 need auth; authmod=M"         ?authmod=M&user=U
    refused with "authmod=M ?reason=needauth&salt=..."   ?authmod=M&user=U&response=...
    refused with "?reason=nosuchuser" or "authfailed"    none: the credentials are wrong

MD5 is what the scheme prescribes. The password is not sent; the answer is worth as much as one until the session ends.
"""

from base64 import b64encode
from hashlib import md5
from urllib.parse import quote, unquote

from streamferry.media.url import MediaUrl

_ENDS_A_FIELD = "&#%"
_REALM, _METHOD, _QUALITY, _COUNT = "live", "publish", "auth", "00000001"


def is_challenge(description: str) -> bool:
    """True if a refusal's description is of one of these schemes."""
    return "authmod=adobe" in description or "authmod=llnw" in description


def login_answer(challenge: str, url: MediaUrl, app: str, *, given: str, random: bytes) -> str | None:
    """What to append to ``app`` and ``tcUrl`` at the next attempt, by the credentials of an address.

    None if it has none, the server has refused for good, or asks again for what it was ``given``.
    """
    username, password = url.username, url.password
    if not username or not password:
        return None
    answer = answer_challenge(challenge, app, unquote(username), unquote(password), random)
    return None if answer is None or "&response=" in given or (given and "&response=" not in answer) else answer


def answer_challenge(description: str, app: str, username: str, password: str, random: bytes) -> str | None:
    """The answer, or None if the server has refused for good."""
    scheme = "adobe" if "authmod=adobe" in description else "llnw"
    if "code=403 need auth" in description:
        return f"?authmod={scheme}&user={_in_query(username)}"
    _, found, challenge = description.partition("?reason=needauth")
    if not found:
        return None
    fields = dict(field.partition("=")[::2] for field in challenge.strip().split("&") if field)
    own_challenge = random[:4].hex()
    if scheme == "adobe":
        return _answer_adobe(fields, username, password, own_challenge)
    return _answer_limelight(fields, app, username, password, own_challenge)


def _answer_adobe(fields: dict[str, str], username: str, password: str, own_challenge: str) -> str:
    user = fields.get("user", username)
    if unquote(user) == username:
        user = username
    opaque = fields.get("opaque")
    peer_challenge = opaque if opaque is not None else fields.get("challenge", "")
    salted = _md5_base64(user + fields.get("salt", "") + password)
    response = _md5_base64(salted + peer_challenge + own_challenge)
    answer = f"?authmod=adobe&user={_in_query(user)}&challenge={own_challenge}&response={response}"
    return answer if opaque is None else f"{answer}&opaque={opaque}"


def _answer_limelight(fields: dict[str, str], app: str, username: str, password: str, own_challenge: str) -> str:
    nonce = fields.get("nonce", "")
    place = app if "/" in app else f"{app}/_definst_"
    identity = _md5_hex(f"{username}:{_REALM}:{password}")
    request = _md5_hex(f"{_METHOD}:/{place}")
    response = _md5_hex(f"{identity}:{nonce}:{_COUNT}:{own_challenge}:{_QUALITY}:{request}")
    return (
        f"?authmod=llnw&user={_in_query(username)}&nonce={nonce}&cnonce={own_challenge}&nc={_COUNT}&response={response}"
    )


def _in_query(user: str) -> str:
    """As librtmp and ffmpeg send it, which is as it is, but for what would end the field or read as an escape."""
    return "".join(quote(c) if c in _ENDS_A_FIELD else c for c in user)


def _md5_base64(text: str) -> str:
    return b64encode(md5(text.encode(), usedforsecurity=False).digest()).decode()


def _md5_hex(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
