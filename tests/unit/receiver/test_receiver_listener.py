"""Receiver: takes any publisher, tells how each stream ended, keeps nothing."""

import asyncio

import pytest

from scripted.camera import Camera, laid
from scripted.waiting import until
from streamferry.media.errors import PeerRejected
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.rtmp import open_play
from streamferry.push import open_rtmp_session
from streamferry.receiver import Receiver


@pytest.fixture
async def receiver():
    async with Receiver() as receiver:
        yield receiver


async def is_closed(reader):
    """Whether the peer has closed, with or without a reset."""
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


def url_of(receiver):
    return MediaUrl.parse(f"rtmp://127.0.0.1:{receiver.port}/any/s3cret-key")


async def published(receiver):
    """A session that has sent a second of a stream, which has arrived."""
    session = await open_rtmp_session(url_of(receiver), deadlines=Deadlines())
    camera = Camera()
    session.write(laid(camera.headers() + camera.film(1)))
    stream = receiver.streams[-1]
    await until("the frames", lambda: stream.meter.video.frames == 25 and stream.meter.audio.frames == 50)
    return session, stream


async def test_a_stream_is_metered_until_it_is_unpublished(receiver):
    """Told when it begins and when it ends, with its application and never its key."""
    session, stream = await published(receiver)
    assert (stream.app, stream.ended) == ("any", None)
    assert not any("s3cret" in str(value) for value in vars(stream).values())
    await session.aclose()
    await until("the end", lambda: stream.ended == "unpublished")


async def test_a_stream_whose_connection_closes_was_closed(receiver):
    """No word before the end."""
    session, stream = await published(receiver)
    session.abort()
    await until("the end", lambda: stream.ended in ("closed", "broken"))


async def test_streams_that_ended_long_ago_are_forgotten(monkeypatch):
    """A receiver that runs for months does not keep all it ever saw; a stream that lasts is kept."""
    monkeypatch.setattr("streamferry.receiver.listener._REMEMBERED", 2)
    async with Receiver() as receiver:
        lasting, first = await published(receiver)
        for _ in range(3):
            session, stream = await published(receiver)
            await session.aclose()
            await until("the end", lambda stream=stream: stream.ended == "unpublished")
        assert len(receiver.streams) == 2
        assert receiver.streams == [first, stream]
        lasting.abort()


async def test_streams_are_told_at_both_ends_of_their_life():
    """``on_stream`` is called twice for each."""
    told = []
    async with Receiver(on_stream=lambda stream: told.append(stream.ended)) as receiver:
        session, _ = await published(receiver)
        await session.aclose()
        await until("the end", lambda: len(told) == 2)
    assert told == [None, "unpublished"]


async def test_who_opens_connections_without_end_takes_no_more_than_a_bounded_number():
    """The next is closed at once, the streams that are there go on, and a place that is left is free again."""
    async with Receiver(max_connections=2) as receiver:
        session, stream = await published(receiver)
        _, idle = await asyncio.open_connection("127.0.0.1", receiver.port)
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            assert await is_closed(reader)
            writer.close()
        assert stream.ended is None
        idle.close()
        await until("a place", lambda: len(receiver._connections) == 1)
        other, _ = await published(receiver)
        assert stream.ended is None
        other.abort()
        session.abort()


async def test_players_are_refused(receiver):
    """It keeps nothing to play."""
    with pytest.raises(PeerRejected, match="keeps nothing to play"):
        await open_play(url_of(receiver), deadlines=Deadlines())


async def test_babble_breaks_one_connection_and_no_other(receiver):
    """What is no RTMP is closed; the streams of others go on."""
    session, stream = await published(receiver)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 200)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert stream.ended is None
    await session.aclose()


async def test_leaving_ends_the_streams():
    """Whoever still publishes is told by the end of the connection."""
    async with Receiver() as receiver:
        session, stream = await published(receiver)
    assert stream.ended == "closed"
    session.abort()
