"""A live session that is encoded, pulled as the beat does, with sources that change under way."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import probe, programs
from kit.pictures import frames, make_picture
from kit.waiting import PATIENCE_S
from streamferry.media.errors import SourceCorrupt, SourceEnded, SourceStalled
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.net.child import end_all
from streamferry.prepare.processing import LIVE_ENCODER, Processing
from streamferry.relay.encoded import EncodedFeed, open_encoded
from streamferry.timeline import Timeline
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags, serialize_flv_header, serialize_tag

pytestmark = pytest.mark.e2e
SCRATCH = memoryview(bytearray(2 << 20))
URL = MediaUrl.parse("rtmp://127.0.0.1/live/cam")


@pytest.fixture(autouse=True)
async def _no_survivors():
    yield
    await end_all()


@pytest.fixture
def mark(tmp_path):
    return Watermark(make_picture(tmp_path / "mark.png", "60x30", "red").read_bytes(), 0.05, 0.05, 0.25)


X264 = ("-c:v", "libx264", "-preset", "ultrafast")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
AV1 = ("-c:v", "libsvtav1", "-preset", "12")


def film(path: Path, size: str, *sound: str, codec: tuple[str, ...] = X264) -> list[Tag]:
    """Two seconds as the tags of a live stream."""
    picture = ("-f", "lavfi", "-t", "2", "-i", f"testsrc2=s={size}:r=25")
    video = (*codec, "-pix_fmt", "yuv420p", "-g", "25")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *picture, *sound, *video, "-f", "flv", path])
    data, tags = memoryview(path.read_bytes()), []
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return tags


SOUND = ("-f", "lavfi", "-t", "2", "-i", "sine", "-c:a", "aac")


MP3 = ("-f", "lavfi", "-t", "2", "-i", "sine=r=44100", "-c:a", "libmp3lame")


class Camera:
    """A LiveInlet that gives ten tags at each pull, and falls silent at the end."""

    silence_s = 1.0

    def __init__(self, tags: list[Tag]) -> None:
        self.tags = tags
        self.is_closed = False

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        given, self.tags = self.tags[:10], self.tags[10:]
        out += given
        return sum(len(tag[2]) for tag in given)

    def close(self) -> None:
        self.is_closed = True


def marked(mark: Watermark) -> Processing:
    return Processing(watermark=mark, encoder=LIVE_ENCODER)


def later(tags: list[Tag], by_ms: int) -> list[Tag]:
    return [(tag_type, stamp_ms + by_ms, body) for tag_type, stamp_ms, body in tags if tag_type != SCRIPT]


def of(tag_type: int, laid: list[LaidTag]) -> list[LaidTag]:
    return [tag for tag in laid if tag[0] == tag_type]


async def pull_to_the_end(feed: EncodedFeed, is_all: Callable[[list[LaidTag]], bool]) -> list[LaidTag]:
    """Until all has come, and then until the source is silent for too long, which it has to be told.

    The encoder takes its time: the source may have been silent for long before the encoder gives its last picture.
    """
    laid: list[LaidTag] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                now, new = time.monotonic(), []
                feed.pull(now, new)
                laid += [(tag_type, dts_ms, bytes(body), kind) for tag_type, dts_ms, body, kind in new]
                if is_all(laid):
                    feed.check_liveness(now)
                await asyncio.sleep(0.02)
    except SourceStalled:
        return laid
    finally:
        feed.close()


def written(path: Path, laid: list[LaidTag]) -> Path:
    path.write_bytes(serialize_flv_header(True, True) + b"".join(serialize_tag(*tag[:3]) for tag in laid))
    return path


async def test_a_picture_that_changes_its_size_is_fitted(tmp_path, mark):
    """What the destination gets keeps the size it began with, mark in place; nothing of either half is missing."""
    tags = film(tmp_path / "one.flv", "320x180", *SOUND) + later(film(tmp_path / "two.flv", "180x320", *SOUND), 2000)
    camera = Camera(tags)
    feed = await open_encoded(camera, marked(mark), URL, Timeline(), SCRATCH)
    ends_ms = lambda laid: [max((tag[1] for tag in of(kind, laid)), default=0) for kind in (VIDEO, AUDIO)]  # noqa: E731
    path = written(tmp_path / "out.flv", await pull_to_the_end(feed, lambda laid: min(ends_ms(laid)) > 3800))
    assert camera.is_closed
    probe.assert_flawless(path)
    pictures = frames(path, 200)
    assert {(len(picture[0]), len(picture)) for picture in pictures} == {(320, 180)}
    for picture in pictures:
        assert picture[16][26][0] > 200
        assert max(picture[16][26][1:]) < 60


async def test_time_that_goes_back_stops_nothing(tmp_path, mark):
    """An encoder that starts over at 0 in the same session: the pictures go on, and the mark with them."""
    tags = film(tmp_path / "one.flv", "320x180", *SOUND)
    feed = await open_encoded(Camera(later(tags, 3_600_000) + later(tags, 0)), marked(mark), URL, Timeline(), SCRATCH)
    laid = await pull_to_the_end(feed, lambda laid: len(of(VIDEO, laid)) > 97)
    media = probe.assert_flawless(written(tmp_path / "out.flv", laid))
    assert len(media.video.packets) == pytest.approx(100, abs=3)


async def test_sound_without_picture_passes(tmp_path, mark):
    """There is nothing to lay the mark over, and the sound is copied."""
    tags = [tag for tag in film(tmp_path / "one.flv", "320x180", *SOUND) if tag[0] == AUDIO]
    feed = await open_encoded(Camera(tags + later(tags, 2000)), marked(mark), URL, Timeline(), SCRATCH)
    laid = await pull_to_the_end(feed, lambda laid: len(of(AUDIO, laid)) > len(tags))
    assert {tag[0] for tag in laid} <= {AUDIO, SCRIPT}
    assert {tag[2] for tag in laid if tag[0] == AUDIO} <= {bytes(tag[2]) for tag in tags}


async def test_sound_that_comes_later_begins_another_session(tmp_path, mark):
    """The encoder was started without it: the source has to be opened again."""
    silent = film(tmp_path / "one.flv", "320x180")
    tags = silent + later(silent, 2000) + later(film(tmp_path / "two.flv", "320x180", *SOUND), 4000)
    feed = await open_encoded(Camera(tags), marked(mark), URL, Timeline(), SCRATCH)
    with pytest.raises(SourceEnded, match="track"):
        await pull_to_the_end(feed, lambda laid: False)


def numbered(tag: Tag) -> Tag:
    """HEVC and AV1 with the numbers 12 and 13, as Chinese networks wrote them before Enhanced RTMP."""
    tag_type, stamp_ms, body = tag[0], tag[1], bytes(tag[2])
    if tag_type != VIDEO or not body[0] & 0x80:
        return tag
    packet, is_hevc = body[0] & 0x0F, body[1:5] == b"hvc1"
    offset = b"" if is_hevc and packet == 1 else bytes(3)
    return tag_type, stamp_ms, bytes((body[0] & 0x70 | (12 if is_hevc else 13), min(packet, 1))) + offset + body[5:]


@pytest.mark.parametrize(
    ("codec", "write", "sound"),
    [(X265, None, MP3), (X265, numbered, SOUND), (AV1, None, SOUND), (AV1, numbered, SOUND)],
    ids=["hvc1", "12", "av01", "13"],
)
async def test_other_codecs_for_a_destination_of_h264_alone(tmp_path, codec, write, sound):
    """No picture is missing, but those that the decoder still holds; AAC is copied, other sound becomes AAC."""
    tags = film(tmp_path / "one.flv", "320x180", *sound, codec=codec)
    tags = list(map(write, tags)) if write else tags
    processing = Processing(only_h264=True, encoder=LIVE_ENCODER)
    feed = await open_encoded(Camera(tags), processing, URL, Timeline(), SCRATCH)
    laid = await pull_to_the_end(feed, lambda laid: len(of(VIDEO, laid)) > 40)
    media = probe.assert_flawless(written(tmp_path / "out.flv", laid))
    assert (media.video.codec, media.audio.codec) == ("h264", "aac")
    assert probe.max_gap_ms(media.video) <= 41
    if sound is SOUND:
        assert {tag[2] for tag in of(AUDIO, laid)} <= {bytes(tag[2]) for tag in tags}


async def test_sound_alone_for_a_destination_of_h264_and_aac(tmp_path):
    """There is no picture to encode."""
    tags = [tag for tag in film(tmp_path / "one.flv", "320x180", *MP3) if tag[0] == AUDIO]
    processing = Processing(only_h264=True, encoder=LIVE_ENCODER)
    feed = await open_encoded(Camera(tags + later(tags, 2000)), processing, URL, Timeline(), SCRATCH)
    laid = await pull_to_the_end(feed, lambda laid: len(of(AUDIO, laid)) > 150)
    assert {tag[0] for tag in laid} <= {AUDIO, SCRIPT}
    assert {tag[2][0] for tag in of(AUDIO, laid)} == {0xAF}


async def test_what_is_no_media_is_said_to_be_none(mark):
    """Tags whose bodies no decoder understands: the source's fault."""
    tags = [(VIDEO, 40 * n, b"\x17\x01\0\0\0" + bytes(20)) for n in range(100)]
    camera = Camera(tags)
    with pytest.raises((SourceCorrupt, SourceStalled)) as caught:
        await open_encoded(camera, marked(mark), URL, Timeline(), SCRATCH)
    assert caught.value.fault == "user_source"
    assert camera.is_closed
