"""Live HLS with several variants, of which some cannot be had."""

from functools import partial

import pytest

from kit.hls import with_separate_sound
from kit.live_hls import LiveServer, watch
from streamferry.media.errors import SourceRejected
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())
MASTER = b"""#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="mp4a.40.2"
radio.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=320x180,CODECS="avc1.42c01e,mp4a.40.2"
low.m3u8?token=1
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.4d401f,mp4a.40.2"
high.m3u8?token=2
"""


class Variants:
    """Each variant is a server of its own, by the first part of a name; ``refused`` are answered so."""

    def __init__(self, clips, *names, suffix="ts"):
        self.servers = {name: LiveServer(clips.hls("half_a_minute"), name=f"{name}-{{}}.{suffix}") for name in names}
        self.master = MASTER
        self.refused = {}
        self.asked = []

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split()[1].decode().lstrip("/").partition("?")[0]
        self.asked.append(name)
        server = self.servers.get(name.partition(".")[0].partition("-")[0])
        status = self.refused.get(name.partition("-")[0])
        if status is None and server is not None:
            reader.feed_data(head)
            server.keeps = False
            await server.serve(reader, writer)
            return
        body = self.master if name == "master.m3u8" else b""
        status = 200 if body else status or 404
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def variants(clips):
    return Variants(clips, "radio", "low", "high")


@pytest.fixture
async def play(peers, variants):
    memory = SourceMemory()
    port = await peers.serve(variants.serve)

    async def session(seconds, **network):
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/master.m3u8"), memory=memory, **network)
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    return session


async def test_the_best_with_a_picture(play, variants):
    """Sound alone comes last, whatever it says of its bandwidth."""
    seen = await play(5)
    assert seen.media_s() == pytest.approx(5, abs=0.5)
    assert {name.partition("-")[0] for name in variants.asked if name.endswith(".ts")} == {"high"}


@pytest.mark.parametrize(("max_kbps", "name"), [(3000, "high"), (2999, "low"), (10, "low")])
async def test_the_best_within_a_limit(play, variants, max_kbps, name):
    """The lowest, if none is."""
    seen = await play(5, options=PeerOptions(max_kbps=max_kbps))
    assert seen.media_s() == pytest.approx(5, abs=0.5)
    assert {one.partition("-")[0] for one in variants.asked if one.endswith(".ts")} == {name}


async def test_what_is_above_the_limit_is_the_last_choice(play, variants):
    variants.refused = {"low.m3u8": 404}
    seen = await play(5, options=PeerOptions(max_kbps=2000))
    assert seen.error is None
    assert {one.partition("-")[0] for one in variants.asked if one.endswith(".ts")} == {"high"}


@pytest.mark.parametrize("refused", ["high.m3u8", "high"])
@pytest.mark.parametrize("status", [403, 404, 502])
async def test_the_next_lower_where_the_best_is_refused(play, variants, refused, status):
    """Its playlist, or all its segments; in the next session it is not asked for first."""
    variants.refused = {refused: status}
    seen = await play(5)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(5, abs=0.5)
    assert any(name in variants.asked for name in ("low-1.ts", "low-2.ts"))
    variants.asked.clear()
    again = await play(3)
    assert again.media_s() == pytest.approx(3, abs=0.5)
    assert not any(name.startswith("high") for name in variants.asked)


async def test_sound_alone_where_no_picture_can_be_had(play, variants):
    variants.refused = {"high.m3u8": 404, "low.m3u8": 404}
    seen = await play(5)
    assert seen.error is None
    assert "radio-1.ts" in variants.asked


async def test_all_refused_tells_why_of_the_best(play, variants):
    """And none is asked more than once at a time."""
    variants.refused = {"high.m3u8": 403, "low.m3u8": 404, "radio.m3u8": 404}
    with pytest.raises(SourceRejected, match="403"):
        await play(5)
    assert variants.asked == ["master.m3u8", "high.m3u8", "low.m3u8", "radio.m3u8"]
    # The next session tries them again.
    variants.refused = {}
    assert (await play(3)).media_s() == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize("status", [404, 503])
async def test_sound_of_its_own_that_is_refused(play, variants, clips, tmp_path, status):
    """For good: the picture goes on without it. By a fault that may pass: the session fails, and the next has both."""
    folder = tmp_path / "apart"
    master = with_separate_sound(clips("half_a_minute"), folder)
    variants.master = master.read_bytes()
    variants.servers = {
        "picture": LiveServer(folder / "picture.m3u8", name="picture-{}.ts"),
        "sound": LiveServer(folder / "sound.m3u8", name="sound-{}.ts"),
    }
    variants.refused = {"sound.m3u8": status}
    if status == 503:
        with pytest.raises(SourceRejected, match="503"):
            await play(3)
        variants.refused = {}
    seen = await play(5)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(5, abs=0.5)
    assert bool(seen.sounds) == (status == 503)
