"""Live HLS with its sound in a playlist of its own, of which much is damaged or late."""

import random
from functools import partial

import pytest

from kit.hls import with_separate_sound
from kit.live_hls import LiveServer, watch
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())


@pytest.fixture
async def servers(clips, tmp_path):
    folder = tmp_path / "apart"
    master = with_separate_sound(clips("half_a_minute"), folder)
    picture = LiveServer(folder / "picture.m3u8", name="picture-{}.ts")
    picture.answer = lambda name, _: (200, master.read_bytes()) if name == "master.m3u8" else None
    return picture, LiveServer(folder / "sound.m3u8", name="sound-{}.ts")


@pytest.fixture
async def play(peers, servers):
    picture, sound = servers

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        reader.feed_data(head)
        await (sound if head.startswith(b"GET /sound") else picture).serve(reader, writer)

    port = await peers.serve(serve)

    async def session(seconds):
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/master.m3u8"), memory=SourceMemory())
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    return session


async def test_both_on_one_clock(play):
    seen = await play(40)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(40, abs=1.5)
    assert len(seen.sounds) * 1024 / 48000 == pytest.approx(40, abs=1.5)
    latest = {at: stamp for at, _, stamp, _ in seen.sounds}
    assert max(abs(stamp - latest[at]) for at, _, stamp, _ in seen.pictures if at in latest) < 200


@pytest.mark.parametrize("kept", [0, 10, 30])
async def test_sound_that_is_damaged_does_not_hold_the_picture_back(play, servers, kept):
    """Of most segments nothing is left, or their first part: the picture had to wait for each of them."""
    _, sound = servers
    chance = random.Random(1)

    def answer(name, _):
        if not name.endswith(".ts") or int(name[6:-3]) % 4 == 1:
            return None
        whole = sound.segments[int(name[6:-3]) % len(sound.segments)]
        good = len(whole) * kept // 100 // 188 * 188
        return 200, whole[:good] + chance.randbytes(len(whole) - good)

    sound.answer = answer
    seen = await play(60)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(60, abs=6)


async def test_sound_that_is_always_late(play, servers):
    """Each segment takes longer than it lasts."""
    _, sound = servers
    sound.sending_s = 2.5
    seen = await play(60)
    assert seen.media_s() == pytest.approx(60, abs=9)
