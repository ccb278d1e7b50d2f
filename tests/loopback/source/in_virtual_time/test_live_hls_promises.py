"""What live HLS promises: when the first picture comes, when it is back, and that sound and picture stay together."""

import asyncio
from collections import Counter
from functools import partial

import pytest

from kit.hls import cut, with_separate_sound
from kit.live_hls import LiveServer, own_stamps, watch
from streamferry.media.errors import SourceError
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())
FMP4 = ("-hls_segment_type", "fmp4")
#: Where the clocks of the segments break: forward by 10 s, and back by 15.
ORDER = [*range(10), *range(20, 30), *range(5, 25)]
BREAKS = {10: ["#EXT-X-DISCONTINUITY"], 20: ["#EXT-X-DISCONTINUITY"]}


def servers_of(clips, folder, form):
    """The server of a clip in this form, and that of its sound if it has one."""
    clip = clips("half_a_minute")
    if form == "fMP4":
        return LiveServer(cut(clip, folder, *FMP4, segment="film%d.m4s"), name="{}.cmfv"), None
    if form == "TS":
        return LiveServer(clips.hls("half_a_minute")), None
    master = with_separate_sound(clip, folder)
    picture = LiveServer(folder / "picture.m3u8", name="picture-{}.ts")
    picture.answer = lambda name, _: (200, master.read_bytes()) if name == "master.m3u8" else None
    return picture, LiveServer(folder / "sound.m3u8", name="sound-{}.ts")


async def address_of(peers, picture, sound):
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        reader.feed_data(head)
        await (sound if sound is not None and head.startswith(b"GET /sound") else picture).serve(reader, writer)

    return MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(serve)}/{'master' if sound else 'live'}.m3u8")


@pytest.fixture(params=["TS", "fMP4", "sound apart"])
async def servers(request, clips, tmp_path):
    return servers_of(clips, tmp_path / "form", request.param)


async def test_the_first_picture_comes_within_a_second_and_a_half(peers, servers):
    """From a server that answers for a segment after 0.4 s, and sends it in 0.4 s."""
    for server in servers:
        if server is not None:
            server.delay_s = server.sending_s = 0.4
    now = asyncio.get_running_loop().time
    url, begun_at = await address_of(peers, *servers), now()
    inlet = await open_live(url, memory=SourceMemory())
    seen = await watch(inlet, 3)
    inlet.close()
    assert seen.pictures[0][0] - begun_at < 1.5
    assert seen.sounds[0][0] - begun_at < 1.5


@pytest.mark.parametrize("away_s", [9, 31])
async def test_the_picture_is_back_soon_after_the_source_is(peers, servers, away_s):
    """Within its target duration and a second: segments are a second long, and sessions begin each half second."""
    loop = asyncio.get_running_loop()
    url, memory = await address_of(peers, *servers), SourceMemory()
    inlet = await open_live(url, memory=memory)
    present = [server for server in servers if server is not None]
    for server in present:
        loop.call_later(5, setattr, server, "is_away", True)
        loop.call_later(5 + away_s, setattr, server, "is_away", False)
    back_at = loop.time() + 5 + away_s
    first = await watch(inlet, 30)
    inlet.close()
    assert "503" in str(first.error)
    while True:
        try:
            inlet = await open_live(url, memory=memory)
        except SourceError:
            await asyncio.sleep(0.5)
        else:
            break
    seen = await watch(inlet, 4)
    inlet.close()
    assert seen.error is None
    assert seen.pictures[0][0] - max(back_at, first.tags[-1][0]) < 2.0


@pytest.mark.parametrize("form", ["TS", "sound apart"])
@pytest.mark.parametrize("is_told", [True, False])
async def test_sound_and_picture_stay_together_over_breaks(peers, clips, tmp_path, form, is_told):
    """Clocks leap forward and back, told by the playlist or not: both tracks are shifted alike, within 5 ms."""
    picture, sound = servers_of(clips, tmp_path / "form", form)
    present = [server for server in (picture, sound) if server is not None]
    stamps = {}
    for server in present:
        stamps |= own_stamps(server)
        server.segments = [server.segments[number] for number in ORDER]
        server.marks = BREAKS if is_told else {}
    inlet = await open_live(await address_of(peers, picture, sound), memory=SourceMemory())
    seen = await watch(inlet, 35)
    inlet.close()
    assert seen.error is None
    shifts = {VIDEO: [], AUDIO: []}
    for at, kind, stamp, body in seen.tags:
        if (kind, body) in stamps:
            shifts[kind].append((at, stamp - stamps[kind, body]))
    assert len(shifts[VIDEO]) > 300
    assert len(shifts[AUDIO]) > 300
    # Of each second the shift that most frames have: a break is not at the same frame in both.
    for second in range(2, 30):
        usual = []
        for found in shifts.values():
            near = Counter(shift for at, shift in found if second <= at - seen.tags[0][0] < second + 0.9)
            usual.append({shift for shift, count in near.items() if count > 3})
        if usual[0] and usual[1]:
            assert any(abs(one - other) <= 5 for one in usual[0] for other in usual[1])
    assert len({shift // 100 for _, shift in shifts[VIDEO]}) >= 3
