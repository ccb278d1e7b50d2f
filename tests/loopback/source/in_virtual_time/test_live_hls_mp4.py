"""Live HLS of fragmented MP4, read in process; minutes of it in virtual time."""

from functools import partial
from itertools import pairwise

import pytest

from kit.hls import cut, with_separate_sound
from kit.live_hls import LiveServer, watch
from streamferry.media.errors import SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())
FMP4 = ("-hls_segment_type", "fmp4")


@pytest.fixture
async def server(clips, tmp_path):
    playlist = cut(clips("half_a_minute"), tmp_path / "cut", *FMP4, segment="film%d.m4s")
    return LiveServer(playlist, name="{}.cmfv")


@pytest.fixture
async def play(peers, server):
    """``await play(seconds)``: what comes of a session."""
    port = await peers.serve(server.serve)

    async def session(seconds, path="live.m3u8"):
        memory = SourceMemory()
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/{path}"), memory=memory)
        assert not memory.needs_ffmpeg
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    return session


async def test_it_plays_at_its_pace(play, server):
    """A fragment has all its pictures before all its sound; both come out together, and nothing but a header twice."""
    seen = await play(60)
    assert seen.error is None
    for frames in (seen.pictures, seen.sounds):
        stamps = [stamp for _, _, stamp, _ in frames]
        assert stamps == sorted(set(stamps))
    assert seen.media_s() == pytest.approx(60, abs=1.5)
    assert seen.longest_pause_s() < 0.4
    assert seen.most_in_a_visit_ms(after_s=1) <= 400
    assert len(seen.headers) == 2
    # No picture leaves long before the sound that belongs to it.
    latest = {at: stamp for at, _, stamp, _ in seen.sounds}
    behind = [stamp - latest[at] for at, _, stamp, _ in seen.pictures if at in latest]
    assert max(map(abs, behind)) < 200


async def test_a_server_that_takes_most_of_a_segment_to_send_it(play, server):
    """The sound of a fragment comes last: the next is received earlier than media of other forms is."""
    server.sending_s = 0.7
    seen = await play(60)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(60, abs=2.5)
    late = [at for at, _, _, _ in seen.pictures if at > seen.pictures[0][0] + 10]
    assert max(two - one for one, two in pairwise(late)) < 0.5


async def test_headers_that_change_with_and_without_a_break(play, server, clips, tmp_path):
    """Another size and rate: each track has its header before it, and the clock goes on."""
    other = LiveServer(cut(clips("flash_beep_unlike"), tmp_path / "other", *FMP4, segment="film%d.m4s"))
    own, theirs = server.headers["init.mp4"], other.headers["init.mp4"]
    server.segments = [*server.segments[:10], *other.segments[:3], *server.segments[13:]]
    server.headers = {}

    def answer(name, _):
        return (200, {"a.mp4": own, "b.mp4": theirs}[name]) if name in ("a.mp4", "b.mp4") else None

    server.answer = answer
    maps = [[f'#EXT-X-MAP:URI="{name}.mp4"'] for name in ("a", "b", "a")]
    for number in range(60):
        server.marks[number] = maps[0] if not 10 <= number < 13 else maps[1]
    server.marks[10] = ["#EXT-X-DISCONTINUITY", *maps[1]]
    seen = await play(20)
    assert seen.error is None
    assert len({header for header in seen.headers if header[0] == 0xAF}) == 2
    assert len({header for header in seen.headers if header[0] == 0x17}) == 2
    assert seen.longest_pause_s() < 0.6
    assert seen.media_s() == pytest.approx(20, abs=1.5)


async def test_sound_of_its_own(peers, clips, tmp_path):
    """A rendition of sound beside the picture's: both on one clock."""
    folder = tmp_path / "apart"
    options = (*FMP4, "-hls_fmp4_init_filename", "{}.cmfv")
    master = with_separate_sound(clips("flash_beep"), folder, *options, suffix="m4s")
    picture = LiveServer(folder / "picture.m3u8", name="picture{}.cmfv")
    sound = LiveServer(folder / "sound.m3u8", name="sound{}.cmfv")

    picture.answer = lambda name, _: (200, master.read_bytes()) if name == "master.m3u8" else None

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        reader.feed_data(head)
        name = head.split()[1].decode().lstrip("/")
        await (sound if name.startswith("sound") else picture).serve(reader, writer)

    port = await peers.serve(serve)
    memory = SourceMemory()
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/master.m3u8"), memory=memory)
    seen = await watch(inlet, 2.5)
    inlet.close()
    assert seen.error is None
    assert seen.media_s() == pytest.approx(2.5, abs=0.6)
    assert len(seen.sounds) * 1024 / 48000 == pytest.approx(2.5, abs=0.6)


async def test_media_that_is_encrypted_is_told(peers, server):
    server.headers = {name: data.replace(b"avc1", b"encv") for name, data in server.headers.items()}
    port = await peers.serve(server.serve)
    with pytest.raises(SourceUnsupported, match="encrypted"):
        await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/live.m3u8"), memory=SourceMemory())
