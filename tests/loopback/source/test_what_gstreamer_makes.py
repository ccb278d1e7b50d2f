"""Transport streams and fragments of GStreamer's muxers: the frames and times that ffmpeg finds in them, too."""

import functools
from pathlib import Path

import pytest

from kit import programs
from kit.clips import ClipFactory
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.mp4 import Mp4Demuxer
from streamferry.wire.mpegts import TsDemuxer

pytestmark = pytest.mark.e2e

#: What comes between a clip's tracks and the file, by the muxer.
MUXERS = {
    "hlssink": "mpegtsmux name=mux ! hlssink target-duration=1 max-files=0 location={folder}/%05d "
    "playlist-location={folder}/l",
    "mpegtsmux": "mpegtsmux name=mux ! filesink location={folder}/0",
    "m2ts": "mpegtsmux name=mux m2ts-mode=true ! filesink location={folder}/0",
    "mp4mux": "mp4mux name=mux fragment-duration=1000 ! filesink location={folder}/0",
    "mp4mux-seconds-of-one-track": "mp4mux name=mux fragment-duration=4000 ! filesink location={folder}/0",
}


def made(clip: Path, muxer: str, folder: Path) -> bytes:
    """What the muxer makes of the clip by copying."""
    folder.mkdir()
    tracks = "source.video_0 ! h264parse ! queue ! mux. source.audio_0 ! aacparse ! queue ! mux."
    pipeline = f"filesrc location={clip} ! qtdemux name=source {tracks} {MUXERS[muxer].format(folder=folder)}"
    programs.run([programs.need("gst-launch-1.0"), "-q", *pipeline.split()])
    return b"".join(part.read_bytes() for part in sorted(folder.glob("*[0-9]")))


def read_by_ffmpeg(path: Path) -> list[Tag]:
    flv = path.with_suffix(".flv")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-copyts", "-i", path, "-c", "copy", flv])
    data, tags = memoryview(flv.read_bytes()), []
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return tags


@functools.cache
def is_frame(tag_type: int, body: bytes) -> bool:
    return (kind_of_video if tag_type == VIDEO else kind_of_audio)(body) <= KEYFRAME


def frames(tags: list[Tag], tag_type: int) -> list[tuple[int, bytes]]:
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == tag_type and is_frame(kind, bytes(body))]


@pytest.mark.parametrize("name", ["h264_bframes", "h264_no_bframes"])
@pytest.mark.parametrize("muxer", MUXERS)
def test_the_same_frames(clips: ClipFactory, tmp_path: Path, muxer: str, name: str) -> None:
    data = made(clips(name), muxer, tmp_path / "made")
    tags: list[Tag] = []
    demuxer = Mp4Demuxer() if muxer.startswith("mp4mux") else TsDemuxer()
    for at in range(0, len(data), 50_000):
        demuxer.feed(memoryview(bytearray(data[at : at + 50_000])), tags)
    demuxer.finish(tags)
    path = tmp_path / "whole"
    path.write_bytes(data)
    expected, shifts = read_by_ffmpeg(path), {}
    for tag_type in (VIDEO, AUDIO):
        found, wanted = frames(tags, tag_type), frames(expected, tag_type)
        # Delimiters and sets of parameters in front of pictures may differ.
        assert [body[-200:] for _, body in found] == [body[-200:] for _, body in wanted]
        steps = {one[0] - other[0] for one, other in zip(found, wanted, strict=True)}
        assert max(steps) - min(steps) <= 2
        shifts[tag_type] = min(steps)
    # The sound stays with its picture.
    assert abs(shifts[VIDEO] - shifts[AUDIO]) <= 5
