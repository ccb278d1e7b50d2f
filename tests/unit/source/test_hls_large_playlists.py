"""A day of segments in one playlist: what is done with all of them does not hold up the streams of the process."""

import asyncio

import pytest

from streamferry.media.errors import SourceForbidden
from streamferry.media.url import MediaUrl
from streamferry.source.hls import judge
from streamferry.source.hls_rendition import listed
from streamferry.wire.hls import Playlist

SEGMENTS = 43_200
URL = MediaUrl.parse("http://example.com/live.m3u8")


def playlist(last="segment.ts"):
    lines = [line for number in range(SEGMENTS) for line in ("#EXTINF:2,", f"segment{number}.ts")]
    return Playlist(["#EXTM3U", "#EXT-X-TARGETDURATION:2", *lines, "#EXTINF:2,", last])


async def turns_during(work):
    """How often another task gets its turn while ``work`` goes on."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns


async def test_others_get_their_turn_while_addresses_are_judged():
    assert await turns_during(judge(URL, playlist(), "http://example.com/live.m3u8")) > 20


async def test_others_get_their_turn_while_segments_are_listed():
    assert await turns_during(listed(playlist())) > 20


async def test_the_last_of_many_addresses_is_judged_too():
    with pytest.raises(SourceForbidden):
        await judge(URL, playlist(last="file:///etc/passwd"), "http://example.com/live.m3u8")
