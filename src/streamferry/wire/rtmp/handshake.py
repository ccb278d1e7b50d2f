"""The RTMP handshake, both sides, plain and in the digest form. Not the encrypted one (RTMPE, version byte 6).

Specification: Adobe RTMP 1.0, section 5.2, for the plain form: each side sends a version byte and 1536 bytes (time,
zero, random), and echoes the other's. The digest form is not in it; it is what Flash Player 9 and its servers speak and
some CDNs insist on: an HMAC-SHA256 digest hides in the 1536 bytes at a place computed from four of them, in one of two
layouts ("schemas"), and the answer ends with a digest keyed by the peer's.

We follow ffmpeg and SRS: a client always sends the digest form, which plain servers take for random bytes, and each
side answers a digest with a digest and anything else with the echo. Answers are not verified: nothing depends on them.
"""

from hashlib import sha256, shake_256
from hmac import compare_digest, new

from streamferry.media.errors import RemoteProtocolError
from streamferry.reasons import Code

#: The version byte, C0 and S0.
VERSION = 3
# What a server of TLS answers to anything else: an alert (RFC 8446, 5.1).
_TLS_ALERT = 0x15
#: Size of C1, C2, S1 and S2.
PACKET_BYTES = 1536
#: What a client sends first (C0, C1) and waits for (S0, S1).
HELLO_BYTES = 1 + PACKET_BYTES

_DIGEST_BYTES = 32
# Keys of the digest form: 30 and 36 bytes of text sign a hello, the whole of 62 and 68 bytes an answer.
_KEY_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_CLIENT_KEY = b"Genuine Adobe Flash Player 001"
_SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
# Versions in bytes 4 to 7. Not zero says "digest form". Flash Player 9.0.124.2 and Flash Media Server 4.5.0.1.
_CLIENT_VERSION = bytes((9, 0, 124, 2))
_SERVER_VERSION = bytes((4, 5, 0, 1))
# Where the four bytes of the digest's offset stand in each schema; the digest is within the 728 bytes after them.
_OFFSET_PLACES = (8, 772)
_OFFSET_RANGE = 728


def check_version(first_byte: int) -> None:
    """Check C0 or S0 as soon as it is there. Raises RemoteProtocolError if the peer speaks something else."""
    if first_byte == _TLS_ALERT:
        raise RemoteProtocolError(Code.PROTOCOL_RTMPS)
    if first_byte != VERSION:
        raise RemoteProtocolError(Code.PROTOCOL_NOT_RTMP, first_byte=first_byte, version=VERSION)


def client_hello(random: bytes, time_ms: int = 0) -> bytes:
    """C0 and C1 with a digest. ``random`` is a seed of any length, stretched as needed."""
    return bytes((VERSION,)) + _hello(_CLIENT_KEY, _CLIENT_VERSION, random, time_ms, _OFFSET_PLACES[0])


def client_answer(server_hello: "bytes | memoryview", random: bytes) -> bytes:
    """C2 for S0 and S1."""
    hello = bytes(server_hello[1:HELLO_BYTES])
    found = _find_digest(hello, _SERVER_KEY)
    return hello if found is None else _signed_answer(_CLIENT_KEY, found[0], random)


def server_hello_and_answer(client_hello: "bytes | memoryview", random: bytes, time_ms: int = 0) -> bytes:
    """S0, S1 and S2 for C0 and C1, in the client's form."""
    hello = bytes(client_hello[1:HELLO_BYTES])
    found = _find_digest(hello, _CLIENT_KEY)
    if found is None:
        plain = time_ms.to_bytes(4, "big") + bytes(4) + _stretch(random, PACKET_BYTES - 8)
        return bytes((VERSION,)) + plain + hello
    digest, offset_place = found
    signed = _hello(_SERVER_KEY, _SERVER_VERSION, random, time_ms, offset_place)
    return bytes((VERSION,)) + signed + _signed_answer(_SERVER_KEY, digest, random)


def _stretch(random: bytes, size_bytes: int) -> bytes:
    return shake_256(random).digest(size_bytes)


def _hmac(key: bytes, message: bytes) -> bytes:
    return new(key, message, sha256).digest()


def _digest_place(packet: "bytes | bytearray", offset_place: int) -> int:
    return sum(packet[offset_place : offset_place + 4]) % _OFFSET_RANGE + offset_place + 4


def _digest_of(packet: "bytes | bytearray", place: int, key: bytes) -> bytes:
    return _hmac(key, bytes(packet[:place] + packet[place + _DIGEST_BYTES :]))


def _find_digest(packet: bytes, key: bytes) -> tuple[bytes, int] | None:
    """The digest in a hello and its schema's offset place, or None for the plain form."""
    for offset_place in _OFFSET_PLACES:
        place = _digest_place(packet, offset_place)
        digest = packet[place : place + _DIGEST_BYTES]
        if compare_digest(digest, _digest_of(packet, place, key)):
            return digest, offset_place
    return None


def _hello(key: bytes, version: bytes, random: bytes, time_ms: int, offset_place: int) -> bytes:
    packet = bytearray(time_ms.to_bytes(4, "big") + version + _stretch(random, PACKET_BYTES - 8))
    place = _digest_place(packet, offset_place)
    packet[place : place + _DIGEST_BYTES] = _digest_of(packet, place, key)
    return bytes(packet)


def _signed_answer(key: bytes, peer_digest: bytes, random: bytes) -> bytes:
    body = _stretch(b"answer" + random, PACKET_BYTES - _DIGEST_BYTES)
    return body + _hmac(_hmac(key + _KEY_TAIL, peer_digest), body)
