"""Streams that are legal and seldom seen, from a source to a destination over a relay of the host."""

import asyncio
from itertools import pairwise

import pytest

from kit import programs
from scripted.camera import AAC_HEADER, AVC_HEADER, Camera, picture
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay.spec import Item, RelaySpec


def of_track(number: int, packet: int, payload: bytes, *, is_key: bool = False) -> bytes:
    """A multitrack picture of one track."""
    return bytes((0x96 if is_key or packet == 0 else 0xA6, packet)) + b"avc1" + bytes((number,)) + payload


class Ladder(Camera):
    """A camera of two pictures: one that needs to know of no tracks, and a second one with a number."""

    def headers(self):
        return [*super().headers(), (VIDEO, self.stamp_ms, of_track(1, 0, b"config of 1"))]

    def shoot(self):
        first, *sounds = super().shoot()
        is_key = first[2][0] == 0x17
        return [first, (VIDEO, first[1], of_track(1, 1, b"\0\0\0frame", is_key=is_key)), *sounds]


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_sound_goes_alone_where_the_picture_hangs(relays, protocol):
    """A server repeats the header of a camera without a picture: the sound streams, and does again after a break."""
    async with Source(protocol, Camera(), speed=20) as source, Destination() as destination:
        source.camera.is_blind = True
        running = relays.start(source, destination)
        await until("sound", lambda: destination.publishes and len(destination.publishes[0].frames(AUDIO)) > 100)
        await until("streaming", lambda: running.status.state == "streaming")
        await destination.leave()
        destination.come()
        await until(
            "sound in another session",
            lambda: len(destination.publishes) > 1 and destination.publishes[-1].frames(AUDIO),
        )
        assert not running.has_told("stalled", "user_source", "")
        await running.relay.stop()
        assert [tag[2] for tag in destination.publishes[-1].tags if tag[0] == VIDEO] == [AVC_HEADER]


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_all_tracks_of_a_ladder_arrive(relays, protocol):
    """Two pictures with the same stamps, never repaired; each session gets the headers of both before its frames."""
    async with Source(protocol, Ladder()) as source, Destination() as destination:
        running = relays.start(source, destination)
        for number in (1, 2):
            await until(f"session {number}", lambda n=number: len(destination.publishes) >= n)
            publish = destination.publishes[-1]
            await until("two groups", lambda publish=publish: len(publish.frames(VIDEO)) > 50)
            bodies = [tag[2] for tag in publish.tags if tag[0] == VIDEO]
            assert bodies[:2] == [AVC_HEADER, of_track(1, 0, b"config of 1")]
            assert [body[0] for body in bodies[2:6]] == [0x17, 0x96, 0x27, 0xA6]
            stamps = publish.stamps(VIDEO)
            assert stamps[::2][: len(stamps) // 2] == stamps[1::2]
            if number == 1:
                await destination.leave()
                destination.come()
        assert running.status.repairs == 0
        assert running.status.dropped_tags == 0
        await running.relay.stop()


async def test_a_seek_of_the_sender_changes_nothing(relays, source, destination):
    """Video command frames in the midst of a group: all pictures arrive, and a later session has the true header."""
    running = relays.start(source, destination)
    await until("streaming", lambda: running.status.state == "streaming")
    publish = destination.publishes[0]
    source.rolls = False
    stamp_ms = source.camera.stamp_ms
    await source.send([(VIDEO, stamp_ms, b"\x57\x00"), (VIDEO, stamp_ms, picture(9999))])
    await until("the picture behind it", lambda: publish.frames(VIDEO)[-1][2] == picture(9999))
    assert b"\x57\x00" not in [tag[2] for tag in publish.tags]
    source.rolls = True
    await destination.leave()
    destination.come()
    await until("another session", lambda: len(destination.publishes) > 1 and destination.publishes[-1].frames(VIDEO))
    headers = [tag[2] for tag in destination.publishes[-1].tags[:3]]
    assert headers[1:] == [AVC_HEADER, AAC_HEADER]
    await running.relay.stop()


async def test_a_film_whose_picture_begins_late_is_sent_from_its_first_sound(relays, destination, tmp_path):
    """An intro of two seconds over black that was cut: prepared by ffmpeg, and all of its sound arrives."""
    film = tmp_path / "intro.mp4"
    picture_late = ["-itsoffset", "2", "-f", "lavfi", "-t", "1", "-i", "testsrc2=s=160x90:r=25"]
    sounds = ["-f", "lavfi", "-t", "3", "-i", "sine=r=48000"]
    await asyncio.to_thread(programs.run, [programs.ffmpeg(), "-v", "error", *picture_late, *sounds, film])
    relay = relays.host.start(RelaySpec.vod([Item(MediaUrl.parse(str(film)))], destination.url(), loops=1))
    await relay.wait()
    (publish,) = destination.publishes
    stamps = publish.stamps(AUDIO)
    assert stamps[0] == 0
    assert publish.stamps(VIDEO)[0] == pytest.approx(2000, abs=60)
    assert len([ms for ms in stamps if ms < 2000]) == pytest.approx(2000 * 48 / 1024, abs=2)
    assert max(b - a for a, b in pairwise(stamps)) <= 23


class Telephone(Camera):
    """A camera with G.711."""

    def headers(self):
        return super().headers()[:2]

    def _sounds(self, stamp, number):
        return [(kind, ms, b"\x72" + bytes(160)) for kind, ms, _ in super()._sounds(stamp, number)]


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_a_relay_of_a_camera_with_g711(relays, protocol):
    """The destination gets AAC beside all pictures, also where the fast path takes those."""
    async with Source(protocol, Telephone()) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("sound", lambda: destination.publishes and len(destination.publishes[0].frames(AUDIO)) > 50)
        await running.relay.stop()
        publish = destination.publishes[0]
        assert {tag[2][:1] for tag in publish.tags if tag[0] == AUDIO} == {b"\xaf"}
        sounds = [tag[1] for tag in publish.frames(AUDIO)]
        assert all(later - earlier in (21, 22) for earlier, later in pairwise(sounds[3:]))
        pictures = [tag[1] for tag in publish.frames(VIDEO)]
        assert {later - earlier for earlier, later in pairwise(pictures)} == {40}
        # Sound is encoded within a second of its picture.
        assert abs(pictures[-1] - sounds[-1]) < 1000
        assert running.status.repairs == 0
