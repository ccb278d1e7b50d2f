"""Outlet: what goes to a session, what waits for one, and when a destination is given up. Time is an argument."""

import asyncio
from itertools import pairwise

import pytest

from scripted.camera import AAC_HEADER, AVC_HEADER, Camera, laid, number_of, picture, sound
from scripted.waiting import until
from streamferry.media.errors import DestinationStalled, DestinationUnreachable
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, START, VIDEO
from streamferry.push import Outlet
from streamferry.push.outlet import STALL_S
from streamferry.reasons import Code
from streamferry.timeline import Timeline
from streamferry.wire.rtmp.message import MessageType

HEADERS = laid([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)])


def pictures(tags):
    return [number_of(tag) for tag in tags if tag[0] == VIDEO and tag[2][1] == 1]


async def all_received(far, number, outlet=None):
    """Wait for the picture of that number, while the outlet sends what waits in it."""

    def look():
        far.receive()
        if outlet is not None:
            outlet.offer([])
        return number in pictures(far.tags)

    await until(f"picture {number}", look)


async def test_a_session_starts_with_the_headers_and_the_group_that_was_kept(publish):
    """A destination that comes late gets headers, then the latest keyframe and all behind it, at once."""
    outlet, camera = Outlet(), Camera(gop=25)
    outlet.offer(laid(camera.film(1.4)))
    session, far = publish()
    outlet.attach(session, HEADERS, 100.0)
    outlet.offer([])
    await all_received(far, 34)
    assert [tag[2] for tag in far.tags[:2]] == [AVC_HEADER, AAC_HEADER]
    assert pictures(far.tags) == list(range(25, 35))
    assert far.tags[2][1] == 0
    assert outlet.dropped_tags == 0
    assert outlet.media_time_ms == 34 * 40 + 20


async def test_a_session_without_a_kept_group_waits_for_a_keyframe(publish):
    """Frames nobody can start at are not sent to a new session."""
    outlet, camera = Outlet(), Camera(gop=25)
    camera.shoot()
    session, far = publish()
    outlet.attach(session, HEADERS, 0.0)
    for _ in range(26):
        outlet.offer(laid(camera.shoot()))
    await all_received(far, 26)
    assert pictures(far.tags) == [25, 26]
    assert [tag[1] for tag in far.tags if tag[0] == VIDEO] == [0, 0, 40]


async def test_nothing_stale_goes_to_the_next_session(publish):
    """What waited for a session that was lost is not given to the next; both count their bytes."""
    outlet, camera = Outlet(), Camera(gop=10, frame_bytes=50_000)
    first, _ = publish(4096)
    outlet.attach(first, HEADERS, 0.0)
    outlet.offer(laid(camera.film(1.2)))
    assert outlet.is_backed_up
    assert outlet.detach() is first
    assert not outlet.is_backed_up
    sent_before = outlet.bytes_out
    assert sent_before == first.sent_bytes > 0
    outlet.offer(laid(camera.film(0.2)))
    second, far = publish()
    outlet.attach(second, HEADERS, 1.0)
    outlet.offer(laid(camera.film(0.4)))
    await all_received(far, camera.pictures - 1, outlet)
    assert pictures(far.tags) == list(range(30, 45))
    assert outlet.bytes_out == sent_before + second.sent_bytes
    assert not outlet.detach().is_blocked
    assert outlet.detach() is None


async def test_backlog_and_news_keep_their_order(publish):
    """While a peer is slow all waits in line; once it reads, all arrives, in order and decodable."""
    outlet, camera = Outlet(), Camera(gop=10, frame_bytes=20_000)
    session, far = publish(4096)
    outlet.attach(session, [], 0.0)
    for turn in range(200):
        outlet.offer(laid(camera.shoot()))
        far.receive(5_000 if turn < 100 else 1 << 20)
        await asyncio.sleep(0)
    newest = camera.pictures - 1
    async with asyncio.timeout(30):
        while newest not in pictures(far.tags):
            outlet.offer([])
            far.receive()
            await asyncio.sleep(0)
    arrived = [tag for tag in far.tags if tag[0] == VIDEO]
    assert outlet.dropped_tags > 0
    for before, after in pairwise(arrived):
        assert number_of(after) > number_of(before)
        assert after[1] > before[1]
        assert number_of(after) == number_of(before) + 1 or after[2][0] == 0x17
    assert not outlet.is_backed_up


async def test_one_call_sends_no_more_than_its_share(publish):
    """A large backlog leaves over several beats, so that it does not hold up other streams."""
    outlet, camera = Outlet(), Camera(gop=1000, frame_bytes=40_000)
    outlet.offer(laid(camera.film(10)))
    session, far = publish(32 << 20)
    outlet.attach(session, HEADERS, 0.0)
    outlet.offer([])
    assert 0 < outlet.bytes_out < 5_000_000
    assert outlet.is_backed_up
    beats = 0

    def beat():
        nonlocal beats
        beats += 1
        outlet.offer([])
        far.receive()
        return not outlet.is_backed_up

    await until("the backlog to leave", beat)
    assert beats >= 2
    await all_received(far, 249)


async def check_for(outlet, seconds, began):
    """Look every half second of a clock that is only a number, as the flow does."""
    for step in range(1, int(seconds * 2) + 1):
        outlet.check_liveness(began + step / 2)


async def test_a_peer_that_acknowledges_nothing_is_given_up_after_ten_seconds(publish):
    """From its last sign of life, while bytes wait for it, on a connection that stands."""
    outlet = Outlet()
    session, _ = publish(4096)
    outlet.attach(session, [], 50.0)
    outlet.offer(laid([(VIDEO, 0, picture(0, 150_000, is_key=True))]))
    outlet.check_liveness(50.5)
    await check_for(outlet, STALL_S - 0.5, 50.5)
    assert outlet.last_progress_at == 50.5
    with pytest.raises(DestinationStalled, match="has taken no bytes for 10 s"):
        outlet.check_liveness(50.5 + STALL_S)


async def test_a_peer_that_takes_a_little_is_not_given_up(publish):
    """Any acknowledged byte is a sign of life."""
    outlet = Outlet()
    session, far = publish(4096)
    outlet.attach(session, [], 0.0)
    outlet.offer(laid([(VIDEO, 0, picture(0, 200_000, is_key=True))]))
    now = 0.0
    for _ in range(4):
        now += STALL_S - 1
        acked = session.acked_bytes

        def took(acked=acked):
            far.receive(20_000)
            outlet.offer([])
            return session.acked_bytes > acked

        await until("an acknowledgement", took)
        outlet.check_liveness(now)
        assert outlet.last_progress_at == now


async def test_a_peer_that_has_taken_everything_may_be_silent(publish):
    """With nothing to take, no acknowledgement is missing; the clock starts when there is something again."""
    outlet = Outlet()
    session, far = publish()
    outlet.attach(session, [], 0.0)
    outlet.offer(laid([(VIDEO, 0, picture(0, is_key=True))]))
    await all_received(far, 0)
    await until("the acknowledgement", lambda: session.acked_bytes == session.sent_bytes)
    await check_for(outlet, 60, 0.0)
    assert outlet.has_acked
    assert outlet.is_drained


async def test_drained_means_acknowledged(publish):
    """Sent and not acknowledged, or waiting, is not drained; nor is what lost its session."""
    outlet = Outlet()
    assert not outlet.is_drained
    session, far = publish(4096)
    outlet.attach(session, [], 0.0)
    outlet.offer(laid([(VIDEO, 0, picture(0, 150_000, is_key=True))]))
    outlet.check_liveness(0.5)
    assert not outlet.is_drained

    def drained():
        far.receive()
        outlet.offer([])
        outlet.check_liveness(1.0)
        return outlet.is_drained

    await until("the end", drained)
    await all_received(far, 0)


async def test_a_peer_that_leaves_is_noticed_with_nothing_to_send(publish):
    """Between two tags too."""
    outlet = Outlet()
    session, far = publish()
    outlet.attach(session, [], 0.0)
    far.sock.close()
    with pytest.raises(DestinationUnreachable, match="closed the connection"):
        await until("the loss", lambda: outlet.check_liveness(1.0))


def test_without_a_session_nothing_is_stalled():
    """Nobody is there to be slow."""
    outlet = Outlet()
    outlet.offer(laid(Camera().film(1)))
    outlet.check_liveness(1000.0)
    assert outlet.bytes_out == 0
    assert outlet.detach() is None


@pytest.mark.parametrize("kind", [START, SEQUENCE_HEADER])
async def test_views_are_not_kept(publish, kind):
    """Whatever waits is copied: the buffer behind a view belongs to the next stream of the beat."""
    outlet = Outlet()
    session, far = publish(4096)
    outlet.attach(session, [], 0.0)
    first = bytearray(picture(0, 200_000, is_key=True))
    second = bytearray(picture(1, 900, is_key=True) if kind == START else AVC_HEADER)
    wanted = [bytes(first), bytes(second)]
    outlet.offer([(VIDEO, 0, memoryview(first), START), (VIDEO, 40, memoryview(second), kind)])
    first[:], second[:] = bytes(len(first)), bytes(len(second))

    def received():
        far.receive()
        outlet.offer([])
        return len(far.tags) == 2

    await until("both", received)
    assert [tag[2] for tag in far.tags] == wanted


async def sounds_that_arrive(publish, timeline, outlet, tags):
    """Numbers of the sounds that a new session gets of what a timeline makes of the tags, a beat at a time."""
    session, far = publish()
    outlet.attach(session, timeline.headers, 0.0)
    for at in range(0, len(tags), 5):
        laid_now = []
        timeline.lay(tags[at : at + 5], laid_now)
        outlet.offer(laid_now)
        far.receive()
    await until("all to arrive", lambda: far.receive() == 0 and session.acked_bytes == session.sent_bytes)
    outlet.detach()
    return [number_of(tag) for tag in far.tags if tag[0] == AUDIO and tag[2][1] == 1]


async def test_sound_behind_a_picture_header_is_sent(publish):
    """A server that kept a camera's header, and sound alone after it: a destination gets the sound."""
    timeline, outlet = Timeline(), Outlet()
    timeline.begin_live()
    headers = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]
    tags = [(AUDIO, 20 * number, sound(number)) for number in range(3000)]
    arrived = await sounds_that_arrive(publish, timeline, outlet, headers + tags)
    assert arrived == list(range(arrived[0], 3000))
    assert len(arrived) > 2000
    # Another destination session, without a word from the source.
    tags = [(AUDIO, 20 * number, sound(number)) for number in range(3000, 3100)]
    assert await sounds_that_arrive(publish, timeline, outlet, tags) == list(range(3000, 3100))


async def test_a_new_session_gets_sound_whose_picture_has_stayed_away(publish):
    """One keyframe, which a server had kept, then sound for ever: who connects later waits for no other."""
    timeline, outlet = Timeline(), Outlet()
    timeline.begin_live()
    tags = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER), (VIDEO, 0, picture(0, is_key=True))]
    tags += [(AUDIO, 20 * number, sound(number)) for number in range(1000)]
    assert await sounds_that_arrive(publish, timeline, outlet, tags) == list(range(1000))
    tags = [(AUDIO, 20 * number, sound(number)) for number in range(1000, 1100)]
    assert await sounds_that_arrive(publish, timeline, outlet, tags) == list(range(1000, 1100))


async def test_what_cannot_be_held_back_is_buffered_little(publish):
    """Of a live stream the kernel takes less than of a file, so that what is late waits where it can be dropped."""
    sent = []
    for drops in (True, False):
        outlet = Outlet()
        session, _ = publish(4 << 20)
        if drops:
            session.drop_late(512 << 10)
        outlet.attach(session, [], 0.0)
        outlet.offer(laid([(VIDEO, 0, picture(0, 4 << 20, is_key=True))]))
        sent.append(session.sent_bytes)
    assert sent[0] < sent[1]


async def test_what_a_destination_misses_while_it_is_away_is_counted(publish):
    """It was counted nowhere: "dropped 0, retries 6" did not tell how much was missing."""
    outlet, camera = Outlet(), Camera(gop=25)
    outlet.offer(laid(camera.film(2)))
    session, _ = publish()
    outlet.attach(session, HEADERS, 100.0)
    for _ in range(10):
        outlet.offer(laid(camera.film(0.2)))
    # Nobody was there before, so nothing was lost.
    assert outlet.lost_ms == 0
    last_ms = outlet.media_time_ms
    outlet.detach()
    outlet.offer(laid(camera.film(5.5)))
    session, far = publish()
    outlet.attach(session, [], 110.0)
    # What was kept for it was not: from the keyframe at 9 s on.
    assert last_ms + outlet.lost_ms == 9000
    outlet.offer(laid(camera.film(1)))
    await all_received(far, camera.pictures - 1, outlet)
    assert last_ms + outlet.lost_ms == 9000


@pytest.mark.parametrize("drops", [False, True])
async def test_sessions_that_end_before_anything_leaves_count_once(publish, drops):
    """As with a destination that accepts and closes at once: each attempt counted again from the last good session."""
    outlet, camera = Outlet(), Camera(gop=25)
    session, _ = publish()
    outlet.attach(session, HEADERS, 100.0)
    outlet.offer(laid(camera.film(1)))
    last_ms = outlet.media_time_ms
    for _ in range(5):
        outlet.detach()
        outlet.offer(laid(camera.film(10)))
        session, _ = publish()
        outlet.attach(session, [], 110.0)
        if drops:
            session._fail(DestinationUnreachable(Code.DESTINATION_CLOSED))
            with pytest.raises(DestinationUnreachable):
                outlet.offer(laid(camera.shoot()))
    assert outlet.media_time_ms == last_ms
    assert outlet.lost_ms == pytest.approx(camera.pictures * 40 - last_ms, abs=1000)


async def test_a_destination_that_is_back_at_once_has_missed_nothing(publish):
    outlet, camera = Outlet(), Camera(gop=1)
    for _ in range(3):
        session, _ = publish()
        outlet.attach(session, [], 100.0)
        outlet.offer(laid(camera.film(1)))
        outlet.detach()
    assert outlet.lost_ms == 0


async def test_up_to_the_next_keyframe_counts_as_missed(publish):
    """No group was kept: the session begins in the middle of one."""
    outlet, camera = Outlet(), Camera(gop=50)
    session, _ = publish()
    outlet.attach(session, HEADERS, 100.0)
    outlet.offer(laid(camera.film(1)))
    outlet.detach()
    session, _ = publish()
    outlet.attach(session, HEADERS, 101.0)
    outlet.offer(laid(camera.film(0.5)))
    assert outlet.lost_ms == 0
    outlet.offer(laid(camera.film(2)))
    assert outlet.lost_ms == pytest.approx(1000, abs=80)


async def test_what_a_slow_destination_misses_is_counted_once(publish):
    """In its session what was dropped, and what came after that until it was given up."""
    outlet, camera = Outlet(), Camera(gop=25, frame_bytes=20_000)
    session, _ = publish(4096)
    outlet.attach(session, HEADERS, 100.0)
    began_ms = 0
    for _ in range(10):
        outlet.offer(laid(camera.film(1)))
    sent_ms, dropped_ms = outlet.media_time_ms, outlet.lost_ms
    assert outlet.dropped_tags > 100
    assert 4000 <= dropped_ms <= 10_000
    outlet.detach()
    session, _ = publish()
    outlet.attach(session, HEADERS, 110.0)
    outlet.offer(laid(camera.film(1)))
    assert outlet.lost_ms == pytest.approx(10_000 - sent_ms - began_ms, abs=200)


async def test_how_a_connection_is_doing(publish):
    """Its round trip and rate are the kernel's; the server's own acknowledgements are told where it sends any."""
    outlet, camera = Outlet(), Camera(gop=25)
    session, far = publish()
    outlet.attach(session, HEADERS, 100.0)
    outlet.offer(laid(camera.film(2)))
    await all_received(far, 49, outlet)
    link = session.link
    assert 0 < link.tcp.rtt_ms < 1000
    assert link.tcp.delivery_kbps > 0
    assert link.server_ack_s is None
    far.session._send_control(MessageType.ACKNOWLEDGEMENT, 0)
    far.say()
    await until("the acknowledgement", lambda: session.link.server_ack_s is not None)
    assert 0 <= session.link.server_ack_s < 60
    session.abort()
    assert session.link is None
