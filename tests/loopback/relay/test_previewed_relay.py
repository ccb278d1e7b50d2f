"""A preview of a relay that runs: real media, as players read it, beside what arrived at the destination."""

import asyncio
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.probe import assert_flawless
from scripted.destination import KEY, Destination
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec

pytestmark = pytest.mark.usefixtures("quick")


def split_at_header(data: bytes) -> list[bytes]:
    """The parts of a stream that begin with a header each."""
    return [b"\0\0\0\x1cftyp" + part for part in data.split(b"\0\0\0\x1cftyp")[1:]]


@pytest.mark.parametrize("name", ["h264_bframes", "hevc", "audio_only", "aac_44100_mono"])
async def test_players_read_what_the_destination_got(relays, destination, clips: ClipFactory, tmp_path: Path, name):
    """Through the join of a loop: everything decodes; packets are those that arrived, at their times."""
    item = Item(MediaUrl.parse(str(clips(name))))
    relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=2))
    viewer = relay.open_preview()
    data = b"".join([piece async for piece in reading(viewer)])
    await relay.wait()
    (whole,) = split_at_header(data)
    (tmp_path / "preview.mp4").write_bytes(whole)
    media = await asyncio.to_thread(assert_flawless, tmp_path / "preview.mp4")
    (publish,) = destination.publishes
    # A view begins with the first picture. The destination gets the sound before it as well.
    begin_ms = next(iter(publish.stamps(VIDEO)), 0)
    for track in media:
        sent = publish.stamps(VIDEO if track.kind == "video" else 8)
        shown = [round(stamp) + begin_ms for stamp in track.dts_ms]
        # What does not fill a fragment at the end is left out, too.
        first = sent.index(shown[0])
        assert all(stamp <= begin_ms for stamp in sent[:first])
        assert 0 < len(sent) - len(shown) <= 16
        assert shown == sent[first : first + len(shown)]
    assert KEY.encode() not in data


async def reading(viewer):
    """All that a viewer gets."""
    while piece := await viewer.read():
        yield piece


async def test_a_lost_destination_and_its_return(relays, source, destination, clips: ClipFactory):
    """Nothing is shown of what nobody got; with the next session the view goes on, or begins anew."""
    item = Item(MediaUrl.parse(str(clips("h264_no_bframes"))))
    relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=-1))
    viewer = relay.open_preview()
    assert await viewer.read()
    async with Destination() as other:
        relay.update(RelaySpec.vod([item], other.url(), loops=-1))
        await until("the other publish", lambda: other.publishes and other.publishes[0].has_both_tracks)
        async with asyncio.timeout(30):
            assert await viewer.read()
        await relay.stop()
    async with asyncio.timeout(30):
        while await viewer.read():
            pass


async def test_viewers_change_nothing_of_the_relay(relays, destination, clips: ClipFactory):
    """With viewers that come, go and sleep, the destination gets a stream without a drop or a repair."""
    item = Item(MediaUrl.parse(str(clips("h264_bframes"))))
    relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=2))
    sleeper = relay.open_preview()
    while relay.status.media_time_ms < 4000:
        viewer = relay.open_preview()
        await viewer.read()
        viewer.close()
        await asyncio.sleep(0)
    final = await relay.wait()
    assert (final.state, final.dropped_tags, final.repairs) == ("ended", 0, 0)
    sleeper.close()
