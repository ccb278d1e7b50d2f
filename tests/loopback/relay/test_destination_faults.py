"""A destination that fails in each way it can: the state, whose fault it is, in which words, and that it comes back."""

import pytest

from scripted import destination as manners
from scripted.waiting import until
from streamferry.media.tag import AUDIO, KEYFRAME, METADATA, SEQUENCE_HEADER, VIDEO

pytestmark = pytest.mark.usefixtures("quick")

FAULTS = [
    (manners.reset_in_handshake, "Connection reset by peer"),
    (manners.close_in_handshake, "the peer closed the connection"),
    (manners.babble, "does not speak RTMP"),
    (manners.reject_publish, "refused: NetStream.Publish.BadName: the key *** is not known here"),
    (manners.reset_in_stream, "the connection to the destination broke"),
    (manners.close_in_stream, "the connection to the destination broke|the destination closed the connection"),
    (manners.babble_in_stream, "the destination sent what RTMP does not allow"),
    (manners.end_the_stream, "the destination ended the stream: NetStream.Publish.Denied"),
]


@pytest.mark.parametrize(("manner", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_destination_that_fails_is_retried_and_found_again(relays, source, destination, manner, words):
    """It is retrying, by the destination's fault and in words that say what; once the peer is well it streams."""
    destination.manner = manner
    running = relays.start(source, destination)
    await until(
        f"the fault to be told: {words}",
        lambda: any(running.has_told("retrying", "user_destination", one) for one in words.split("|")),
    )
    destination.manner = manners.take
    destination.publishes.clear()
    await until("the stream to be back", lambda: destination.publishes and destination.publishes[-1].has_both_tracks)
    await until("streaming to be told", lambda: running.status.state == "streaming")
    assert running.status.fault is None
    assert running.status.reason is None
    assert running.status.retries >= 1
    assert_starts_whole(destination.publishes[-1])


def assert_starts_whole(publish):
    """Metadata and both headers, then a keyframe; both tracks count from the same 0."""
    kinds = publish.kinds
    first_frame = next(at for at, (_, kind) in enumerate(kinds) if kind <= KEYFRAME)
    assert set(kinds[:first_frame]) == {(18, METADATA), (VIDEO, SEQUENCE_HEADER), (AUDIO, SEQUENCE_HEADER)}
    assert kinds[first_frame] == (VIDEO, KEYFRAME)
    assert publish.stamps(VIDEO)[0] == 0
    assert 0 <= publish.stamps(AUDIO)[0] <= 20
    for tag_type in (VIDEO, AUDIO):
        stamps = publish.stamps(tag_type)
        assert stamps == sorted(set(stamps))


async def test_a_destination_that_refuses_the_connection(relays, source, destination):
    """Nobody listens: retrying, the destination's fault, connection refused; the picture comes when it listens."""
    await destination.leave()
    running = relays.start(source, destination)
    await until("two refusals", lambda: running.status.retries >= 2)
    assert running.has_told("retrying", "user_destination", "Connection refused")
    destination.come()
    await until("the stream", lambda: destination.publishes and destination.publishes[-1].has_both_tracks)
    await until("streaming to be told", lambda: running.status.state == "streaming")


async def test_a_destination_that_was_never_there_fails_the_run_within_its_patience(relays, source, destination):
    """With patience, a relay that never streamed fails with the destination's fault and its reason."""
    await destination.leave()
    status = await relays.start(source, destination, patience_s=0.7).relay.wait()
    assert (status.state, status.fault, status.final) == ("failed", "user_destination", True)
    assert status.reason.endswith("Connection refused")
    destination.come()
