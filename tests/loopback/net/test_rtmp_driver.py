"""net.rtmp against scripted servers."""

import socket
import struct

import pytest

from kit.proxies import Proxy
from streamferry.media.errors import PeerRejected, PeerUnreachable, RemoteProtocolError
from streamferry.media.peer_options import PeerOptions, read_proxy
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.rtmp import open_play, open_publish
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES, server_hello_and_answer
from streamferry.wire.rtmp.session import ConnectRequested, PlayRequested, PublishRequested

KEY = "pl4nted-k3y"
SHORT = 0.05
VIDEO_TAG = (9, 40, b"\x17\x01\x00\x00\x00frame")

OPENERS = pytest.mark.parametrize("open_link", [open_publish, open_play])


def url_of(port, scheme="rtmp", userinfo="", host="127.0.0.1"):
    return MediaUrl.parse(f"{scheme}://{userinfo}{host}:{port}/live/{KEY}?sign={KEY}-too")


def refusing(kind, code, description):
    """Accept everything but the request of one kind."""

    def answer(session, event):
        if isinstance(event, kind):
            session.reject(code, description)
        elif isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
            session.accept()

    return answer


def play_at_once(session, event):
    """Accept, and send media right behind the acceptance of a play."""
    if isinstance(event, ConnectRequested):
        session.accept()
    elif isinstance(event, PlayRequested):
        session.accept()
        session.append_tag(*VIDEO_TAG)


@pytest.mark.parametrize("piece_bytes", [1, 65536])
async def test_publish(peers, rtmp_script, piece_bytes):
    """A server that accepts gets application and key with the query, from single bytes too."""
    events = []
    port = await peers.serve(rtmp_script(piece_bytes=piece_bytes, events=events))
    link = await open_publish(url_of(port), deadlines=Deadlines())
    assert link.session.message_stream_id == 1
    assert [event for event in events if isinstance(event, PublishRequested)] == [
        PublishRequested(app="live", key=f"{KEY}?sign={KEY}-too")
    ]
    link.connection.close()


@pytest.mark.parametrize("piece_bytes", [1, 65536])
async def test_play(peers, rtmp_script, piece_bytes):
    """Media right behind the acceptance is not lost: it is in the session, or still to come."""
    port = await peers.serve(rtmp_script(play_at_once, piece_bytes=piece_bytes))
    link = await open_play(url_of(port), deadlines=Deadlines())
    tags = []
    link.session.receive(b"", tags=tags)
    while not tags:
        link.session.receive(await link.connection.read(), tags=tags)
    assert [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags] == [VIDEO_TAG]
    link.connection.close()


async def test_rtmps(peers, rtmp_script, server_tls, client_tls):
    """The same over TLS."""
    port = await peers.serve(rtmp_script(), server_tls)
    link = await open_publish(url_of(port, "rtmps", host="localhost"), deadlines=Deadlines(), tls=client_tls)
    link.connection.close()


@pytest.mark.parametrize(
    ("open_link", "kind", "code"),
    [
        (open_publish, ConnectRequested, "NetConnection.Connect.Rejected"),
        (open_publish, PublishRequested, "NetStream.Publish.BadName"),
        (open_play, PlayRequested, "NetStream.Play.StreamNotFound"),
    ],
)
async def test_refusal(peers, rtmp_script, open_link, kind, code):
    """A refusal is told in the server's words, without the key they repeat, on one line and bounded."""
    port = await peers.serve(rtmp_script(refusing(kind, code, f"no\nstream {KEY} here" + "!" * 5000)))
    with pytest.raises(PeerRejected, match=rf"^127.0.0.1:{port} refused: {code}: no stream \*\*\* here!") as caught:
        await open_link(url_of(port), deadlines=Deadlines())
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 500
    await peers.all_closed()
    assert peers.accepted == 1


async def test_refusal_without_words(peers, rtmp_script):
    """A server that gives no reason is not given one."""
    port = await peers.serve(rtmp_script(refusing(PublishRequested, "", "")))
    with pytest.raises(PeerRejected, match=r"refused: no reason given$"):
        await open_publish(url_of(port), deadlines=Deadlines())


async def test_stream_that_ends_at_once(peers, rtmp_script):
    """A stream that the server ends in the same breath counts as refused."""

    def answer(session, event):
        if isinstance(event, ConnectRequested):
            session.accept()
        elif isinstance(event, PlayRequested):
            session.accept()
            session.end_play()

    port = await peers.serve(rtmp_script(answer))
    with pytest.raises(PeerRejected, match=r"ended the stream at once: NetStream.Play.UnpublishNotify$"):
        await open_play(url_of(port), deadlines=Deadlines())


@OPENERS
async def test_not_rtmp(peers, open_link):
    """A peer that speaks something else breaks the protocol, and it is seen at the first byte."""

    async def web(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    port = await peers.serve(web)
    with pytest.raises(RemoteProtocolError, match="does not speak RTMP"):
        await open_link(url_of(port), deadlines=Deadlines())
    await peers.all_closed()


@OPENERS
async def test_a_server_that_wants_rtmps_was_told_as_one_that_speaks_something_else(peers, open_link):
    """Some answer the hello of RTMP with an alert (RFC 8446, 6: fatal, unexpected message)."""

    async def tls(reader, writer):
        await reader.read(1)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x0a")
        await reader.read()

    port = await peers.serve(tls)
    with pytest.raises(RemoteProtocolError, match=r"wants an address that begins with rtmps://$"):
        await open_link(url_of(port), deadlines=Deadlines())


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_server_at_port_443_that_closes_is_perhaps_one_for_rtmps(peers, how):
    """OpenSSL says nothing before it closes; where a server listens tells what it wants."""

    async def close(reader, writer):
        await reader.read(1 if how == "resets" else HELLO_BYTES)

    port = await peers.serve(close)
    proxy = Proxy(names={"live.example": "127.0.0.1"}, ports={443: port})
    options = PeerOptions(proxy=read_proxy(f"http://127.0.0.1:{await peers.serve(proxy)}"))
    with pytest.raises(PeerUnreachable, match=r"^RTMP handshake with live.example:443 \(at port 443 .* rtmps://\)"):
        await open_publish(url_of(443, host="live.example"), deadlines=Deadlines(), options=options)


async def test_garbage_after_the_handshake(peers):
    """Bytes that are no chunks end the set-up as a protocol error."""

    async def garbage(reader, writer):
        writer.write(server_hello_and_answer(await reader.readexactly(HELLO_BYTES), b"seed"))
        writer.write(b"\xff" * 4000)
        await reader.read()

    port = await peers.serve(garbage)
    with pytest.raises(RemoteProtocolError):
        await open_publish(url_of(port), deadlines=Deadlines())
    await peers.all_closed()


async def deaf(reader, writer):
    """Read all and say nothing."""
    await reader.read()


async def mute_after_handshake(reader, writer):
    """Shake hands and say nothing more."""
    writer.write(server_hello_and_answer(await reader.readexactly(HELLO_BYTES), b"seed"))
    await reader.read()


@pytest.mark.parametrize(
    ("script", "deadlines", "words"),
    [
        (deaf, Deadlines(handshake=SHORT), "RTMP handshake with {peer} timed out after 0.05 s"),
        (mute_after_handshake, Deadlines(response=SHORT), "RTMP publish at {peer} timed out after 0.05 s"),
    ],
)
async def test_silence(peers, script, deadlines, words):
    """A silent server costs the deadline of the step, and the words name it."""
    port = await peers.serve(script)
    with pytest.raises(PeerUnreachable) as caught:
        await open_publish(url_of(port), deadlines=deadlines)
    assert str(caught.value) == words.format(peer=f"127.0.0.1:{port}")
    await peers.all_closed()


async def close_in_handshake(reader, writer):
    await reader.readexactly(HELLO_BYTES)
    writer.write(b"\x03")


async def close_after_handshake(reader, writer):
    writer.write(server_hello_and_answer(await reader.readexactly(HELLO_BYTES), b"seed"))
    await reader.readexactly(PACKET_BYTES + 100)
    await writer.drain()
    writer.write_eof()
    await reader.read()


async def reset_in_handshake(reader, writer):
    await reader.readexactly(HELLO_BYTES)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (close_in_handshake, "RTMP handshake with {peer} failed: the peer closed the connection"),
        (reset_in_handshake, "RTMP handshake with {peer} failed: Connection reset by peer"),
        (close_after_handshake, "RTMP publish at {peer} failed: the peer closed the connection"),
    ],
)
async def test_peer_goes_away(peers, script, words):
    """A server that closes or resets is unreachable at the step where it did; asked twice only if it was asked all."""
    port = await peers.serve(script)
    with pytest.raises(PeerUnreachable) as caught:
        await open_publish(url_of(port), deadlines=Deadlines())
    assert str(caught.value) == words.format(peer=f"127.0.0.1:{port}")
    assert peers.accepted == (2 if script is close_after_handshake else 1)


def guarded(good_user="bob"):
    """A server that asks for Adobe's authentication; gives the answer function and the apps it saw."""
    apps = []

    def answer(session, event):
        if isinstance(event, PublishRequested):
            session.accept()
        elif isinstance(event, ConnectRequested):
            apps.append(event.app)
            if "&response=" in event.app:
                if f"user={good_user}&" in event.app:
                    session.accept()
                else:
                    session.reject("NetConnection.Connect.Rejected", "authmod=adobe : ?reason=authfailed&opaque=x")
            elif "authmod=adobe" in event.app:
                challenge = "authmod=adobe :?reason=needauth&user=bob&salt=c2FsdA==&challenge=abcd&opaque=efgh"
                session.reject(
                    "NetConnection.Connect.Rejected", challenge.replace("bob", event.app.partition("user=")[2])
                )
            else:
                session.reject("NetConnection.Connect.Rejected", "code=403 need auth; authmod=adobe")

    return answer, apps


async def test_authentication(peers, rtmp_script):
    """A server that asks for it gets a second and a third connection with the answer, and then accepts."""
    answer, apps = guarded()
    port = await peers.serve(rtmp_script(answer))
    link = await open_publish(url_of(port, userinfo="bob:pa55word@"), deadlines=Deadlines())
    assert [app.partition("&challenge")[0] for app in apps] == [
        "live",
        "live?authmod=adobe&user=bob",
        "live?authmod=adobe&user=bob",
    ]
    assert "pa55word" not in "".join(apps)
    link.connection.close()
    await peers.all_closed()


@pytest.mark.parametrize(("userinfo", "connections"), [("eve:pa55word@", 3), ("", 2)])
async def test_authentication_refused(peers, rtmp_script, userinfo, connections):
    """Wrong credentials, or none, end as a refusal after a bounded number of connections."""
    answer, _ = guarded()
    port = await peers.serve(rtmp_script(answer))
    with pytest.raises(PeerRejected) as caught:
        await open_publish(url_of(port, userinfo=userinfo), deadlines=Deadlines())
    assert peers.accepted == connections
    assert "pa55word" not in str(caught.value)
    await peers.all_closed()


async def test_authentication_without_end(peers, rtmp_script):
    """A server that keeps asking is refused in turn."""

    def answer(session, event):
        salt = "" if "authmod" in event.app else "code=403 need auth; "
        session.reject(
            "NetConnection.Connect.Rejected", f"{salt}authmod=adobe ?reason=needauth&user=bob&salt=a&challenge=b"
        )

    port = await peers.serve(rtmp_script(answer))
    with pytest.raises(PeerRejected):
        await open_publish(url_of(port, userinfo="bob:pa55word@"), deadlines=Deadlines())
    assert peers.accepted <= 3
    await peers.all_closed()


@OPENERS
async def test_address_without_a_key(peers, open_link):
    """An address without a stream key is refused before anything is connected."""
    port = await peers.serve(deaf)
    with pytest.raises(ValueError, match="stream key"):
        await open_link(MediaUrl.parse(f"rtmp://127.0.0.1:{port}/live"), deadlines=Deadlines())
    assert peers.accepted == 0


async def test_egress_policy(peers):
    """The policy is asked before a connection is made."""
    port = await peers.serve(deaf)
    with pytest.raises(PeerUnreachable, match="egress policy"):
        await open_publish(url_of(port), deadlines=Deadlines(), allow=lambda address: False)
    assert peers.accepted == 0


@OPENERS
async def test_cancel_at_each_await(peers, rtmp_script, server_tls, client_tls, cancel_at_each_await, open_link):
    """Wherever it is cancelled, no socket stays open."""
    port = await peers.serve(rtmp_script(), server_tls)
    url = url_of(port, "rtmps", host="localhost")
    awaits = await cancel_at_each_await(lambda: open_link(url, deadlines=Deadlines(), tls=client_tls))
    assert awaits >= 6  # resolve, connect, TLS, handshake, connect, createStream, publish
