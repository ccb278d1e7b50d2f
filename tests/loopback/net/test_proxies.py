"""Peers that are reached through proxies, and from an address: proxies that keep to their protocol, and that do not."""

import asyncio
import random
import socket

import pytest

from kit.proxies import Proxy
from streamferry.media.errors import MediaError, PeerForbidden, PeerRejected, PeerUnreachable
from streamferry.media.peer_options import PeerOptions, read_proxy
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines, dial, dial_url
from streamferry.net.http import open_get
from streamferry.net.rtmp import open_publish
from streamferry.wire.rtmp.session import PublishRequested

SECRET = "pass%20w%C3%B6rd-xyzzy"
SPOKEN = "pass wörd-xyzzy"
KINDS = ("http", "socks5", "socks5h")


def through(kind: str, port: int, user: str = "") -> PeerOptions:
    return PeerOptions(proxy=read_proxy(f"{kind}://{user}127.0.0.1:{port}"))


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", ["", f"us%3Aer:{SECRET}@"])
async def test_bytes_pass_both_ways(peers, kind, user):
    """A peer is reached through each kind of proxy, with and without a user, and its first byte is not lost."""

    async def greet(reader, writer):
        writer.write(b"hello")
        await echo(reader, writer)

    proxy = Proxy(("us:er", SPOKEN) if user else None)
    target, port = await peers.serve(greet), await peers.serve(proxy)
    connection = await dial("localhost", target, deadlines=Deadlines(), options=through(kind, port, user))
    assert connection.peer == f"localhost:{target}"
    assert await connection.read() == b"hello"
    await connection.write(b"word")
    assert await connection.read() == b"word"
    assert proxy.asked[0][1] == target
    assert (proxy.asked[0][0] == "localhost") == (kind != "socks5")
    connection.close()


@pytest.mark.parametrize("kind", ["http", "socks5h"])
async def test_names_that_only_the_proxy_knows(peers, kind):
    """Without a policy the proxy resolves the name: it need not exist here."""
    proxy = Proxy(names={"only.there.example": "127.0.0.1"})
    target, port = await peers.serve(echo), await peers.serve(proxy)
    (await dial("only.there.example", target, deadlines=Deadlines(), options=through(kind, port))).close()
    assert proxy.asked == [("only.there.example", target)]


@pytest.mark.parametrize("kind", KINDS)
async def test_policy_judges_target_and_proxy(peers, kind):
    """Under a policy the proxy is given the address that was judged, and neither it nor the target may be forbidden."""
    proxy = Proxy(names={"localhost": "203.0.113.9"})
    target, port = await peers.serve(echo), await peers.serve(proxy)
    options = through(kind, port)
    allowed = {"127.0.0.1"}
    (await dial("localhost", target, deadlines=Deadlines(), options=options, allow=allowed.__contains__)).close()
    assert proxy.asked == [("127.0.0.1", target)]
    with pytest.raises(PeerForbidden, match=r"^169\.254\.169\.254 "):
        await dial("169.254.169.254", 80, deadlines=Deadlines(), options=options, allow=allowed.__contains__)
    allowed.clear()
    with pytest.raises(PeerForbidden):
        await dial("192.0.2.1", 80, deadlines=Deadlines(), options=options, allow=lambda text: text == "192.0.2.1")
    assert len(proxy.asked) == len(proxy.clients) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", ["", "user:wrong-xyzzy@"])
async def test_wrong_password_is_told(peers, kind, user):
    """A proxy that wants other credentials is named, with what to do, and without what was given."""
    proxy = Proxy(("user", "right"))
    port = await peers.serve(proxy)
    with pytest.raises(PeerRejected, match=rf"^the proxy 127.0.0.1:{port} wants another user and password") as caught:
        await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through(kind, port, user))
    assert "wrong-xyzzy" not in str(caught.value)
    assert proxy.refused == 1


@pytest.mark.parametrize(("kind", "words"), [("http", "502 Bad Gateway"), ("socks5", "connection refused")])
async def test_target_that_the_proxy_does_not_reach(peers, kind, words, closed_port):
    """What the proxy says of the target is told as its words."""
    port = await peers.serve(Proxy())
    with pytest.raises(PeerRejected, match=rf"^the proxy 127.0.0.1:{port} does not connect: {words}$"):
        await dial("127.0.0.1", closed_port, deadlines=Deadlines(), options=through(kind, port))


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_proxy_that_is_not_there(kind, closed_port):
    """A proxy that refuses the connection is named as what was connected to."""
    with pytest.raises(PeerUnreachable, match=rf"^connecting to 127.0.0.1:{closed_port} failed: Connection refused$"):
        await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through(kind, closed_port))


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_silent_proxy(peers, kind):
    """A proxy that says nothing costs the deadline of an answer, and is named."""

    async def silent(reader, writer):
        await reader.read()

    port = await peers.serve(silent)
    with pytest.raises(PeerUnreachable, match=rf"^asking the proxy 127.0.0.1:{port} for 127.0.0.1 timed out"):
        await dial("127.0.0.1", 9, deadlines=Deadlines(response=0.05), options=through(kind, port))
    await peers.all_closed()


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_proxy_that_closes(peers, kind):
    """A proxy that closes instead of an answer is named."""

    async def close(reader, writer):
        await reader.read(2)
        writer.write_eof()
        await reader.read()

    port = await peers.serve(close)
    with pytest.raises(PeerUnreachable, match=rf"^the proxy 127.0.0.1:{port} closed the connection"):
        await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through(kind, port))
    await peers.all_closed()


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_what_is_no_proxy(peers, kind):
    """Another server on that port, or a proxy of the other kind, is told as such."""

    async def other(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
        await reader.read()

    port = await peers.serve(other)
    with pytest.raises(PeerRejected, match=r"does not answer as a proxy for (HTTP|SOCKS5) does"):
        await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through(kind, port))


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_any_answer_ends_in_a_sentence(peers, kind):
    """Whatever a proxy says, cut and changed by a generator: a connection or an error of ours, and no socket left."""
    rng = random.Random(20261130)
    good = {"http": b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n", "socks5": b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}
    answers, sentences = [], []
    for _ in range(60):
        answer = bytearray(good[kind][: rng.randrange(len(good[kind]) + 1)])
        for _ in range(rng.randrange(3)):
            if answer:
                answer[rng.randrange(len(answer))] = rng.randrange(256)
        answers.append(bytes(answer) + rng.randbytes(rng.choice((0, 0, 5, 400))))

    async def say(reader, writer):
        writer.write(answers[-1])
        writer.write_eof()
        await reader.read()

    port = await peers.serve(say)
    while answers:
        try:
            (await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through(kind, port))).close()
        except MediaError as error:
            sentences.append(str(error))
        answers.pop()
    assert len(sentences) > 10
    assert all(f"127.0.0.1:{port}" in one for one in sentences)
    await peers.all_closed()


async def test_endless_head(peers):
    """A head that does not end is no answer."""

    async def endless(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)
        await reader.read()

    port = await peers.serve(endless)
    with pytest.raises(PeerRejected, match="does not answer as a proxy for HTTP does"):
        await dial("127.0.0.1", 9, deadlines=Deadlines(), options=through("http", port))


@pytest.mark.parametrize("kind", KINDS)
async def test_rtmps_through_a_proxy(peers, rtmp_script, server_tls, client_tls, kind):
    """RTMPS goes through, and the certificate is that of the server, by its name."""
    events = []
    proxy = Proxy(("user", "word"))
    target, port = await peers.serve(rtmp_script(events=events), server_tls), await peers.serve(proxy)
    url = MediaUrl.parse(f"rtmps://localhost:{target}/live/key?sign=1")
    link = await open_publish(url, deadlines=Deadlines(), tls=client_tls, options=through(kind, port, "user:word@"))
    assert [one for one in events if isinstance(one, PublishRequested)] == [PublishRequested("live", "key?sign=1")]
    link.connection.close()


async def test_https_through_a_proxy_after_a_redirect(peers, server_tls, client_tls):
    """Each hop of a redirect takes the proxy, and its password is told to nobody but the proxy."""
    heads = []

    async def answer(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        where = f"Location: https://localhost:{edge}/b\r\n" if len(heads) == 1 else ""
        status = "302 Found" if where else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\n{where}Content-Length: 0\r\n\r\n".encode())

    proxy = Proxy(("user", SPOKEN))
    home, edge = await peers.serve(answer), await peers.serve(answer, server_tls)
    options = through("http", await peers.serve(proxy), f"user:{SECRET}@")
    stream = await open_get(
        MediaUrl.parse(f"http://localhost:{home}/a"), deadlines=Deadlines(), tls=client_tls, options=options
    )
    stream.connection.close()
    assert proxy.asked == [("localhost", home), ("localhost", edge)]
    assert b"roxy" not in b"".join(heads)


@pytest.mark.parametrize("proxied", [False, True])
async def test_connects_from_an_address(peers, proxied):
    """The local address is the one that was asked for, also of a connection to a proxy."""
    clients = []

    async def note(reader, writer):
        clients.append(writer.get_extra_info("peername")[0])
        await reader.read()

    target, proxy = await peers.serve(note), Proxy()
    port = await peers.serve(proxy)
    options = PeerOptions(bind="127.0.0.7", proxy=read_proxy(f"socks5://127.0.0.1:{port}") if proxied else None)
    connection = await dial_url(
        MediaUrl.parse(f"rtmp://127.0.0.1:{target}/a/b"), deadlines=Deadlines(), options=options
    )
    if not proxied:
        assert connection._sock.getsockname()[0] == "127.0.0.7"
    else:
        assert proxy.clients == ["127.0.0.7"]
    connection.close()
    await peers.all_closed()
    assert clients == ["127.0.0.1" if proxied else "127.0.0.7"]


async def test_address_that_this_machine_has_not(peers):
    """It is told as what it is, and not as something that the machine has run out of."""
    port = await peers.serve(echo)
    with pytest.raises(PeerUnreachable, match=r"^cannot connect from 192.0.2.7: .*must be an address of the machine"):
        await dial("127.0.0.1", port, deadlines=Deadlines(), options=PeerOptions(bind="192.0.2.7"))
    with pytest.raises(PeerUnreachable, match="one of IPv4, the other of IPv6"):
        await dial("127.0.0.1", port, deadlines=Deadlines(), options=PeerOptions(bind="2001:db8::1"))


async def test_abandoned_at_each_await(peers, cancel_at_each_await):
    """Given up at any step, nothing stays open."""
    target, port = await peers.serve(echo), await peers.serve(Proxy(("user", "word")))
    options = through("socks5", port, "user:word@")
    await cancel_at_each_await(lambda: dial("localhost", target, deadlines=Deadlines(), options=options))
    await peers.all_closed()


async def test_the_proxy_is_the_one_that_is_asked(peers):
    """Two at the same time keep apart."""
    first, second = Proxy(), Proxy()
    target = await peers.serve(echo)
    ports = [await peers.serve(first), await peers.serve(second)]
    connections = await asyncio.gather(
        *(dial("127.0.0.1", target, deadlines=Deadlines(), options=through("http", port)) for port in ports)
    )
    assert first.asked == second.asked == [("127.0.0.1", target)]
    for one in connections:
        one.close()
