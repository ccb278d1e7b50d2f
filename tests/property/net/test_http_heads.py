"""Heads of HTTP that are read and written here, held to h11: what both read is read alike, and nothing else is read."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamferry.net.http_heads import ResponseHead, plain_response, request_head

NGINX = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 30 Nov 2026 21:00:00 GMT\r\n"
    b"Content-Type: application/vnd.apple.mpegurl\r\nContent-Length: 331\r\nConnection: keep-alive\r\n"
    b'ETag: "6564-14b"\r\nAccept-Ranges: bytes\r\n\r\n#EXTM3U'
)
CHUNKED = b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: Chunked\r\ncontent-range:bytes 5-9/20 \r\n\r\n5\r\nabcde"
OLD = b"HTTP/1.0 404\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /a\r\nlocation: /b\r\nX-Empty:\r\n\r\n"


def by_h11(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """What h11 reads, None for what it refuses, or waits for more of."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    try:
        event = http.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response):
        return None
    fields: dict[bytes, bytes] = {}
    for name, value in event.headers:
        fields.setdefault(name, value)
    return ResponseHead(event.status_code, event.http_version >= b"1.1", fields), http.trailing_data[0]


@pytest.mark.parametrize("data", [NGINX, CHUNKED, OLD, MOVED])
def test_what_servers_send_is_read_here(data: bytes) -> None:
    found = plain_response(data)
    assert found is not None
    assert found == by_h11(data)


def test_what_it_says() -> None:
    told = [found[0] for data in (NGINX, CHUNKED, OLD, MOVED) if (found := plain_response(data))]
    assert [head.status for head in told] == [200, 206, 404, 302]
    assert [head.content_length for head in told] == [331, None, None, None]
    assert [head.is_chunked for head in told] == [False, True, False, False]
    assert [head.is_kept for head in told] == [True, True, False, False]
    assert told[3].value(b"location") == "/a"


_PARTS = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK",
            b"HTTP/1.0 206",
            b"HTTP/1.1 100 Continue",
            b"HTTP/2 200",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1 99",
        ),
        *(
            b"\r\n",
            b"\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"\n\n",
            b": ",
            b":",
            b" ",
            b"\t",
            b"\0",
            b"\x0b",
            b"\xff",
        ),
        *(b"Content-Length", b"content-length: 5", b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length: "),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"transfer-encoding:CHUNKED "),
        *(b"Connection: close", b"X-Name", b"X Name: 1", b": none", b"Server: \xe4\xb8\xad", b"9" * 30, b"abc"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(_PARTS, max_size=14), begin=st.sampled_from([b"", NGINX[:17], CHUNKED[:30], NGINX[:-7]]))
def test_what_is_read_is_what_h11_reads(parts: list[bytes], begin: bytes) -> None:
    data = begin + b"".join(parts)
    found = plain_response(data)
    assert found is None or found == by_h11(data)


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from([NGINX, CHUNKED, OLD, MOVED]),
    at=st.integers(0, 300),
    count=st.integers(0, 3),
    put=st.binary(max_size=3),
)
def test_damaged_heads_are_read_as_h11_reads_them(data: bytes, at: int, count: int, put: bytes) -> None:
    data = data[:at] + put + data[at + count :]
    found = plain_response(data)
    assert found is None or found == by_h11(data)


@pytest.mark.parametrize(
    "line", [b"a:" + b" " * (1 << 22) + b"\x01", b" " * (1 << 22), b"a" * (1 << 22), b"a: b\r\n" * (1 << 19) + b"\0"]
)
def test_work_grows_with_the_length_alone(line: bytes) -> None:
    """What takes the square of it would not end."""
    assert plain_response(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n") is None


def test_a_request_is_written_as_h11_writes_it() -> None:
    headers = [("host", "a:1"), ("user-agent", "streamferry"), ("authorization", "Basic YTpi"), ("x-empty", "")]
    written = h11.Connection(h11.CLIENT).send(h11.Request(method="GET", target="/a?b=%20", headers=headers))
    assert request_head("GET", "/a?b=%20", headers) == written


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", "中"])
def test_no_value_makes_another_line(value: str) -> None:
    with pytest.raises(ValueError, match="no head"):
        request_head("GET", "/", [("x", value)])
