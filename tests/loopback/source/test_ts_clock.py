"""MPEG-TS whose 33-bit clock begins anew, which it does every 26.5 hours: the stream goes on as if nothing was."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest
from live_playlist import Playlist

from kit import programs
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import open_live as open_live_within

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]

open_live = partial(open_live_within, deadlines=Deadlines())
SCRATCH = memoryview(bytearray(2 << 20))
#: The clock begins anew at 2^33 / 90 kHz; so many seconds before that the stream begins.
BEFORE_S = 12
OFFSET_S = (1 << 33) / 90_000 - BEFORE_S


@pytest.fixture(autouse=True)
async def _no_survivors():
    yield
    await end_all()


def make(clip, *output):
    programs.run(
        [
            *(programs.ffmpeg(), "-v", "error", "-i", clip, "-c", "copy", "-muxdelay", "0"),
            *("-output_ts_offset", OFFSET_S, *output),
        ]
    )


async def frames_of(inlet, seconds):
    """The stamps of the frames of each track, of so much media."""
    stamps = {VIDEO: [], AUDIO: []}
    async with asyncio.timeout(30):
        while not stamps[VIDEO] or stamps[VIDEO][-1] - stamps[VIDEO][0] < seconds * 1000:
            tags = []
            inlet.pull(SCRATCH, tags)
            for tag_type, stamp, body in tags:
                if tag_type in stamps and tag_kind(tag_type, body) <= KEYFRAME:
                    stamps[tag_type].append(stamp)
            await asyncio.sleep(0.02)
    inlet.close()
    return stamps


def assert_even(stamps):
    """Neither track has a hole or a step back, and they keep beside each other."""
    assert {later - earlier for earlier, later in pairwise(stamps[VIDEO])} == {40}
    assert {later - earlier for earlier, later in pairwise(stamps[AUDIO])} <= {21, 22}
    assert abs(stamps[VIDEO][-1] - stamps[AUDIO][-1]) < 500


async def test_over_http(peers, clips, tmp_path):
    """As from an encoder that has run for a day."""
    path = tmp_path / "day.ts"
    make(clips("half_a_minute"), path)
    done = asyncio.Event()

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + path.read_bytes())
        await writer.drain()
        await done.wait()

    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(script)}/cam.ts"))
    assert_even(await frames_of(inlet, BEFORE_S + 12))
    done.set()


async def test_in_segments(peers, clips, tmp_path):
    """In the midst of a live HLS."""
    make(clips("half_a_minute"), "-f", "hls", "-hls_time", "1", "-hls_list_size", "0", tmp_path / "day.m3u8")
    playlist = Playlist(tmp_path / "day.m3u8")
    playlist.shown = range(BEFORE_S - 6, BEFORE_S)
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(playlist.serve)}/live.m3u8"))
    playlist.shown = range(BEFORE_S - 4, BEFORE_S + 6)
    assert_even(await frames_of(inlet, 6))
    assert min(playlist.asked) < BEFORE_S < max(playlist.asked)
