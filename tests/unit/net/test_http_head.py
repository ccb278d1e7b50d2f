"""Plain heads of HTTP, held to what h11 makes of the same bytes."""

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamferry.net.http_head import plain_answer, plain_get

HOST = ("host", "server.example:8080")
NGINX = (
    b"HTTP/1.1 206 Partial Content\r\nServer: nginx/1.22.1\r\nContent-Type: video/mp2t\r\nContent-Length: 188\r\n"
    b'Connection: keep-alive\r\nETag: "a"\r\nEmpty:\r\nContent-Range: bytes 0-187/1000\r\n\r\n'
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX:  a b \r\n\r\n"


def by_h11(data):
    """(status, version, headers, rest), None for what it has not whole, or refuses."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[HOST]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    try:
        event = http.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response):
        return None
    return event.status_code, event.http_version, list(event.headers), http.trailing_data[0]


@pytest.mark.parametrize("data", [NGINX, CHUNKED, b"HTTP/1.1 200 \r\nA: b\r\n\r\n", b"HTTP/1.1 200\r\nA: b\r\n\r\n"])
def test_a_plain_answer_is_what_h11_reads(data):
    head, rest = plain_answer(data + b"body\r\n\r\n")
    assert (head.status_code, head.http_version, head.headers, rest) == by_h11(data + b"body\r\n\r\n")
    assert rest == b"body\r\n\r\n"
    assert all(plain_answer(data[:end]) is None for end in range(len(data)))


LINES = st.sampled_from(
    [
        *(b"Content-Length: 5", b"Content-Length: 5, 5", b"content-length: -1", b"Transfer-Encoding: chunked"),
        *(b"transfer-encoding: gzip, chunked", b"A: b", b"A : b", b" folded", b"A", b": b", b"A: \x00", b"A: \xe9"),
        *(b"A:\tb\t", b"Connection: close", b"\xff: a", b"A: b\rc", b"A: b\nC: d", b""),
    ]
)
STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 206 ", b"HTTP/1.1 304 X", b"HTTP/1.1 100 C", b"x"]
)


@given(STARTS, st.lists(LINES, max_size=5), st.binary(max_size=8), st.sampled_from([b"\r\n", b"\n"]))
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"Transfer-Encoding: chunked"], b"", b"\r\n")
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"Content-Length: 6"], b"", b"\r\n")
def test_whatever_comes_is_read_as_h11_does_or_left_to_it(start, lines, rest, end):
    data = end.join([start, *lines, b"", b""]) + rest
    found = plain_answer(data)
    if found is not None:
        head, after = found
        assert (head.status_code, head.http_version, head.headers, after) == by_h11(data)


def test_a_head_that_does_not_end_is_left_to_h11():
    assert plain_answer(b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 20_000 + b"\r\n\r\n") is None


@given(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=5), st.text(max_size=8)), max_size=3),
)
def test_a_plain_request_is_one_that_h11_sends_alike(path, fields):
    """No name, value or target makes two lines of one."""
    headers = [HOST, *fields]
    made = plain_get("/" + path, headers)
    if made is None:
        return
    request = h11.Request(method="GET", target="/" + path, headers=headers)
    sent = h11.Connection(h11.CLIENT).send(request)
    server = h11.Connection(h11.SERVER)
    server.receive_data(made)
    event = server.next_event()
    assert (event.target, list(event.headers)) == (request.target, list(request.headers))
    assert made.lower() == sent.lower()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", [HOST]),
        ("/", []),
        ("/", [HOST, ("Host", "other.example")]),
        ("/", [HOST, ("x", "a\r\nhost: other")]),
        ("/", [HOST, ("x\r\ny", "a")]),
        ("/", [HOST, ("content-length", "4")]),
        ("/", [HOST, ("Transfer-Encoding", "chunked")]),
    ],
)
def test_what_is_not_plain_is_left_to_h11(target, headers):
    assert plain_get(target, headers) is None
