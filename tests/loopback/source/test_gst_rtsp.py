"""RTSP of GStreamer's server against the same clip in FLV: each picture and sound, at its time, over TCP and UDP."""

import asyncio
from itertools import pairwise

import pytest

from kit.gst_server import GstServer
from kit.live_hls import watch
from kit.rtp import RtpClip, frames_of
from kit.waiting import PATIENCE_S
from streamferry.media.errors import SourceEnded, SourceRejected
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory, open_live
from streamferry.source.live import SCRATCH_BYTES
from streamferry.source.rtsp_inlet import RtspInlet

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_factories=["uvloop"])]


async def played(url, memory=None):
    """All of it, to the server's goodbye."""
    inlet = await open_live(MediaUrl.parse(url), memory=memory, deadlines=Deadlines())
    assert isinstance(inlet, RtspInlet)
    try:
        seen = await watch(inlet, PATIENCE_S)
    finally:
        inlet.close()
    assert isinstance(seen.error, SourceEnded)
    return seen


def tracks_of(seen):
    tags = [(kind, stamp, body) for _, kind, stamp, body in seen.tags]
    return frames_of(tags, VIDEO), frames_of(tags, AUDIO)


def assert_same(clip, seen):
    """Bodies as in FLV, in order; of each track the times between them, but for what lays them beside each other."""
    pictures, sounds = tracks_of(seen)
    assert [body[-300:] for _, body in pictures] == [body[-300:] for _, body in clip.pictures]
    # This server sends neither what the encoder puts before the first sound nor what it puts after the last.
    begin = [body for _, body in clip.sounds].index(sounds[0][1])
    wanted = clip.sounds[begin : begin + len(sounds)]
    assert [body for _, body in sounds] == [body for _, body in wanted]
    assert len(wanted) >= len(clip.sounds) - 3
    shifts = [one[0] - other[0] for one, other in zip(sounds, wanted, strict=True)]
    assert max(shifts) - min(shifts) <= 2
    shifts = [clip.pts_ms(*one) - clip.pts_ms(*other) for one, other in zip(pictures, clip.pictures, strict=True)]
    assert all(abs(later - earlier) <= 16 for earlier, later in pairwise(shifts))
    for frames in (pictures, sounds):
        assert all(later[0] > earlier[0] for earlier, later in pairwise(frames))


@pytest.mark.parametrize(
    ("name", "codec", "query"),
    [("h264_bframes", "h264", ""), ("h264_no_bframes", "h264", "?udp"), ("hevc", "h265", "?udp")],
)
async def test_all_of_a_clip(clips, tmp_path, name, codec, query):
    """With a digest login; B-frames, whose first picture ffmpeg gives no time."""
    with GstServer(tmp_path / "gst", clips(name), codec=codec, user="me:p@ss word") as server:
        assert_same(RtpClip(clips(name, ".flv")), await played(server.url(query)))


async def test_a_server_that_has_udp_alone_and_another_password(clips, tmp_path):
    """461 for the connection, and again UDP at once; a wrong password is told as one."""
    memory = SourceMemory()
    with GstServer(tmp_path / "gst", clips("two_seconds"), user="me:right", ways="udp") as server:
        for _ in range(2):
            assert_same(RtpClip(clips("two_seconds", ".flv")), await played(server.url(), memory))
        with pytest.raises(SourceRejected, match="401"):
            await asyncio.wait_for(played(server.url().replace("right", "wr0ng")), PATIENCE_S)


@pytest.mark.parametrize("query", ["", "?udp"])
async def test_its_reports_lay_sound_and_picture_beside_each_other(clips, tmp_path, query):
    """Within 5 ms, once both tracks have been reported."""
    clip = RtpClip(clips("half_a_minute", ".flv"))
    with GstServer(tmp_path / "gst", clips("half_a_minute")) as server:
        inlet = await open_live(MediaUrl.parse(server.url(query)), deadlines=Deadlines())
        assert isinstance(inlet, RtspInlet)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not inlet.is_aligned:
                    await watch(inlet, 0.2)
                seen = await watch(inlet, 0.5)
                while not (seen.pictures and seen.sounds):
                    seen = await watch(inlet, 0.5)
        finally:
            inlet.close()
    pictures, sounds = tracks_of(seen)
    made = {body: clip.pts_ms(stamp, body) for stamp, body in clip.pictures}
    heard = {body: stamp for stamp, body in clip.sounds}
    picture, sound = pictures[-1], sounds[-1]
    apart = (sound[0] - heard[sound[1]]) - (clip.pts_ms(*picture) - made[picture[1]])
    assert abs(apart) <= 5


async def test_aac_in_latm(clips, tmp_path):
    """Its description tells of no SBR, and leaves out its end; ffmpeg finds no sound in that."""
    with GstServer(tmp_path / "gst", clips("two_seconds"), sound="latm") as server:
        _, sounds = tracks_of(await played(server.url()))
    wanted = RtpClip(clips("two_seconds", ".flv")).sounds
    begin = [body for _, body in wanted].index(sounds[0][1])
    assert [body for _, body in sounds] == [body for _, body in wanted[begin : begin + len(sounds)]]
    assert len(sounds) >= len(wanted) - 3
    assert all(20 <= later[0] - earlier[0] <= 23 for earlier, later in pairwise(sounds[1:]))


@pytest.mark.parametrize(("codec", "sound"), [("h264", "opus"), ("jpeg", "aac"), ("vp8", "opus")])
async def test_what_flv_cannot_carry_is_encoded(clips, tmp_path, codec, sound):
    """Opus, MJPEG, VP8: ffmpeg makes H.264 and AAC of them, and leaves what needs no encoding as it is.

    Opus beside a picture that is carried goes through it alone.
    """
    with GstServer(tmp_path / "gst", clips("half_a_minute"), codec=codec, sound=sound) as server:
        inlet = await open_live(MediaUrl.parse(server.url()), deadlines=Deadlines())
        tags: list[Tag] = []
        scratch = memoryview(bytearray(SCRATCH_BYTES))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while min(len(frames_of(tags, kind)) for kind in (VIDEO, AUDIO)) < 10:
                    new: list[Tag] = []
                    inlet.pull(scratch, new)
                    tags += [(kind, stamp, bytes(body)) for kind, stamp, body in new]
                    await asyncio.sleep(0.02)
        finally:
            inlet.close()
            await end_all()
    assert isinstance(inlet, RtspInlet) == (codec == "h264")
    if codec == "h264":
        whole = {body[-300:] for _, body in RtpClip(clips("half_a_minute", ".flv")).pictures}
        assert all(body[-300:] in whole for _, body in frames_of(tags, VIDEO))
