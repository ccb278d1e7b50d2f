"""What kind of failure a destination's is, by what it does: by that it is decided when it is asked again."""

import asyncio
import socket
from functools import partial

import pytest

from scripted.odd_server import SUCCESS, odd
from streamferry.media.errors import (
    DestinationAbsent,
    DestinationClosed,
    DestinationError,
    DestinationUnreachable,
    PublishBusy,
    PublishRefusedLogin,
    PublishRejected,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.push import open_rtmp_session


async def failure_at(port, scheme="rtmp", deadlines=None, **network):
    """How an attempt to publish there ends."""
    url = MediaUrl.parse(f"{scheme}://user:passw0rd@127.0.0.1:{port}/live/pl4nted-k3y")
    with pytest.raises(DestinationError) as caught:
        await open_rtmp_session(url, deadlines=deadlines or Deadlines(), **network)
    return type(caught.value)


async def closes_at_once(server):
    pass


async def closes_in_handshake(server):
    await server._in.readexactly(1)


async def closes_at_connect(server):
    await server.hear_connect()


async def create(server):
    """Up to the client's publish."""
    await server.hear_connect()
    server.say("_result", 1, {}, SUCCESS)
    await server.hear("createStream")
    server.say("_result", 4, None, 1)
    await server.hear("publish")


async def resets_at_publish(server):
    await create(server)
    server.out.transport.abort()


async def is_silent_at_publish(server):
    await create(server)
    await server.until_closed()


async def refuses_publish(server, code, words):
    await create(server)
    server.say("onStatus", 0, None, {"level": "error", "code": code, "description": words})


async def refuses_the_login(server):
    await server.hear_connect()
    server.refuse("NetConnection.Connect.Rejected", "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed")


async def speaks_another_language(server):
    server.out.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await server.until_closed()


def says(code, words):
    return partial(refuses_publish, code=code, words=words)


FAILURES = [
    (closes_at_once, DestinationAbsent),
    (closes_in_handshake, DestinationAbsent),
    (closes_at_connect, DestinationClosed),
    (create, DestinationClosed),
    (resets_at_publish, DestinationClosed),
    (is_silent_at_publish, DestinationAbsent),
    (speaks_another_language, DestinationUnreachable),
    (refuses_the_login, PublishRefusedLogin),
    # Words of nginx-rtmp, ZLMediaKit, node-media-server and Wowza.
    (says("NetStream.Publish.BadName", "Already publishing"), PublishBusy),
    (says("NetStream.Publish.BadName", "Stream already publishing"), PublishBusy),
    (says("NetStream.Publish.BadName", "Stream name is already in use"), PublishBusy),
    (says("NetStream.Publish.BadName", ""), PublishBusy),
    (says("NetStream.Publish.BadName", "the key is not known here"), PublishRejected),
    (says("NetStream.publish.Unauthorized", "Authorization required."), PublishRejected),
]


@pytest.mark.parametrize(("script", "kind"), FAILURES)
async def test_what_a_server_does_tells_whether_it_is_there(peers, script, kind):
    port = await peers.serve(odd(script))
    deadlines = Deadlines(response=0.2) if script is is_silent_at_publish else Deadlines()
    assert await failure_at(port, deadlines=deadlines) is kind


async def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await failure_at(unused.getsockname()[1]) is DestinationAbsent


async def test_a_certificate_that_is_not_good_does_not_become_so_within_a_second(peers, server_tls):
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert await failure_at(await peers.serve(script, server_tls), "rtmps") is DestinationUnreachable
