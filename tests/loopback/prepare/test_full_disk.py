"""A cache whose disk has less room than its files want: unused ones leave, and what is too large plays in a window."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kit import hls, programs
from kit.disks import quiet_folder, reserve_for
from scripted.waiting import until
from streamferry.media.errors import Fault
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.prepare.cache import UNKEPT, all_entries
from streamferry.prepare.errors import CacheError, NoRoom
from streamferry.prepare.file import PreparedFile
from streamferry.prepare.store import PreparedStore
from streamferry.source.prepared import PreparedReader

SECONDS, FPS = 8, 25
AHEAD_BYTES = 12 << 20


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, because that is large: some 48 MB."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = f"testsrc2=size=640x360:rate={FPS}:duration={SECONDS},noise=alls=40:allf=t"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "16", "-pix_fmt", "yuv420p", "-g", "25")
    programs.run(
        [programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", picture, *coding, "-movflags", "+faststart", path]
    )
    assert path.stat().st_size > 3 * AHEAD_BYTES
    return path


@pytest.fixture
def size_bytes(film: Path) -> int:
    return film.stat().st_size


@pytest.fixture
def cache() -> Iterator[Path]:
    with quiet_folder() as folder:
        yield folder / "cache"


@asynccontextmanager
async def store_with(cache: Path, room_bytes: int) -> AsyncIterator[PreparedStore]:
    reserve_bytes = reserve_for(cache, room_bytes)
    async with PreparedStore(cache, ahead_bytes=AHEAD_BYTES, reserve_bytes=reserve_bytes) as store:
        yield store


async def play(file: PreparedFile) -> tuple[int, Exception | None]:
    """Pictures to the end of a file, or to where it fails; closes it."""
    reader, pictures, until_ms = PreparedReader(file), 0, 0
    async with asyncio.timeout(60):
        while not reader.at_end and reader.failed is None:
            tags: list[tuple[int, int, bytes | memoryview]] = []
            until_ms += 100
            start = reader.offset
            # At times that is all there is, as much as the preparation may keep.
            reader.advance(until_ms)
            reader.tags(start, tags)
            pictures += sum(kind == VIDEO and body[1] == 1 for kind, _, body in tags)
            tags.clear()
            await asyncio.sleep(0.002)
    failed = reader.failed
    reader.close()
    return pictures, failed


async def test_a_file_larger_than_the_room_is_played_and_not_kept(
    cache: Path, film: Path, size_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole, again and again; that it is not kept is told in the log once."""
    room_bytes = size_bytes - (4 << 20)
    caplog.set_level(logging.WARNING, "streamferry.prepare")
    async with store_with(cache, room_bytes) as store:
        for _ in range(2):
            assert await play(await store.open(MediaUrl.parse(str(film)))) == (SECONDS * FPS, None)
        assert all_entries(cache) == []
    assert len(caplog.records) == 1
    assert "is played without being kept" in caplog.text


async def test_files_that_nobody_uses_leave_for_one_that_is_needed(cache: Path, film: Path, size_bytes: int) -> None:
    """Although the cache is far smaller than it may be; the new one is kept."""
    other = film.with_name("other.mp4")
    shutil.copy(film, other)
    async with store_with(cache, size_bytes * 3 // 2) as store:
        for path in (film, other):
            assert await play(await store.open(MediaUrl.parse(str(path)))) == (SECONDS * FPS, None)
            (entry,) = all_entries(cache)
            assert entry.read_summary() is not None
            # It was played before its preparation had ended, and is in use until then.
            await until("nobody to use it", lambda entry=entry: not entry.is_in_use())


async def test_a_file_in_use_stays_and_plays_while_another_finds_no_room(
    cache: Path, film: Path, size_bytes: int
) -> None:
    """What is on air is no room for others."""
    other = film.with_name("third.mp4")
    shutil.copy(film, other)
    async with store_with(cache, size_bytes + 30_000_000) as store:
        kept = await store.open(MediaUrl.parse(str(film)))
        await kept.wait_complete(lambda _: None)
        assert await play(await store.open(MediaUrl.parse(str(other)))) == (SECONDS * FPS, None)
        assert await play(kept) == (SECONDS * FPS, None)
        assert len(all_entries(cache)) == 1


async def test_a_file_of_unknown_size_that_proves_too_large_is_played_the_next_time(
    cache: Path, film: Path, size_bytes: int
) -> None:
    """HLS does not say how large it is: it breaks off where the room ends, in words, and plays whole from then on."""
    playlist = hls.cut(film, film.parent / "hls")
    async with store_with(cache, size_bytes // 2) as store:
        url = MediaUrl.parse(str(playlist))
        pictures, failed = await play(await store.open(url))
        assert 0 < pictures < SECONDS * FPS
        assert isinstance(failed, NoRoom)
        assert failed.fault is Fault.SERVICE
        assert "setting cache_dir" in str(failed)
        assert await play(await store.open(url)) == (SECONDS * FPS, None)


async def test_no_room_at_all_is_told(cache: Path, film: Path) -> None:
    """How much there is, how much it takes, and of which setting's disk; nothing was written."""
    async with store_with(cache, 5_000_000) as store:
        with pytest.raises(CacheError, match=r"5 MB may be used, .* takes 19 MB \(setting cache_dir\)"):
            await store.open(MediaUrl.parse(str(film)))
    assert list((cache / UNKEPT).glob("*")) == []
