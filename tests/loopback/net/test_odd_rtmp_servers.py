"""RTMP servers that answer ``connect`` as servers in the field do: what it takes until they are published to."""

import asyncio
from base64 import b64encode
from hashlib import md5
from urllib.parse import unquote

import pytest

from scripted.odd_server import REJECTED, OddServer, odd
from streamferry.media.errors import PeerRejected, PeerUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.rtmp import open_play, open_publish

KEY = "pl4nted-k3y"
NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
PATIENT = Deadlines()


def url_of(port, userinfo="", host="127.0.0.1", app="live", key=KEY, query="?sign=s1gned", scheme="rtmp"):
    return MediaUrl.parse(f"{scheme}://{userinfo}{host}:{port}/{app}/{key}{query}")


async def published(url, **network):
    """Publish and close at once."""
    link = await open_publish(url, deadlines=network.pop("deadlines", PATIENT), **network)
    link.connection.close()
    return link


def before_lists(end):
    """A server from before codec lists: at the sight of one it ends in that way."""

    async def script(server: OddServer) -> None:
        if "fourCcList" in await server.hear_connect():
            await end(server)
        else:
            await server.accept()
            await server.until_closed()

    return odd(script)


async def closes(server):
    pass


async def is_silent(server):
    await server.until_closed()


async def fails(server):
    server.refuse("NetConnection.Connect.Failed", "unsupported marker 0x0a")
    await server.until_closed()


class ImpatientOnce(Deadlines):
    """Waits for the first answer only as long as a test may take."""

    _waits = (0.1,)

    @property
    def response(self):
        wait, *more = self._waits
        object.__setattr__(self, "_waits", tuple(more) or (30.0,))
        return wait

    @response.setter
    def response(self, value): ...


@pytest.mark.parametrize("end", [closes, is_silent, fails])
async def test_a_server_that_cannot_read_a_list_of_codecs_is_published_to(peers, end):
    """It closes, is silent, or fails: asked once more without the list, at once; and that way first from then on."""
    port = await peers.serve(before_lists(end))
    await published(url_of(port), deadlines=ImpatientOnce() if end is is_silent else PATIENT)
    assert peers.accepted == 2
    await published(url_of(port))
    assert peers.accepted == 3


async def test_a_server_that_learns_the_list_of_codecs_is_shown_it_again(peers):
    """What was remembered is forgotten when it does not help any more."""
    understands = False

    async def script(server: OddServer) -> None:
        if ("fourCcList" in await server.hear_connect()) is understands:
            await server.accept()
            await server.until_closed()

    port = await peers.serve(odd(script))
    await published(url_of(port))
    understands = True
    with pytest.raises(PeerUnreachable):
        await published(url_of(port))
    await published(url_of(port))


@pytest.mark.parametrize("code", [REJECTED, "NetConnection.Connect.InvalidApp", "NetConnection.Connect.AppShutdown"])
async def test_a_server_that_has_read_connect_and_refuses_is_asked_once(peers, code):
    """Its answer is about the application, not about a list."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        server.refuse(code, "no such application")

    port = await peers.serve(odd(script))
    with pytest.raises(PeerRejected, match=f"refused: {code}: no such application"):
        await published(url_of(port))
    assert peers.accepted == 1


def redirecting(to, **odd_form):
    """A server that is never published to."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        extra = {"code": 302.0, "redirect": to() if callable(to) else to} | odd_form
        server.refuse(REJECTED, "[ AccessManager.Reject ] : [ code=302 ] : ", ex=extra)

    return odd(script)


def taking(seen):
    """A server that takes the publish and notes where to it was."""

    async def script(server: OddServer) -> None:
        fields = await server.hear_connect()
        server.say("_result", 1, {}, {"code": "NetConnection.Connect.Success"})
        await server.hear("createStream")
        server.say("_result", 4, None, 1)
        publish = await server.hear("publish")
        server.say("onStatus", 0, None, {"level": "status", "code": "NetStream.Publish.Start"})
        seen.append((fields["app"], fields["tcUrl"], publish.text(1)))
        await server.until_closed()

    return odd(script)


@pytest.mark.parametrize(
    ("redirect", "app"),
    [
        ("rtmp://127.0.0.1:{port}/edge", "edge"),
        ("RTMP://user:secret@127.0.0.1:{port}/edge/", "edge"),
        ("rtmp://127.0.0.1:{port}/edge/two?token=t", "edge/two?token=t"),
        (f"rtmp://127.0.0.1:{{port}}/edge/{KEY}", "edge"),
        (f"rtmp://127.0.0.1:{{port}}/edge/{KEY}?sign=s1gned", "edge"),
        ("rtmp://127.0.0.1:{port}", "live"),
        ("//127.0.0.1:{port}/edge", "edge"),
    ],
)
@pytest.mark.parametrize("form", [{}, {"code": "302"}])
async def test_a_load_balancer_that_redirects_is_followed(peers, redirect, app, form):
    """Stream key and query stay ours, once; the next session begins where the address points."""
    seen = []
    port = await peers.serve(taking(seen))
    first = await peers.serve(redirecting(redirect.format(port=port), **form))
    for _ in range(2):
        await published(url_of(first))
    assert seen == [(app, f"rtmp://127.0.0.1:{port}/{app}", f"{KEY}?sign=s1gned")] * 2
    assert peers.accepted == 4


async def test_a_redirect_to_another_application_of_the_same_server(peers):
    """Relative, as some write it."""
    apps = []

    async def script(server: OddServer) -> None:
        apps.append((await server.hear_connect())["app"])
        if apps[-1] == "live":
            server.refuse(REJECTED, "code=302", ex={"code": 302, "redirect": "/edge"})
        else:
            await server.accept()
            await server.until_closed()

    await published(url_of(await peers.serve(odd(script))))
    assert apps == ["live", "edge"]


async def test_a_redirect_to_tls_and_none_back(peers, server_tls, client_tls):
    """From rtmp to rtmps; not from rtmps to rtmp, where the key could be read on the way."""
    seen = []
    secure = await peers.serve(taking(seen), server_tls)
    first = await peers.serve(redirecting(f"rtmps://localhost:{secure}/edge"))
    await published(url_of(first), tls=client_tls)
    assert len(seen) == 1
    plain = await peers.serve(taking(seen))
    back = await peers.serve(redirecting(f"rtmp://127.0.0.1:{plain}/edge"), server_tls)
    with pytest.raises(PeerRejected, match="redirects from rtmps to rtmp"):
        await published(url_of(back, host="localhost", scheme="rtmps"), tls=client_tls)
    assert len(seen) == 1


async def test_redirects_in_a_circle(peers):
    """To itself, or from one to the other and back: said in words after each was asked once."""
    ports = []
    ports.append(await peers.serve(redirecting(lambda: f"rtmp://127.0.0.1:{ports[0]}/live")))
    with pytest.raises(PeerRejected, match=rf"^127.0.0.1:{ports[0]} redirects in a circle$"):
        await published(url_of(ports[0]))
    assert peers.accepted == 1
    ports.append(await peers.serve(redirecting(lambda: f"rtmp://127.0.0.1:{ports[2]}/live")))
    ports.append(await peers.serve(redirecting(lambda: f"rtmp://127.0.0.1:{ports[1]}/live")))
    with pytest.raises(PeerRejected, match="redirects in a circle"):
        await published(url_of(ports[1]))
    assert peers.accepted == 3


async def test_redirects_without_end(peers):
    """A new application each time: five are followed."""
    port, count = 0, 0

    def next_place():
        nonlocal count
        count += 1
        return f"rtmp://127.0.0.1:{port}/app{count}"

    port = await peers.serve(redirecting(next_place))
    with pytest.raises(PeerRejected, match="one redirect too many: 5 were followed"):
        await published(url_of(port))
    assert peers.accepted == 6


async def test_a_redirect_to_an_address_of_the_inside(peers):
    """The egress policy is asked for each: in words, and not for ever, as the server may lead elsewhere next time."""
    first = await peers.serve(redirecting("rtmp://127.0.0.2:1935/live"))
    with pytest.raises(
        PeerRejected, match=r"redirects to 127\.0\.0\.2, which the egress policy does not allow"
    ) as caught:
        await published(url_of(first), allow=lambda address: address == "127.0.0.1")
    assert caught.value.retryable


@pytest.mark.parametrize("redirect", ["http://127.0.0.1/live", "rtmp://", "rtmp://user:s3cret-pw@:x/", "\x00", "rtmp:"])
async def test_a_redirect_to_nowhere(peers, redirect):
    """Said in words, without repeating it."""
    first = await peers.serve(redirecting(redirect))
    with pytest.raises(PeerRejected) as caught:
        await published(url_of(first))
    assert "s3cret-pw" not in str(caught.value)


async def test_secrets_of_a_redirect_are_not_shown(peers):
    """Where the next server repeats them."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        server.refuse(REJECTED, "no token t0ken-of-edge here")

    second = await peers.serve(odd(script))
    first = await peers.serve(redirecting(f"rtmp://bob:pa55word@127.0.0.1:{second}/edge?token=t0ken-of-edge"))
    with pytest.raises(PeerRejected, match=rf"^127.0.0.1:{second} refused: {REJECTED}: no token \*\*\* here$"):
        await published(url_of(first))


async def test_a_player_is_redirected_too(peers):
    """As a publisher."""
    apps = []

    async def script(server: OddServer) -> None:
        apps.append((await server.hear_connect())["app"])
        server.say("_result", 1, {}, {"code": "NetConnection.Connect.Success"})
        await server.hear("createStream")
        server.say("_result", 4, None, 1)
        await server.hear("play")
        server.say("onStatus", 0, None, {"level": "status", "code": "NetStream.Play.Start"})
        await server.until_closed()

    second = await peers.serve(odd(script))
    first = await peers.serve(redirecting(f"rtmp://127.0.0.1:{second}/edge"))
    link = await open_play(url_of(first), deadlines=PATIENT)
    link.connection.close()
    assert apps == ["edge"]


async def test_a_server_that_asks_encoders_for_a_password_takes_a_player(peers):
    """By the name alone: the other name is tried once, and remembered."""
    names = []

    async def script(server: OddServer) -> None:
        names.append((await server.hear_connect())["flashVer"])
        if names[-1].startswith("FMLE/"):
            server.refuse(REJECTED, NEED_AUTH)
        else:
            await server.accept()
            await server.until_closed()

    port = await peers.serve(odd(script))
    for _ in range(2):
        await published(url_of(port))
    assert [name.partition(" ")[0] for name in names] == ["FMLE/3.0", "LNX", "LNX"]


async def test_a_server_that_lets_in_by_the_name_of_the_encoder(peers):
    """Akamai and what imitates it look for FMSc/1.0."""

    async def script(server: OddServer) -> None:
        if "FMSc/1.0" in (await server.hear_connect())["flashVer"]:
            await server.accept()
            await server.until_closed()
        else:
            server.refuse(REJECTED, "encoder not allowed")

    await published(url_of(await peers.serve(odd(script))))


@pytest.mark.parametrize("opener", [open_publish, open_play])
async def test_a_server_that_wants_a_user_and_gets_none(peers, opener):
    """Said in words that tell what to do, and asked rarely."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        server.refuse(REJECTED, NEED_AUTH)

    port = await peers.serve(odd(script))
    with pytest.raises(PeerRejected, match="wants a user and a password: write them into the address") as caught:
        await opener(url_of(port), deadlines=PATIENT)
    assert peers.accepted == (2 if opener is open_publish else 1)
    assert caught.value.retry_after_s >= 30


def adobe(user, password, seen):
    """Adobe's authentication as a server does it that takes its query apart."""

    async def script(server: OddServer) -> None:
        app = (await server.hear_connect())["app"]
        query = dict(part.partition("=")[::2] for part in app.partition("?")[2].split("&") if part)
        seen.append(query)
        named = unquote(query.get("user", ""))
        if "response" in query:
            salted = b64encode(md5(f"{user}salt=={password}".encode()).digest()).decode()
            told = b64encode(md5(f"{salted}opaque=={query['challenge']}".encode()).digest()).decode()
            if named == user and query["response"] == told:
                await server.accept()
                await server.until_closed()
            else:
                server.refuse(REJECTED, "[ authmod=adobe ] : ?reason=authfailed&opaque=opaque==")
        elif query:
            reason = "needauth" if named == user else "nosuchuser"
            more = f"user={query['user']}&salt=salt==&challenge=abcd==&opaque=opaque=="
            server.refuse(REJECTED, f"[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason={reason}&{more}")
        else:
            server.refuse(REJECTED, NEED_AUTH)

    return odd(script)


@pytest.mark.parametrize("user", ["a%40b", "a%2Bb", "a%26b", "a%25b", "a%2526b", "a%23b", "a%20b", "用户", "a%3Db"])
async def test_users_with_signs_in_their_names_log_in(peers, user):
    """What would end the field in a query is escaped there; the answer is of the name itself."""
    seen = []
    port = await peers.serve(adobe(unquote(user), "p@ss&word", seen))
    await published(url_of(port, userinfo=f"{user}:p%40ss%26word@"))
    assert len(seen) == 3


@pytest.mark.parametrize(("user", "connections"), [("me", 3), ("eve", 2)])
async def test_a_wrong_password_is_not_tried_over_and_over(peers, user, connections):
    """Each try brings a lock-out closer: a minute passes before the next one."""
    seen = []
    port = await peers.serve(adobe("me", "right", seen))
    with pytest.raises(PeerRejected, match="refuses the user and password of the address") as caught:
        await published(url_of(port, userinfo=f"{user}:wr0ng-password@"))
    assert len(seen) == connections
    assert caught.value.retry_after_s == 60
    assert "wr0ng-password" not in str(caught.value)


@pytest.mark.parametrize(("connect", "stream"), [(1, "1"), ("1", "1"), ("1", 1)])
async def test_a_server_that_writes_numbers_as_text(peers, connect, stream):
    """Taken for what they read as."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        await server.accept(connect=connect, stream=stream)
        await server.until_closed()

    link = await published(url_of(await peers.serve(odd(script))))
    assert link.session.message_stream_id == 1


@pytest.mark.parametrize(
    ("properties", "codecs"),
    [
        ({}, set()),
        ({"fourCcList": ["avc1", "hvc1", 7.0]}, {"avc1", "hvc1"}),
        ({"videoFourCcInfoMap": {"hvc1": 1.0}, "audioFourCcInfoMap": {"*": 1.0}}, {"hvc1", "*"}),
    ],
)
async def test_which_codecs_a_server_takes_is_known(peers, properties, codecs):
    """From its answer to connect."""

    async def script(server: OddServer) -> None:
        await server.hear_connect()
        server.say("_result", 1, properties, {"code": "NetConnection.Connect.Success"})
        await server.hear("createStream")
        server.say("_result", 4, None, 1)
        await server.hear("publish")
        server.say("onStatus", 0, None, {"level": "status", "code": "NetStream.Publish.Start"})
        await server.until_closed()

    link = await published(url_of(await peers.serve(odd(script))))
    assert link.session.peer_codecs == codecs


async def test_a_server_that_never_comes_to_the_point_costs_a_bounded_time(peers):
    """Redirects, each just before the deadline of its step: the session as a whole has one, too."""
    port, count = 0, 0

    async def script(server: OddServer) -> None:
        nonlocal count
        await server.hear_connect()
        count += 1
        await asyncio.sleep(0.2)
        server.refuse(REJECTED, "302", ex={"code": 302, "redirect": f"rtmp://127.0.0.1:{port}/app{count}"})

    port = await peers.serve(odd(script))
    with pytest.raises(PeerUnreachable, match=rf"^RTMP publish at 127.0.0.1:{port} timed out after 0.3 s$"):
        await published(url_of(port), deadlines=Deadlines(session=0.3))
    await peers.all_closed()
