"""The challenges by which CDNs ask for a user name. Expected values computed by hand with md5sum and base64."""

from base64 import b64encode
from hashlib import md5

from streamferry.wire.rtmp.auth import answer_challenge, is_challenge

FIRST = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
NEED = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=s1&challenge=c1&opaque=o1"


def base64_of_md5(text: str) -> str:
    return b64encode(md5(text.encode()).digest()).decode()


def test_a_refusal_is_recognised_as_a_challenge() -> None:
    """By its authmod, Adobe's and Limelight's."""
    assert is_challenge(FIRST)
    assert is_challenge("[ code=403 need auth; authmod=llnw ]")
    assert not is_challenge("Connection failed")


def test_the_first_round_names_the_user() -> None:
    """The server then answers with a salt."""
    assert answer_challenge(FIRST, "live", "me", "pw", b"\x01\x02\x03\x04") == "?authmod=adobe&user=me"


def test_the_second_round_of_adobe() -> None:
    """base64(md5(base64(md5(user + salt + password)) + opaque + own challenge))."""
    response = base64_of_md5(base64_of_md5("mes1pw") + "o1" + "01020304")
    assert answer_challenge(NEED, "live", "me", "pw", b"\x01\x02\x03\x04") == (
        f"?authmod=adobe&user=me&challenge=01020304&response={response}&opaque=o1"
    )


def test_adobe_without_opaque_uses_the_challenge() -> None:
    """And then sends no opaque."""
    response = base64_of_md5(base64_of_md5("mes1pw") + "c1" + "01020304")
    assert answer_challenge(NEED.replace("&opaque=o1", ""), "live", "me", "pw", b"\x01\x02\x03\x04") == (
        f"?authmod=adobe&user=me&challenge=01020304&response={response}"
    )


def test_the_second_round_of_limelight() -> None:
    """HTTP digest with the realm live and the method publish."""
    identity = md5(b"me:live:pw").hexdigest()
    request = md5(b"publish:/live/_definst_").hexdigest()
    response = md5(f"{identity}:n1:00000001:01020304:auth:{request}".encode()).hexdigest()
    challenge = "[ authmod=llnw ] : ?reason=needauth&user=me&nonce=n1"
    assert answer_challenge(challenge, "live", "me", "pw", b"\x01\x02\x03\x04") == (
        f"?authmod=llnw&user=me&nonce=n1&cnonce=01020304&nc=00000001&response={response}"
    )


def test_wrong_credentials_are_final() -> None:
    """There is no answer to nosuchuser and authfailed."""
    for reason in ("nosuchuser", "authfailed"):
        assert answer_challenge(f"[ authmod=adobe ] : ?reason={reason}", "live", "me", "pw", b"1234") is None


def test_odd_challenges_do_not_break() -> None:
    """Fields without value, or none."""
    for fields in ("", "&", "&salt", "&salt=&user"):
        assert answer_challenge(f"authmod=adobe ?reason=needauth{fields}", "live", "me", "pw", b"1234")
