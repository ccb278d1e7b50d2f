"""A source that fails in each way it can, HTTP-FLV and RTMP: what is told, and that the publish session outlives it."""

import asyncio

import pytest
from spliced import assert_gaps_end_in_keyframes, assert_unbroken, until_next_picture

from kit.waiting import PATIENCE_S
from scripted.camera import AVC_HEADER, OTHER_AVC_HEADER, frames, number_of
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import KEYFRAME, SEQUENCE_HEADER, VIDEO
from streamferry.relay import feed

pytestmark = pytest.mark.usefixtures("quick")

TEN_HOURS_MS = 10 * 3_600_000


@pytest.fixture(params=["http", "rtmp"])
async def source(request):
    async with Source(request.param) as source:
        yield source


@pytest.fixture
async def streaming(relays, source, destination):
    """A relay that streams, and the publish session it has."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    return running, destination.publishes[0]


async def test_a_source_that_refuses_the_connection(relays, source, destination):
    """Nobody listens: retrying, the source's fault, connection refused; no destination is connected for nothing."""
    await source.leave()
    running = relays.start(source, destination)
    await until("two refusals", lambda: running.status.retries >= 2)
    assert running.has_told("retrying", "user_source", "Connection refused")
    assert destination.accepted == 0
    source.come()
    await until("streaming", lambda: running.status.state == "streaming")
    assert running.status.fault is None


async def test_a_source_that_goes_away_for_a_while(streaming, source, destination):
    """Closed, refused some times, back: retrying by its fault; then the picture comes on the same publish session."""
    running, publish = streaming
    await source.leave()
    await until("refusals", lambda: running.status.retries >= 4)
    assert running.status.state == "retrying"
    assert running.status.fault == "user_source"
    source.come()
    await until_next_picture(publish)
    await until("streaming", lambda: running.status.state == "streaming")
    assert_unbroken(destination, publish)


async def test_a_source_that_ends_each_session_never_has_two_viewers(relays, source, destination):
    """Servers let in one at a time, and the newest ends the others: reconnects and a preview open none beside it."""
    running = relays.start(source, destination)
    for number in range(1, 4):
        await until("a viewer", lambda number=number: source.accepted == number and source.viewers)
        await until("streaming", lambda: running.status.state == "streaming")
        viewer = running.relay.open_preview()
        source.viewers[0].close()
        await until("its end", lambda number=number: source.accepted > number)
        viewer.close()
    assert source.beside_others == 0


async def close(source):
    source.viewers[0].close()


async def reset(source):
    source.viewers[0].reset()


async def close_mid_tag(source):
    viewer = source.viewers[0]
    # What the camera shoots meanwhile would be read as the rest of the tag.
    source.rolls = False
    await viewer.send_bytes(viewer.wire(source.camera.shoot())[:-7])
    viewer.close()
    await until("its end", lambda: viewer not in source.viewers)
    source.rolls = True


async def send_garbage(source):
    await source.viewers[0].send_bytes(b"\xff" * 4096)


LOSSES = [
    (close, "closed the stream"),
    (reset, "the connection to the source broke|closed the stream"),
    (close_mid_tag, "closed the stream"),
    (send_garbage, "the source sent what cannot be read"),
]


@pytest.mark.parametrize(("lose", "words"), LOSSES, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_source_whose_session_breaks(streaming, source, destination, lose, words):
    """Retrying by the source's fault, in words; back within 2 s on the same publish session, at a keyframe."""
    running, publish = streaming
    await lose(source)
    await until(
        f"words: {words}",
        lambda: any(running.has_told("retrying", "user_source", one) for one in words.split("|")),
    )
    await until("another session", lambda: source.accepted == 2)
    await until_next_picture(publish)
    await until("streaming", lambda: running.status.state == "streaming")
    assert running.status.retries == 1
    assert_unbroken(destination, publish)


async def test_a_source_whose_picture_stops(streaming, source, destination, monkeypatch):
    """Its sound goes on, as of cameras that hang: it is opened again, and the picture is back on the same publish."""
    monkeypatch.setattr(feed, "PICTURE_LOST_S", 0.5)
    monkeypatch.setattr(feed, "PICTURE_SEEN_S", 0.5)
    running, publish = streaming
    await until("a second of pictures", lambda: len(publish.frames(VIDEO)) > 25)
    source.camera.is_blind = True
    await until("another session", lambda: source.accepted == 2)
    assert running.has_told("retrying", "user_source", "sends sound, but no picture any more")
    source.camera.is_blind = False
    await until_next_picture(publish)
    assert destination.publishes == [publish]
    assert_gaps_end_in_keyframes(publish)


@pytest.mark.parametrize("back_to", [TEN_HOURS_MS, 0], ids=["ten hours forward", "back to 0"])
async def test_a_source_whose_clock_jumps(relays, source, destination, back_to):
    """The destination's clock does not jump: no session is lost, the repair is counted, it streams on."""
    source.camera.stamp_ms = 3_600_000
    running = relays.start(source, destination)
    await until("streaming", lambda: running.status.state == "streaming")
    publish = destination.publishes[0]
    source.camera.stamp_ms = back_to
    await until_next_picture(publish)
    await until("the repair to be counted", lambda: running.status.repairs >= 1)
    await until_next_picture(publish)
    assert running.status.state == "streaming"
    assert running.status.retries == 0
    assert running.status.repairs <= 2
    assert source.accepted == 1
    assert_unbroken(destination, publish)
    numbers = [number_of(tag) for tag in publish.frames(VIDEO)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_source_near_the_wrap_of_its_stamps(relays, source, destination):
    """Stamps of the source that pass 2^32 are no jump."""
    source.camera.stamp_ms = (1 << 32) - 300
    running = relays.start(source, destination)
    await until("the wrap", lambda: source.camera.stamp_ms > (1 << 32) + 200)
    await until("streaming", lambda: running.status.state == "streaming")
    await until_next_picture(destination.publishes[0])
    assert running.status.repairs == 0
    assert_unbroken(destination, destination.publishes[0])


async def test_a_source_that_changes_its_sequence_header(streaming, source, destination):
    """The new header goes to the destination on the open session, and the next picture behind it is a keyframe."""
    running, publish = streaming
    source.camera.pictures += 3  # Pictures lost in the change, and one that needs them:
    source.camera.start_over()
    lost = source.camera.shoot()
    await source.send(source.camera.change_header(OTHER_AVC_HEADER))
    stray = (VIDEO, to_wire_ms(source.camera.stamp_ms), b"\x27\x01\x00\x00\x00\xff\xff\xff\xff")
    assert lost
    await source.send([stray])
    await until("the new header", lambda: any(tag[2] == OTHER_AVC_HEADER for tag in publish.tags))
    await until_next_picture(publish)
    at = next(index for index, tag in enumerate(publish.tags) if tag[2] == OTHER_AVC_HEADER)
    behind = frames(publish.tags[at:], VIDEO)
    assert tag_kind(VIDEO, behind[0][2]) == KEYFRAME
    assert publish.kinds.count((VIDEO, SEQUENCE_HEADER)) == 2
    assert running.status.retries == 0
    assert_unbroken(destination, publish)


async def test_a_source_that_is_no_media_yet(relays, source, destination):
    """What is no stream is told and asked again, over HTTP and RTMP: it may be one soon."""
    source.instead = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>no stream here</html>"
    running = relays.start(source, destination)
    words = "text/html: ‹html›no stream here" if source.protocol == "http" else "cannot be read"
    await until("the fault", lambda: running.has_told("retrying", "user_source", words))
    source.instead = b""
    await until("streaming", lambda: running.status.state == "streaming")


async def test_a_source_that_answers_with_a_page_for_a_while(streaming, source, destination):
    """What has streamed before is asked again, even if it answers with something that is no media."""
    running, publish = streaming
    if source.protocol == "rtmp":
        source.instead = b"SSH-2.0-OpenSSH_9.2\r\n"
    else:
        source.instead = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>back soon</html>"
    source.viewers[0].close()
    await until("the page to be met", lambda: running.status.retries >= 2)
    assert (running.status.state, running.status.fault) == ("retrying", "user_source")
    source.instead = b""
    await until_next_picture(publish)
    assert_unbroken(destination, publish)


async def test_headers_without_a_frame_were_told_as_streaming(relays, source, destination, monkeypatch):
    """A source that sends its headers again and again, and no frame, does not stream before it sends one."""
    monkeypatch.setattr("streamferry.relay.vitals.FRESH_S", 0.3)
    running = relays.start(source, destination)
    await until("a publish", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    await until("streaming", lambda: running.told and running.told[-1].state == "streaming")
    source.rolls = False
    (before,) = source.viewers
    closed = len(running.told)
    before.close()
    await until("the next session", lambda: source.viewers and before not in source.viewers)

    # It is told after the last frames of the session before, in which it may have stalled for a moment as well.
    # On a busy machine it is given up before that, and tried again.
    def states() -> list[str]:
        return [str(status.state) for status in running.told[closed:]]

    await until("the next try", lambda: "connecting" in states() or states().count("retrying") > 1)
    await until("not streaming", lambda: running.told[-1].state != "streaming")
    since = len(running.told)
    first = destination.publishes[0]
    bytes_in = running.status.bytes_in
    for header in (OTHER_AVC_HEADER, AVC_HEADER) * 4:
        # On a busy machine the session may have been given up meanwhile: again, until the next one has it.
        async with asyncio.timeout(PATIENCE_S):
            while running.status.bytes_in <= bytes_in:
                await source.send(source.camera.change_header(header))
                source.camera.stamp_ms += 40
                await asyncio.sleep(0.05)
        bytes_in = running.status.bytes_in
    # None of them is of use to anybody yet.
    assert OTHER_AVC_HEADER not in [tag[2] for tag in first.tags]
    source.rolls = True
    await until("streaming", lambda: running.status.state == "streaming")
    assert [status.state for status in running.told[since:]].count("streaming") == 1, running.told[since:]
    assert first.frames(VIDEO)
