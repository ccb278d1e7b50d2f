"""Sessions of one live HLS, one after another: each goes on behind the last segment of the one before it."""

import asyncio
import os
from functools import partial

import pytest
from live_playlist import Playlist

from streamferry.media.errors import SourceForbidden, SourceStalled
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]

open_live = partial(open_live_within, deadlines=Deadlines())
SCRATCH = memoryview(bytearray(2 << 20))


@pytest.fixture(autouse=True)
async def _no_survivors():
    yield
    await end_all()


@pytest.fixture
def playlist(clips):
    return Playlist(clips.hls("half_a_minute"))


@pytest.fixture
async def play(peers, playlist):
    """``await play(seconds)`` opens a session, plays about so much of it, and gives the segments it asked for.

    ``also``: a segment that it has to ask for, too.
    """
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(playlist.serve)}/live.m3u8")
    memory = SourceMemory()

    async def session(seconds, also=None):
        before = len(playlist.asked)
        inlet = await open_live(url, memory=memory)
        first = last = None
        try:
            async with asyncio.timeout(30):
                while first is None or last - first < seconds * 1000 - 500 or also not in (None, *playlist.asked):
                    tags = []
                    inlet.pull(SCRATCH, tags)
                    stamps = [stamp for tag_type, stamp, _ in tags if tag_type == 9]
                    first = stamps[0] if first is None and stamps else first
                    last = stamps[-1] if stamps else last
                    await asyncio.sleep(0.02)
        finally:
            inlet.close()
        return playlist.asked[before:]

    return session


async def test_a_playlist_that_does_not_grow_repeated_its_last_segments(play, playlist):
    """It is played once; then the source has stalled, in words, until there is something new: that, and no more."""
    playlist.shown = range(2, 6)
    assert await play(3) == [3, 4, 5]
    with pytest.raises(SourceStalled, match="no segment was added"):
        await play(1)
    playlist.shown = range(3, 7)
    assert await play(1) == [6]
    playlist.shown = range(6, 9)
    assert await play(2) == [7, 8]


async def test_after_a_long_pause_it_begins_near_the_end(play, playlist):
    """A playlist of an hour is no reason to be behind by what was missed."""
    playlist.shown = range(5)
    assert await play(3) == [2, 3, 4]
    playlist.shown = range(25)
    assert await play(3) == [22, 23, 24]


async def test_a_segment_that_was_refused_comes_with_the_next_session(play, playlist):
    """As when a token dies in the middle: nothing is missing and nothing comes twice."""
    playlist.shown = range(6)
    playlist.refuses = {5}
    assert await play(2, also=5) == [3, 4, 5]
    playlist.refuses = set()
    assert await play(1) == [5]


OUT = (
    "file:///etc/passwd",
    "file:passwd",
    "concat:a.ts|/etc/passwd",
    "subfile,,start,0,end,0,,:/etc/passwd",
    "data:video/mp2t;base64,RwAA",
    "crypto+file:///etc/passwd",
    "rtmp://127.0.0.1/app/key",
    "pipe:0",
)


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize(
    "lines",
    [
        ("#EXTINF:1.0,", "{}"),
        ('#EXT-X-MAP:URI="{}"',),
        ('#EXT-X-KEY:METHOD=AES-128,URI="{}"',),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1", "{}"),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{}"',),
    ],
    ids=["segment", "map", "key", "variant", "sound"],
)
async def test_a_live_playlist_leads_to_the_web_only(peers, playlist, lines, name):
    """Before ffmpeg is started, and for good: trying again would find the same."""
    playlist.more = [line.format(name) for line in lines]
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(playlist.serve)}/live.m3u8")
    with pytest.raises(SourceForbidden, match="neither http:// nor https://") as refused:
        await open_live(url)
    assert not refused.value.retryable
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    "scheme", ["file://", "file:", "", "crypto:file:", "crypto+file://", "subfile,,start,0,end,9,,:"]
)
async def test_a_live_playlist_that_names_a_file_later(peers, playlist, tmp_path, scheme):
    """When it is read again by ffmpeg, that does not open it: nobody comes to the other end of a FIFO."""
    fifo = tmp_path / "bait.ts"
    os.mkfifo(fifo)
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(playlist.serve)}/live.m3u8")
    playlist.shown = range(3)
    inlet = await open_live(url)
    try:
        playlist.more = ["#EXTINF:1.0,", f"{scheme}{fifo}", "#EXTINF:1.0,", playlist.names[5]]
        loads = playlist.loads
        async with asyncio.timeout(30):
            # What comes behind the bait is asked for: it was passed.
            while playlist.loads < loads + 2 and 5 not in playlist.asked:
                inlet.pull(SCRATCH, [])
                with pytest.raises(OSError, match="No such device"):
                    os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                await asyncio.sleep(0.02)
    finally:
        inlet.close()
