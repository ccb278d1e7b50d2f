"""Prepared files of all kinds over the limits of stamps: a destination gets, and a preview shows, their media."""

from pathlib import Path

import pytest

from kit import probe
from kit.clips import ClipFactory
from kit.pictures import make_picture
from scripted.destination import Destination
from scripted.on_a_clock import assert_the_same_media, frames_in, frames_of, publish
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.prepare.processing import COPY, FIRST, Processing
from streamferry.prepare.store import PreparedStore
from streamferry.source.prepared import PreparedReader

#: Of the session; its first join comes just after stamps get an extension, another sign, and begin anew.
BEGINS = (2**24 - 1500, 2**31 - 1500, 2**32 - 1500)
LOOPS = 2


def marked(folder: Path) -> Processing:
    """With a watermark."""
    mark = Watermark.from_file(make_picture(folder / "mark.png", "64x32", "red"), 0.5, 0.5, 0.25)
    return Processing.of_list(FIRST, form=None, silence=True, watermark=mark)


@pytest.mark.parametrize(
    ("has_watermark", "is_kept", "begins"),
    [(False, True, BEGINS), (True, True, BEGINS), (False, False, BEGINS[-1:])],
    ids=["plain", "watermark", "not kept"],
)
async def test_loops_and_their_preview(
    store: PreparedStore, clips: ClipFactory, tmp_path: Path, has_watermark: bool, is_kept: bool, begins: tuple[int]
) -> None:
    """Each frame in order, stamps that rise, sound and picture in step; and all of it in the preview."""
    url = MediaUrl.parse(str(clips("two_seconds")))
    processing = marked(tmp_path) if has_watermark else COPY
    model = await store.open(url, processing=processing)
    await model.wait_complete(lambda progress: None)
    passes = [frames_in(model)] * LOOPS
    for begin_ms in begins:
        files = [await store.open(url, processing=processing, keep=is_kept) for _ in range(LOOPS)]
        watched = bytearray()
        async with Destination() as destination:
            readers = [PreparedReader(file) for file in files]
            await publish(destination.url().reveal(), begin_ms, readers, watched)
            await destination.all_closed()
            (published,) = destination.publishes
        assert published.ended == "unpublished"
        assert_the_same_media(frames_of(published.tags), passes, 200)
        assert_shown(tmp_path / f"{begin_ms}.mp4", watched, LOOPS * len(passes[0]))
    model.close()


def assert_shown(path: Path, watched: bytearray, count: int) -> None:
    """A player finds all frames in what a preview showed, in order."""
    path.write_bytes(watched)
    media = probe.packets(path)
    for track in media:
        probe.assert_dts_strictly_rising(track)
    assert {track.kind for track in media} == {"video", "audio"}
    # The last fragment is not whole when the run ends.
    assert count - 20 <= len(media.video.packets) + len(media.audio.packets) <= count
