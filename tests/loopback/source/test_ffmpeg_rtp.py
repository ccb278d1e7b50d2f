"""RTP as ffmpeg makes it, read in process: the access units of the clip, one after another, at its distances."""

import asyncio

import pytest

from kit.live_hls import watch
from kit.rtp import RtpClip, frames_of, headers_of
from kit.rtsp_server import RtspServer
from kit.waiting import PATIENCE_S
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import open_live
from streamferry.source.rtsp_inlet import RtspInlet

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]
FRAMES = 50


@pytest.mark.parametrize(
    ("name", "sound"), [("h264_bframes", ()), ("hevc", ()), ("aac_44100_stereo", ("-rtpflags", "latm"))]
)
async def test_the_same_access_units(clips, tmp_path, name, sound):
    """AAC behind headers of RFC 3640, and in LATM."""
    clip = RtpClip(clips(name, ".flv"))
    tags = []
    with RtspServer(tmp_path / "rtsp", clips(name), sound) as server:
        inlet = await open_live(MediaUrl.parse(server.url()), deadlines=Deadlines())
        assert isinstance(inlet, RtspInlet)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(frames_of(tags, VIDEO)) < FRAMES or len(frames_of(tags, AUDIO)) < FRAMES:
                    seen = await watch(inlet, 0.3)
                    assert seen.error is None
                    tags += [(kind, stamp, body) for _, kind, stamp, body in seen.tags]
        finally:
            inlet.close()
    for kind, made, head_bytes in ((VIDEO, clip.pictures, 300), (AUDIO, clip.sounds, 10_000)):
        bodies = [body[2:][-head_bytes:] for _, body in made]
        got = frames_of(tags, kind)
        begin = bodies.index(got[0][1][2:][-head_bytes:])
        for number, (stamp, body) in enumerate(got[: len(bodies) - begin]):
            assert body[2:][-head_bytes:] == bodies[begin + number]
            shown, first = (stamp, got[0][0]) if kind == AUDIO else (clip.pts_ms(stamp, body), clip.pts_ms(*got[0]))
            wanted = [one[0] if kind == AUDIO else clip.pts_ms(*one) for one in made]
            assert abs((shown - first) - (wanted[begin + number] - wanted[begin])) <= 2
        assert len(headers_of(tags, kind)) == 1
