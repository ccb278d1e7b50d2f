"""The RTMP handshake, plain and with digests. tests/unit/wire/test_captures.py checks it against real programs."""

from hashlib import sha256
from hmac import digest as hmac_digest

import pytest

from streamferry.media.errors import RemoteProtocolError
from streamferry.wire.rtmp.handshake import (
    HELLO_BYTES,
    PACKET_BYTES,
    check_version,
    client_answer,
    client_hello,
    server_hello_and_answer,
)

CLIENT_KEY = b"Genuine Adobe Flash Player 001"


def in_second_schema(hello: bytes) -> bytes:
    """The hello of a client that puts its digest where the second schema has it."""
    packet = bytearray(hello[1:])
    packet[8:12] = bytes(4)
    place = sum(packet[772:776]) % 728 + 776
    packet[place : place + 32] = hmac_digest(CLIENT_KEY, bytes(packet[:place] + packet[place + 32 :]), sha256)
    return hello[:1] + bytes(packet)


def test_the_sizes_are_those_of_the_specification() -> None:
    """C0 and C1 together, C2, and S0, S1 and S2 together."""
    hello = client_hello(b"seed")
    server = server_hello_and_answer(hello, b"seed")
    assert (len(hello), len(server)) == (HELLO_BYTES, HELLO_BYTES + PACKET_BYTES)
    assert len(client_answer(server[:HELLO_BYTES], b"seed")) == PACKET_BYTES


def test_time_and_randomness_are_arguments() -> None:
    """The same arguments give the same bytes, others other bytes; the time stands in the first four."""
    assert client_hello(b"a", 5) == client_hello(b"a", 5)
    assert client_hello(b"a")[100:] != client_hello(b"b")[100:]
    assert client_hello(b"a", 0x01020304)[1:5] == bytes((1, 2, 3, 4))


def test_a_plain_client_gets_the_echo() -> None:
    """No digest in C1: S1 is plain (four zero bytes), S2 is C1."""
    hello = b"\x03" + bytes(4) + bytes(4) + b"r" * 1528
    server = server_hello_and_answer(hello, b"seed")
    assert server[5:9] == bytes(4)
    assert server[HELLO_BYTES:] == hello[1:]


def test_a_plain_server_gets_the_echo() -> None:
    """No digest in S1: C2 is S1."""
    hello = b"\x03" + bytes(8) + b"r" * 1528
    assert client_answer(hello, b"seed") == hello[1:]


@pytest.mark.parametrize("schema", [client_hello, lambda seed: in_second_schema(client_hello(seed))])
def test_a_digest_is_answered_in_either_schema(schema) -> None:
    """S2 is signed over the digest, not the echo, and S1 has the digest in the schema of the client."""
    hello = schema(b"seed")
    server = server_hello_and_answer(hello, b"other")
    assert server[HELLO_BYTES:] != hello[1:]
    assert client_answer(server[:HELLO_BYTES], b"seed") != server[1:HELLO_BYTES]


def test_a_spoilt_digest_is_no_digest() -> None:
    """One wrong bit and the hello counts as plain."""
    hello = bytearray(client_hello(b"seed"))
    hello[-1] ^= 1
    assert server_hello_and_answer(bytes(hello), b"x")[HELLO_BYTES:] == bytes(hello[1:])


def test_another_protocol_is_recognised_by_its_first_byte() -> None:
    """RTMPE (6), or an HTTP server."""
    check_version(3)
    for first_byte in b"\x06H":
        with pytest.raises(RemoteProtocolError, match="does not speak RTMP"):
            check_version(first_byte)
