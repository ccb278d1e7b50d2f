"""ChunkedDecoder on bytes split anywhere, and on bytes that are no chunks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.errors import RemoteProtocolError
from streamferry.net.chunked import ChunkedDecoder

PAD = b"kept in front"


def decode(decoder: ChunkedDecoder, piece: bytes) -> bytes:
    """One call, with bytes in front of the piece and behind it that must not be touched."""
    buffer = bytearray(PAD + piece + PAD)
    end = decoder.decode(memoryview(buffer), len(PAD), len(PAD) + len(piece))
    assert buffer.startswith(PAD)
    assert buffer.endswith(PAD)
    return bytes(buffer[len(PAD) : end])


def decode_all(body: bytes, size: int) -> bytes:
    """Decode pieces of ``size`` bytes with one decoder."""
    decoder = ChunkedDecoder()
    return b"".join(decode(decoder, body[at : at + size]) for at in range(0, len(body), size))


def chunked(payloads: list[bytes], head: bytes = b"%x\r\n") -> bytes:
    return b"".join(head % len(payload) + payload + b"\r\n" for payload in payloads) + b"0\r\n\r\n"


def test_several_chunks_at_once():
    """Chunks that arrive together become one run of payload, and the last chunk ends the body."""
    decoder = ChunkedDecoder()
    assert decode(decoder, b"5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n") == b"hello, world"
    assert not decoder.ended
    assert decode(decoder, b"0\r\n\r\n") == b""
    assert decoder.ended


def test_heads_as_servers_write_them():
    """Upper case, leading zeros, extensions and blanks before them are heads too."""
    decoder = ChunkedDecoder()
    body = b"00A\r\n0123456789\r\n1;name=value\r\na\r\n1 ; x\r\nb\r\n1  \r\nc\r\n"
    assert decode(decoder, body) == b"0123456789abc"


def test_what_follows_the_last_chunk_is_ignored():
    """Trailers and anything behind them are not payload."""
    decoder = ChunkedDecoder()
    assert decode(decoder, b"1\r\na\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1 200 OK\r\n") == b"a"
    assert decode(decoder, b"1\r\nb\r\n") == b""


@given(payloads=st.lists(st.binary(min_size=1, max_size=300), max_size=8), data=st.data())
def test_any_split_gives_the_same_payload(payloads, data):
    """However the bytes are split over calls, the payload is the same and the end is seen."""
    body = chunked(payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    decoder = ChunkedDecoder()
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert b"".join(decode(decoder, piece) for piece in pieces) == b"".join(payloads)
    assert decoder.ended


def test_byte_by_byte():
    """A peer that sends single bytes is understood."""
    body = chunked([b"flv tag", bytes(20)], head=b"%04x;ext=1\r\n")
    assert decode_all(body, 1) == b"flv tag" + bytes(20)


@pytest.mark.parametrize(
    "body",
    [
        b"FLV\x01",
        b"\r\n5\r\n",
        b"-5\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"1_0\r\n",
        b" 5\r\n",
        b"5\nhello",
        b"5 hello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n",
        b"123456789\r\n",
        b"5;" + b"x" * 300,
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_garbage_is_refused(body, size):
    """Bytes that are no chunk are an error of the peer, at once and however they are split."""
    with pytest.raises(RemoteProtocolError):
        decode_all(body, size)


@given(st.binary(max_size=400))
def test_any_bytes(body):
    """Whatever comes, it is payload or a RemoteProtocolError, and never more payload than bytes."""
    with suppress(RemoteProtocolError):
        assert len(decode_all(body, 1000)) <= len(body)
