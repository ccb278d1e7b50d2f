"""net.http against scripted web servers."""

import asyncio
import socket
import struct
from base64 import b64encode
from functools import partial

import pytest

from streamferry.media.errors import PeerRejected, PeerUnreachable, RemoteProtocolError
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.http import HttpBody
from streamferry.net.http import open_get as open_get_within
from streamferry.net.kept import KeptConnections

SECRET = "s3cr3t"
SHORT = 0.05

open_get = partial(open_get_within, deadlines=Deadlines())


class Web:
    """A server that gives canned answers by path and keeps the heads of the requests."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []

    async def __call__(self, reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        self.requests.append(request)
        writer.write(self.answers[request.split()[1].partition("?")[0]])
        await reader.read()


def ok(body=b"FLV", *fields):
    head = "\r\n".join(["HTTP/1.1 200 OK", *fields])
    return head.encode() + b"\r\n\r\n" + body


def redirect(location, status=302):
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def url_of(port, path="/live/cam.flv", scheme="http", userinfo="", host="127.0.0.1"):
    return MediaUrl.parse(f"{scheme}://{userinfo}{host}:{port}{path}")


def header(request, name):
    fields = dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if line)
    return {key.lower(): value for key, value in fields.items()}.get(name)


async def test_live_answer(peers):
    """A 200 without a length gives the connection, the type, and the bytes of the body that came with the head."""
    web = Web({"/live/cam.flv": ok(b"FLV\x01", "Content-Type: Video/X-FLV")})
    port = await peers.serve(web)
    stream = await open_get(url_of(port, f"/live/cam.flv?token={SECRET}"))
    assert stream.leftover == b"FLV\x01"
    assert stream.content_type == "video/x-flv"
    assert stream.content_length is None
    assert not stream.chunked
    assert web.requests[0].startswith(f"GET /live/cam.flv?token={SECRET} HTTP/1.1\r\n")
    assert header(web.requests[0], "host") == f"127.0.0.1:{port}"
    assert header(web.requests[0], "connection") == "close"
    stream.connection.close()


async def test_body_follows_on_the_connection(peers):
    """What the peer sends after the head is read from the connection, in chunks if the head says so."""

    async def chunks(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"", "Transfer-Encoding: chunked", "Content-Length: 7"))
        await reader.read(1)
        writer.write(b"3\r\nFLV\r\n")

    port = await peers.serve(chunks)
    stream = await open_get(url_of(port))
    assert stream.chunked
    assert stream.content_length is None
    assert stream.leftover == b""
    await stream.connection.write(b"x")
    assert await stream.connection.read() == b"3\r\nFLV\r\n"
    stream.connection.close()


async def test_length(peers):
    """A length in the head is told: what has one is no live stream."""
    port = await peers.serve(Web({"/live/cam.flv": ok(b"", "Content-Length: 1234")}))
    stream = await open_get(url_of(port))
    assert stream.content_length == 1234
    stream.connection.close()


async def test_head_byte_by_byte(peers):
    """A head that comes in single bytes, after an informational answer, is understood."""

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"body"):
            writer.write(bytes([byte]))
            await writer.drain()

    port = await peers.serve(slow)
    stream = await open_get(url_of(port))
    body = stream.leftover
    while data := await stream.connection.read():
        body += data
    assert body == b"body"
    stream.connection.close()


async def test_credentials_and_headers(peers):
    """User info becomes basic authentication, headers of the caller are added or replace ours."""
    web = Web({"/live/cam.flv": ok()})
    port = await peers.serve(web)
    url = url_of(port, userinfo=f"us%40er:{SECRET}@")
    options = PeerOptions(headers=(("Referer", "https://site.example/"), ("User-Agent", "player")))
    stream = await open_get(url, options=options)
    assert header(web.requests[0], "authorization") == "Basic " + b64encode(f"us@er:{SECRET}".encode()).decode()
    assert header(web.requests[0], "referer") == "https://site.example/"
    assert header(web.requests[0], "user-agent") == "player"
    stream.connection.close()


async def test_path_beyond_ascii(peers):
    """A path with characters beyond ASCII is escaped, what is escaped already stays as it is."""
    web = Web({"/%E7%9B%B4%E6%92%AD/a%20b.flv": ok()})
    port = await peers.serve(web)
    (await open_get(url_of(port, "/直播/a%20b.flv"))).connection.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect(peers, status):
    """A redirect is followed, relative to the address it came from, and the first connection is closed."""
    web = Web({"/live/cam.flv": redirect("../edge/cam.flv?sign=1", status), "/edge/cam.flv": ok()})
    port = await peers.serve(web)
    stream = await open_get(url_of(port, userinfo="user:word@"))
    assert stream.final_url.target == "/edge/cam.flv?sign=1"
    assert header(web.requests[1], "authorization") == header(web.requests[0], "authorization") is not None
    stream.connection.close()
    await peers.all_closed()


async def test_redirect_to_another_origin_keeps_secrets_home(peers, server_tls, client_tls):
    """From http to https on another port: followed, with the harmless headers and without the credentials."""
    edge = Web({"/cam.flv": ok()})
    edge_port = await peers.serve(edge, server_tls)
    home = Web({"/live/cam.flv": redirect(f"https://localhost:{edge_port}/cam.flv")})
    home_port = await peers.serve(home)
    headers = (("Cookie", SECRET), ("Referer", "https://site.example/"), ("X-Pass", SECRET))
    url = url_of(home_port, userinfo=f"user:{SECRET}@")
    stream = await open_get(url, tls=client_tls, options=PeerOptions(headers=headers))
    assert header(home.requests[0], "cookie") == header(home.requests[0], "x-pass") == SECRET
    assert header(edge.requests[0], "cookie") is None
    assert header(edge.requests[0], "x-pass") is None
    assert header(edge.requests[0], "authorization") is None
    assert header(edge.requests[0], "referer") == "https://site.example/"
    assert stream.final_url.uses_tls
    stream.connection.close()


async def test_redirect_loop(peers):
    """After five redirects the next one is a refusal."""
    web = Web({"/live/cam.flv": redirect(f"/live/cam.flv?token={SECRET}")})
    port = await peers.serve(web)
    with pytest.raises(PeerRejected, match="one redirect too many") as caught:
        await open_get(url_of(port))
    assert len(web.requests) == 6
    assert SECRET not in str(caught.value)
    await peers.all_closed()


@pytest.mark.parametrize(
    "location", ["rtmp://127.0.0.1/app/key", "file:///etc/passwd", "mailto:x", "https://:80/", "a b", ""]
)
async def test_redirect_to_nowhere(peers, location):
    """A redirect to anything but a web address is a refusal that does not repeat it."""
    port = await peers.serve(Web({"/live/cam.flv": redirect(location)}))
    with pytest.raises(PeerRejected, match="redirects to something that is no") as caught:
        await open_get(url_of(port))
    assert not location or location not in str(caught.value)


async def test_egress_policy_holds_after_a_redirect(peers):
    """The policy is asked again for the address a redirect leads to."""
    port = await peers.serve(Web({"/live/cam.flv": redirect("http://127.0.0.2:1/inner")}))
    with pytest.raises(PeerUnreachable, match="egress policy"):
        await open_get(url_of(port), allow=lambda address: address == "127.0.0.1")


@pytest.mark.parametrize(("status", "words"), [(404, "answered 404 Not Found"), (299, "answered 299")])
async def test_other_statuses_are_refusals(peers, status, words):
    """A status other than 200 and 206 is named, with our own words for it and without the query."""
    port = await peers.serve(Web({"/live/cam.flv": f"HTTP/1.1 {status} {SECRET}\r\n\r\n".encode()}))
    with pytest.raises(PeerRejected) as caught:
        await open_get(url_of(port, f"/live/cam.flv?token={SECRET}"))
    assert str(caught.value) == f"http://127.0.0.1:{port}/***.flv?*** {words}"
    await peers.all_closed()


@pytest.mark.parametrize(
    "answer", [b"FLV\x01\x05\r\n\r\n", b"\x03" + bytes(1536), b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000]
)
async def test_not_http(peers, answer):
    """An answer that is no HTTP head, or one without end, is a protocol error of the peer."""
    port = await peers.serve(Web({"/live/cam.flv": answer}))
    with pytest.raises(RemoteProtocolError, match=rf"^127.0.0.1:{port} does not answer in HTTP$"):
        await open_get(url_of(port))
    await peers.all_closed()


async def test_a_head_of_padded_lines_costs_no_more_than_others(peers):
    """No pattern tries each way to divide its spaces: that would take longer than the universe has."""
    head = b"HTTP/1.1 200 OK\r\n" + b"A:        b\r\n" * 60
    port = await peers.serve(Web({"/live/cam.flv": head + b"none\r\n\r\n", "/padded": head + b"\r\n"}))
    with pytest.raises(RemoteProtocolError, match="does not answer in HTTP"):
        await open_get(url_of(port))
    stream = await open_get(url_of(port, "/padded"))
    stream.connection.close()
    await peers.all_closed()


async def test_silence(peers):
    """A peer that takes the request and says nothing costs the response deadline."""
    port = await peers.serve(Web({"/live/cam.flv": b"HTTP/1.1 "}))
    with pytest.raises(PeerUnreachable, match=rf"^waiting for the answer of 127.0.0.1:{port} timed out after 0.05 s$"):
        await open_get_within(url_of(port), deadlines=Deadlines(response=SHORT))
    await peers.all_closed()


async def test_closed_before_the_answer(peers):
    """A peer that closes within the head is unreachable, and the words say when it closed."""

    async def close(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        writer.close()

    port = await peers.serve(close)
    with pytest.raises(PeerUnreachable, match=rf"^127.0.0.1:{port} closed the connection before it answered$"):
        await open_get(url_of(port))


async def test_reset_before_the_answer(peers):
    """A reset within the head is unreachable, and the words name the step."""

    async def reset(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    port = await peers.serve(reset)
    with pytest.raises(PeerUnreachable, match=r"^waiting for the answer of .* failed: Connection reset by peer$"):
        await open_get(url_of(port))


async def test_cancel_at_each_await(peers, server_tls, client_tls, cancel_at_each_await):
    """Wherever it is cancelled, over a redirect to TLS, no socket stays open."""
    edge_port = await peers.serve(Web({"/cam.flv": ok()}), server_tls)
    home_port = await peers.serve(Web({"/live/cam.flv": redirect(f"https://localhost:{edge_port}/cam.flv")}))
    awaits = await cancel_at_each_await(lambda: open_get(url_of(home_port), tls=client_tls))
    assert awaits >= 6  # connect, answer; resolve, connect, TLS, answer


async def test_two_streams_at_once(peers):
    """Requests do not share state."""
    port = await peers.serve(Web({"/a": ok(b"A"), "/b": ok(b"B")}))
    a, b = await asyncio.gather(open_get(url_of(port, "/a")), open_get(url_of(port, "/b")))
    assert (a.leftover, b.leftover) == (b"A", b"B")
    a.connection.close()
    b.connection.close()


@pytest.mark.parametrize(
    ("field", "body"), [("Content-Length: 10", b"half"), ("Transfer-Encoding: chunked", b"4\r\nhalf")]
)
async def test_a_small_answer_that_breaks_off_is_none(peers, field, body):
    """Half a playlist is a playlist too."""

    async def half(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(body, field))
        writer.close()

    stream = await open_get(url_of(await peers.serve(half)))
    with pytest.raises(ConnectionError):
        await HttpBody(stream).read_all(100)
    stream.connection.close()
    await peers.all_closed()


@pytest.mark.parametrize(("told", "is_partial"), [("bytes 0-3/100", False), ("bytes 50-53/100", True), ("", True)])
async def test_another_range_than_was_asked_for_is_none(peers, told, is_partial):
    """Caches give the beginning instead; it is not taken for what lies further on."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        field = f"Content-Range: {told}\r\n" if told else ""
        writer.write(f"HTTP/1.1 206 Partial Content\r\n{field}Content-Length: 4\r\n\r\nHEAD".encode())

    port = await peers.serve(serve)
    stream = await open_get(MediaUrl.parse(f"http://127.0.0.1:{port}/all.ts"), byte_range=(50, 54))
    assert stream.is_partial is is_partial
    stream.connection.close()


@pytest.mark.parametrize(("after", "connections"), [("", 1), ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEV", 2)])
async def test_a_connection_on_which_more_came_than_was_asked_for_is_not_used_again(peers, after, connections):
    """Else what is left of it would be taken for the answer to the next request."""
    accepted = 0

    async def serve(reader, writer):
        nonlocal accepted
        accepted += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n{after}".encode())

    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(serve)}/a")
    kept = KeptConnections(asyncio.get_running_loop().time)
    for _ in range(2):
        assert await HttpBody(await open_get(url, kept=kept)).read_all(100) == b"a"
    kept.close()
    assert accepted == connections


@pytest.mark.parametrize(
    ("begin", "body"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n0\r\n\r\n"),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", "a"),
    ],
)
async def test_a_connection_on_which_others_may_see_another_end_is_not_used_again(peers, begin, body):
    """RFC 9112, 6.1: a proxy in between may take what is left of it for the next answer."""
    accepted = 0

    async def serve(reader, writer):
        nonlocal accepted
        accepted += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write((begin + body).encode())

    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(serve)}/a")
    kept = KeptConnections(asyncio.get_running_loop().time)
    for _ in range(2):
        assert await HttpBody(await open_get(url, kept=kept)).read_all(100) == b"a"
    kept.close()
    assert accepted == 2


@pytest.mark.parametrize("pause", [True, False])
async def test_a_body_is_no_longer_than_its_length(peers, pause):
    """What else comes is none of it, with the head or later, all at once or received by the beat."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"#EXTM3U", "Content-Length: 10", "Connection: keep-alive"))
        if pause:
            await reader.read(1)
        writer.write(b"\n#\nHTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    url = url_of(await peers.serve(serve))
    for by_beat in (False, True):
        stream = await open_get(url)
        body = HttpBody(stream)
        await stream.connection.write(b"x")
        if not by_beat:
            assert await body.read_all(100) == b"#EXTM3U\n#\n"
            continue
        data, view = body.leftover, memoryview(bytearray(100))
        while (received := body.receiver(view)) != 0:
            data += view[: received or 0]
            await asyncio.sleep(0)
        assert data == b"#EXTM3U\n#\n"
        stream.connection.close()
