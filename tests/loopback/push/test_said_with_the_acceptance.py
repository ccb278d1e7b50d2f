"""What a server says right after it has accepted a publish: in the same read, or cut anywhere."""

import asyncio

from scripted.waiting import until
from streamferry.media.errors import PublishRejected
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.push import open_rtmp_session
from streamferry.wire.rtmp.message import MessageType, UserControl, parse_user_control, serialize_user_control
from streamferry.wire.rtmp.session import ConnectRequested, PublishRequested, ServerSession

PING = serialize_user_control(UserControl.PING_REQUEST, 4711)


class Talker(ServerSession):
    """A server that keeps the pongs it gets."""

    def __init__(self):
        super().__init__(random=b"seed")
        self.pongs = []

    def ping(self):
        self._send(2, MessageType.USER_CONTROL, 0, PING)
        return self.data_to_send()

    def deny(self):
        self.send_status("error", "NetStream.Publish.Denied", "enough")
        return self.data_to_send()

    def _handle_user_control(self, payload):
        self.pongs.append(parse_user_control(payload))
        return super()._handle_user_control(payload)


async def publish_to_talker(peers, say, cut):
    """Publish to a server that says ``cut`` bytes with its acceptance and the rest after it.

    Gives the session, the server's, and how much it had to say.
    """
    is_open, said = asyncio.Event(), []
    talker = Talker()

    async def talk(reader, writer):
        while data := await reader.read(65536):
            for event in talker.receive(data):
                if isinstance(event, ConnectRequested):
                    talker.accept()
                elif isinstance(event, PublishRequested):
                    talker.accept()
                    acceptance = talker.data_to_send()
                    said.append(say(talker))
                    writer.write(acceptance + said[0][:cut])
                    await is_open.wait()
                    writer.write(said[0][cut:])
            writer.write(talker.data_to_send())

    url = MediaUrl.parse(f"rtmp://127.0.0.1:{await peers.serve(talk)}/live/key")
    try:
        session = await open_rtmp_session(url, deadlines=Deadlines())
    finally:
        is_open.set()
    return session, talker, len(said[0])


async def test_an_end_that_began_with_the_acceptance_was_not_heard(peers):
    """Wherever the read with the acceptance stops in what follows it, the server's words end the session."""
    cut = size = 0
    while cut <= size:
        refusal = None
        try:
            session, _, size = await publish_to_talker(peers, Talker.deny, cut)
            try:
                await until("the end to be heard", session.check)
            finally:
                session.abort()
        except PublishRejected as error:
            refusal = str(error)
        assert refusal is not None
        assert "NetStream.Publish.Denied" in refusal
        cut += 1
    assert size > 100


async def test_a_ping_that_began_with_the_acceptance_was_not_answered(peers):
    """Wherever the read with the acceptance stops in it, the last time behind it."""
    cut = size = 0
    while cut <= size:
        session, talker, size = await publish_to_talker(peers, Talker.ping, cut)
        try:
            await until("the pong", lambda: session.flush() and talker.pongs)  # noqa: B023
            assert talker.pongs == [(UserControl.PING_RESPONSE, 4711)]
        finally:
            session.abort()
        cut += 1
    assert size > 10
