"""A camera whose sound drifts, between scripted ends: time of its stamps passes faster than ours."""

import pytest

from scripted.camera import FRAME_MS, SOUND_MS, Camera, number_of
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.peer_options import PeerOptions
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.relay import drift

pytestmark = pytest.mark.usefixtures("quick")

#: Of its clock of sound: what is a second late after eight minutes.
SLOW = 0.002
SPEED = 20


@pytest.fixture
async def source(monkeypatch):
    """Each pull is looked at: a second has 20 of its seconds, and a beat no more pulls for that."""
    monkeypatch.setattr(drift, "_TURNS", 1)
    async with Source("rtmp", Camera(3_600_000, slow=SLOW), speed=SPEED) as source:
        yield source


def late_ms(publish, at=-1) -> int:
    """By how much sound comes late beside the pictures of its time, as it arrives."""
    sound, picture = publish.frames(AUDIO)[at], publish.frames(VIDEO)[at]
    return (sound[1] - number_of(sound) * SOUND_MS) - (picture[1] - number_of(picture) * FRAME_MS)


async def test_sound_that_drifts_is_brought_back(relays, source, destination: Destination):
    """It is told how far its clock has gone, and what arrives is in time again, through sessions."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    (publish,) = destination.publishes
    # As the camera had it by then.
    assert abs(late_ms(publish, 0) + SLOW * number_of(publish.frames(VIDEO)[0]) * FRAME_MS) <= 1
    await until("sound that is early", lambda: late_ms(publish) < -150)
    await until("sound in time", lambda: late_ms(publish) > -60)
    told_ms, is_ms = running.status.sound_drift_ms, -SLOW * source.camera.pictures * FRAME_MS
    assert is_ms - 10 <= told_ms <= is_ms * 0.7
    assert (running.status.repairs, running.status.retries, source.accepted) == (0, 0, 1)
    source.viewers[0].close()
    await until("another session", lambda: source.accepted == 2)
    count = len(publish.frames(VIDEO))
    await until("its pictures", lambda: len(publish.frames(VIDEO)) > count + 50)
    await until("sound in time, as before", lambda: -80 < late_ms(publish) < 20)
    assert destination.publishes == [publish]


@pytest.mark.parametrize("keeps", [True, False])
async def test_sound_that_is_to_stay_as_it_is_stamped_does(relays, source, destination: Destination, keeps):
    """A relay that copies could not be told to (C13): nothing looks at its clocks then, and nothing restamps it."""
    running = relays.start(source, destination, source_options=PeerOptions(keep_drift=keeps))
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    assert (running.relay._run._flow._feed._drift is None) is keeps
