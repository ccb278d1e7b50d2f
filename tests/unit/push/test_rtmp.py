"""RtmpSession: what the wire carries, partial writes, and what the peer says while it is published to."""

import asyncio
import socket
import struct

import pytest

from scripted.camera import AAC_HEADER, AVC_HEADER, METADATA_BODY, Camera, laid, picture, sound
from scripted.waiting import until
from streamferry.media.errors import DestinationUnreachable, PublishRejected
from streamferry.media.tag import AUDIO, SCRIPT, SEQUENCE_HEADER, VIDEO
from streamferry.wire.rtmp.message import MessageType, UserControl, serialize_user_control

SET_DATA_FRAME = b"\x02\x00\x0d@setDataFrame"


async def test_stamps_count_from_the_first_frame_of_the_session(publish):
    """Headers go first, at 0; the first picture is at 0 wherever the output clock stands, and sound beside it."""
    session, far = publish()
    camera = Camera(7_200_000)
    tags = laid(camera.headers() + camera.film(0.2))
    assert session.write(tags) == len(tags)
    received = await far.receive_until(len(tags))
    assert received[:3] == [
        (SCRIPT, 0, METADATA_BODY),
        (VIDEO, 0, AVC_HEADER),
        (AUDIO, 0, AAC_HEADER),
    ]
    assert [tag[1] for tag in received if tag[0] == VIDEO][1:] == [0, 40, 80, 120, 160]
    assert [tag[1] for tag in received if tag[0] == AUDIO][1:] == list(range(0, 200, 20))
    assert [tag[2] for tag in received[1:]] == [tag[2] for tag in tags[1:]]


async def test_sound_from_before_the_first_picture_is_left_out(publish):
    """Sound whose time lies before the session's 0 counts as sent and does not go, so that no stamp is negative."""
    session, far = publish()
    tags = laid([(VIDEO, 1000, picture(0, is_key=True)), (AUDIO, 990, sound(1)), (AUDIO, 1010, sound(2))])
    assert session.write(tags) == 3
    assert await far.receive_until(2) == [(VIDEO, 0, tags[0][2]), (AUDIO, 10, tags[2][2])]


async def test_a_header_from_before_the_first_picture_goes_all_the_same(publish):
    """Sound that lies a little behind the picture brings its header with its own time: without it nothing is heard."""
    session, far = publish()
    session.write([*laid([(VIDEO, 1000, picture(0, is_key=True))]), (AUDIO, 980, AAC_HEADER, SEQUENCE_HEADER)])
    assert await far.receive_until(2) == [(VIDEO, 0, picture(0, is_key=True)), (AUDIO, 0, AAC_HEADER)]


@pytest.mark.parametrize("limit", [1 << 24, 1 << 31, 1 << 32])
async def test_stamps_pass_the_limits_of_the_wire(publish, limit):
    """A session that lasts past 2^24, 2^31 and 2^32 ms: stamps go on, modulo 2^32."""
    session, far = publish()
    times = [5, 5 + limit - 40, 5 + limit, 5 + limit + 40]
    session.write(laid([(VIDEO, ms, picture(n, is_key=True)) for n, ms in enumerate(times)]))
    stamps = [tag[1] for tag in await far.receive_until(4)]
    assert stamps == [0, limit - 40, limit % (1 << 32), (limit + 40) % (1 << 32)]


@pytest.mark.parametrize("body", [METADATA_BODY, SET_DATA_FRAME + METADATA_BODY], ids=["FLV", "RTMP"])
async def test_metadata_says_set_data_frame_once(publish, body):
    """Servers want the word, an FLV file has none, and what an RTMP source gives may carry it already."""
    session, far = publish()
    session.write(laid([(SCRIPT, 0, memoryview(body))]))
    assert await far.receive_until(1) == [(SCRIPT, 0, METADATA_BODY)]
    assert far.raw.count(SET_DATA_FRAME + METADATA_BODY) == far.raw.count(b"@setDataFrame") == 1


@pytest.mark.parametrize("size_bytes", [50, 3_000, 150_000])
async def test_partial_writes_lose_and_repeat_nothing(publish, size_bytes):
    """With tiny buffers in the kernel every tag arrives whole, once and in order, whoever is slow."""
    session, far = publish(4096)
    sent = laid([(VIDEO, 40 * n, picture(n, size_bytes, is_key=n == 0)) for n in range(60)])
    rest, was_blocked, async_turns = list(sent), False, 0
    async with asyncio.timeout(30):
        while len(far.tags) < len(sent):
            taken = session.write([(t, ms, memoryview(body), kind) for t, ms, body, kind in rest[:7]])
            del rest[:taken]
            if taken == 0:
                was_blocked = True
            far.receive(1 + async_turns * 997 % 5000)
            async_turns += 1
            await asyncio.sleep(0)
    assert was_blocked or size_bytes == 50
    assert not rest
    assert far.tags == [(t, ms, body) for t, ms, body, _ in sent]
    assert not session.is_blocked


async def test_a_tag_that_left_by_half_keeps_its_bytes_though_the_buffer_is_reused(publish):
    """What the kernel did not take is copied: the beat's buffer holds another stream's bytes a moment later."""
    session, far = publish(4096)
    scratch = bytearray(picture(1, 1_000_000, is_key=True))
    whole = bytes(scratch)
    assert session.write([(VIDEO, 0, memoryview(scratch), 1)]) == 1
    assert session.is_blocked
    scratch[:] = bytes(len(scratch))
    async with asyncio.timeout(30):
        while not far.tags:
            session.flush()
            far.receive()
            await asyncio.sleep(0)
    assert far.tags == [(VIDEO, 0, whole)]


async def test_acknowledged_is_what_the_peers_tcp_took(publish):
    """Bytes the peer's TCP has no room for are sent and not acknowledged, until it reads."""
    session, far = publish(4096)
    session.write(laid([(VIDEO, 0, picture(1, 1_000_000, is_key=True))]))
    assert 0 <= session.acked_bytes < session.sent_bytes < 1_000_000
    async with asyncio.timeout(30):
        while not far.tags:
            session.flush()
            far.receive()
            await asyncio.sleep(0)
    await until("all to be acknowledged", lambda: session.acked_bytes == session.sent_bytes)
    assert session.acked_bytes == session.sent_bytes > 1_000_000


def refuse(far):
    far.session.send_status("error", "NetStream.Publish.Denied", "enough")
    far.say()


def refuse_and_close(far):
    refuse(far)
    far.sock.close()


def close(far):
    far.sock.close()


def reset(far):
    far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.sock.close()


def babble(far):
    far.say(b"\xff" * 64)


ENDS = [
    (refuse, PublishRejected, "the destination ended the stream: NetStream.Publish.Denied"),
    (refuse_and_close, PublishRejected, "the destination ended the stream: NetStream.Publish.Denied"),
    (close, DestinationUnreachable, "the destination closed the connection"),
    (reset, DestinationUnreachable, "the connection to the destination broke: Connection reset by peer"),
    (babble, DestinationUnreachable, "the destination sent what RTMP does not allow: "),
]


@pytest.mark.parametrize(("end", "error", "words"), ENDS, ids=[end.__name__ for end, _, _ in ENDS])
async def test_a_peer_that_ends_the_session_is_noticed_without_a_write(publish, end, error, words):
    """However it ends, ``check`` tells, in the peer's words where it had any; so does every write after that."""
    session, far = publish()
    session.write(laid([(VIDEO, 0, picture(0, is_key=True))]))
    await far.receive_until(1)
    end(far)
    with pytest.raises(error) as caught:
        await until("the end to be noticed", session.check)
    assert str(caught.value).startswith(words)
    with pytest.raises(error):
        session.write(laid([(VIDEO, 40, picture(1))]))


async def test_a_write_that_fails_first_still_tells_the_peers_words(publish):
    """A refusal that waits to be read when a write finds the connection broken is what is told."""
    session, far = publish()
    session.write(laid([(VIDEO, 0, picture(0, is_key=True))]))
    refuse_and_close(far)

    def write_on():
        for number in range(1, 1000):  # No await: the event loop has no chance to read first.
            session.write(laid([(VIDEO, 40 * number, picture(number, 100_000))]))

    with pytest.raises(PublishRejected, match=r"Publish\.Denied"):
        write_on()


async def test_a_ping_is_answered_between_tags(publish):
    """A pong never lands inside a tag that left by half."""
    session, far = publish(4096)
    big = picture(1, 500_000, is_key=True)
    session.write(laid([(VIDEO, 0, big)]))
    assert session.is_blocked
    ping = serialize_user_control(UserControl.PING_REQUEST, 4711)
    far.session._send(2, MessageType.USER_CONTROL, 0, ping)
    far.say()
    answers = []
    far.session._handle_user_control = lambda payload: answers.append(bytes(payload))
    async with asyncio.timeout(30):
        while not answers:
            session.flush()
            far.receive()
            await asyncio.sleep(0)
    assert far.tags == [(VIDEO, 0, big)]
    assert answers == [serialize_user_control(UserControl.PING_RESPONSE, 4711)]


async def test_an_answer_that_waited_for_the_next_media_held_a_list_for_a_visit(publish):
    """A ping is answered when it comes, and nothing is in the way of what follows."""
    session, far = publish()
    session.write(laid([(VIDEO, 0, picture(0, is_key=True))]))
    far.session._send(2, MessageType.USER_CONTROL, 0, serialize_user_control(UserControl.PING_REQUEST, 4711))
    far.say()
    answers = []
    far.session._handle_user_control = lambda payload: answers.append(bytes(payload))
    async with asyncio.timeout(30):
        while not answers:
            far.receive()
            await asyncio.sleep(0)
    assert answers == [serialize_user_control(UserControl.PING_RESPONSE, 4711)]
    assert not session.is_blocked


async def test_closing_unpublishes(publish):
    """The peer hears that the stream was ended on purpose, behind the last tag, and then the connection closes."""
    session, far = publish()
    session.write(laid([(VIDEO, 0, picture(0, is_key=True))]))
    closing = asyncio.ensure_future(session.aclose())
    async with asyncio.timeout(30):
        while not far.is_closed:
            far.receive()
            await asyncio.sleep(0)
    far.sock.close()
    await closing
    assert far.is_unpublished
    assert len(far.tags) == 1


async def test_closing_does_not_wait_for_ever(publish, monkeypatch):
    """A peer that reads nothing holds up the end no longer than its deadline, and half a tag is no reason to fail."""
    monkeypatch.setattr("streamferry.push.rtmp.UNPUBLISH_S", 0.05)
    session, far = publish(4096)
    session.write(laid([(VIDEO, 0, picture(0, 1_000_000, is_key=True))]))
    async with asyncio.timeout(30):
        await session.aclose()
    while far.receive():
        pass
    assert not far.is_unpublished


async def test_a_broadcast_that_goes_on_is_not_unpublished(publish):
    """Platforms wait for a while for who just closes, and end the broadcast of who says so."""
    session, far = publish()
    session.write(laid([(VIDEO, 0, picture(0, is_key=True))]))
    closing = asyncio.ensure_future(session.aclose(goes_on=True))
    async with asyncio.timeout(30):
        while not far.is_closed:
            far.receive()
            await asyncio.sleep(0)
    far.sock.close()
    await closing
    assert not far.is_unpublished
    assert b"FCUnpublish" not in far.raw
    assert len(far.tags) == 1


async def test_a_peer_that_takes_little_hears_of_the_end_all_the_same(publish, monkeypatch):
    """It was reset behind its back after the deadline, and what it had not read yet was lost, the end included."""
    monkeypatch.setattr("streamferry.push.rtmp.UNPUBLISH_S", 0.05)
    session, far = publish()
    session.drop_late(65536)
    number = 0
    while session.write(laid([(VIDEO, number * 40, picture(number, 20_000, is_key=True))])) and not session.is_blocked:
        number += 1
    async with asyncio.timeout(30):
        await session.aclose()
    async with asyncio.timeout(30):
        while not far.is_closed:
            far.receive(8192)
            await asyncio.sleep(0)
    assert far.is_unpublished
    assert len(far.tags) >= number


async def test_who_is_aborted_while_closing_sends_nothing_more(publish):
    """Another worker may be using the key by then: what the kernel holds is thrown away."""
    session, far = publish()
    session.drop_late(65536)
    number = 0
    while session.write(laid([(VIDEO, number * 40, picture(number, 20_000, is_key=True))])) and not session.is_blocked:
        number += 1
    closing = asyncio.ensure_future(session.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with asyncio.timeout(30):
        while not far.is_closed:
            far.receive(8192)
            await asyncio.sleep(0)
    assert not far.is_unpublished


async def test_closing_after_the_peer_is_gone(publish):
    """There is nobody to tell, which is no error."""
    session, far = publish()
    reset(far)
    async with asyncio.timeout(30):
        await session.aclose()
