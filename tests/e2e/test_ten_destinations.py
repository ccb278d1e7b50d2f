"""Ten destinations of one relay: what five real servers record of it, beside others that are slow, stuck or refuse."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kit import programs
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.waiting import START_S
from scripted.destination import Destination, slow, stop_reading
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.store import PreparedStore
from streamferry.relay import RelaySpec, State
from streamferry.relay import spec as relay_spec
from streamferry.relay.host import RelayHost
from streamferry.source.flv import FlvReader

#: Of the clip. No two of its frames are the same; of its pictures the slow ones get a part.
FILM_S, FPS = 8, 25
SLOW_BYTES_PER_S = 20_000


def film(path: Path) -> Path:
    """Noise and a tone that rises, some 3 Mbps."""
    inputs = (f"testsrc2=s=320x180:r={FPS},noise=alls=40:allf=t", "aevalsrc='0.3*sin(2*PI*(300+40*t)*t)':s=44100")
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", str(FILM_S), "-i", graph)]
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *coded, path])
    return path


def frames_in(path: Path) -> list[Tag]:
    """The frames of a recording."""
    tags: list[Tag] = []
    FlvReader().read(memoryview(path.read_bytes()), 0, tags)
    media = [(kind, stamp, bytes(body)) for kind, stamp, body in tags if kind in (AUDIO, VIDEO)]
    return [tag for tag in media if tag_kind(tag[0], tag[2]) <= KEYFRAME]


def bodies(frames: list[Tag], kind: int) -> list[bytes]:
    """Of one track."""
    return [bytes(body) for tag_type, _, body in frames if tag_type == kind]


@pytest.fixture
def recorder(tmp_path: Path):
    """A running node-media-server that records."""
    server = NodeMediaServer(tmp_path / "node", records=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def test_good_servers_record_the_same_frames_beside_bad_ones(
    nginx: NginxRtmp, recorder: NodeMediaServer, tmp_path: Path
) -> None:
    """Beside three slow ones, one that takes nothing and one that refuses: from when the last of them has begun on,
    each has all frames that the source has sent, in the same order, with the same stamps."""
    clip = await asyncio.to_thread(film, tmp_path / "film.flv")
    good = [nginx.url(f"{number}", app="rec") for number in range(3)] + [
        recorder.url(f"{number}") for number in range(2)
    ]
    async with AsyncExitStack() as stack:
        never = asyncio.Event()
        manners = [slow(SLOW_BYTES_PER_S, never)] * 3 + [stop_reading]
        bad = [
            await stack.enter_async_context(Destination(manner, receive_buffer_bytes=16 << 10)) for manner in manners
        ]
        urls = [*(one.url().reveal() for one in bad), nginx.url("refused", app="closed"), *good]
        first, *others = [
            relay_spec.Destination(str(number), MediaUrl.parse(url)) for number, url in enumerate(urls, start=1)
        ]
        publisher = await asyncio.to_thread(Publisher, clip, nginx.url("camera"), tmp_path / "publisher", loop=False)
        stack.callback(publisher.vanish)
        host = await stack.enter_async_context(RelayHost(store=PreparedStore(tmp_path / "cache")))
        spec = RelaySpec.live(
            *(MediaUrl.parse(nginx.url("camera")), first.url), destination_id=first.id, others=tuple(others)
        )
        relay = host.start(spec)
        told = {}

        def has_all() -> bool:
            told.update({one.id: one for one in relay.status.destinations if one.state is State.STREAMING})
            return publisher.process.poll() is not None and relay.status.kbps_in == 0

        await until("the end of the film", has_all, FILM_S + START_S)
        each = {one.id: one for one in relay.status.destinations}
        await relay.stop()
    slow_ids, refused_id, good_ids = ["1", "2", "3"], "5", [str(number) for number in range(6, 11)]
    assert [(each[one].dropped_tags, each[one].lost_ms, each[one].retries) for one in good_ids] == [(0, 0, 0)] * 5
    assert all(each[one].dropped_tags > 0 for one in slow_ids)
    assert each[refused_id].retries > 0
    assert {"4", "5"}.isdisjoint(one.id for one in relay.status.destinations if one.state is State.STREAMING)
    for number in range(3):
        await asyncio.to_thread(nginx.wait_unpublished, f"{number}", "rec")
    recordings = [path for number in range(3) for path in nginx.recordings(f"{number}")]
    recordings += [path for number in range(2) for path in recorder.recordings(f"{number}")]
    assert len(recordings) == 5
    all_frames = [frames_in(path) for path in recordings]
    shortest = min(all_frames, key=len)
    for kind in (VIDEO, AUDIO):
        sent, came = (bodies(frames, kind) for frames in (frames_in(clip), shortest))
        begin = sent.index(came[0])
        assert came == sent[begin : begin + len(came)]
        assert len(came) > len(sent) / 4
    for frames in all_frames:
        common = frames[-len(shortest) :]
        begin_ms = common[0][1] - shortest[0][1]
        assert [(kind, stamp - begin_ms, body) for kind, stamp, body in common] == shortest
