"""Files that nobody keeps: every tag is played, and no more of them is on the disk than a window."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prepared import prepare

from kit import programs
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import KEYFRAME, SCRIPT, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare import store as store_module
from streamferry.prepare.errors import ReadWhole
from streamferry.prepare.file import PreparedFile
from streamferry.prepare.store import PreparedStore
from streamferry.reasons import Code
from streamferry.source.prepared import PreparedReader

AHEAD_BYTES = 12 << 20
#: Ahead and behind, what is fetched and not read, the pieces on their way between the three programs, and blocks.
MOST_BYTES = 2 * AHEAD_BYTES
SECONDS = 30
PIECE_SECONDS = 3


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, because that is large; encoded once and repeated."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    piece = path.with_name("piece.mp4")
    noise = f"testsrc2=size=640x360:rate=25:duration={PIECE_SECONDS},noise=alls=40:allf=t"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-pix_fmt", "yuv420p", "-g", "25")
    programs.run([programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", noise, *coding, piece])
    sound = ("-f", "lavfi", "-i", f"sine=sample_rate=48000:duration={SECONDS}")
    picture = ("-stream_loop", str(SECONDS // PIECE_SECONDS - 1), "-i", piece)
    output = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-movflags", "+faststart", path)
    programs.run([programs.ffmpeg(), "-v", "error", *picture, *sound, *output])
    assert path.stat().st_size > 2 * MOST_BYTES
    return path


@pytest.fixture
def size_bytes(film: Path) -> int:
    return film.stat().st_size


@pytest.fixture
def origin(film: Path) -> Iterator[HttpFiles]:
    with HttpFiles(film.parent) as files:
        yield files


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PreparedStore]:
    async with PreparedStore(tmp_path / "cache", ahead_bytes=AHEAD_BYTES) as store:
        yield store


@pytest.fixture(scope="module")
def whole(film: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Tag]:
    """All frames of the film, from a file that is kept."""
    frames = prepare(film, tmp_path_factory.mktemp("kept") / "entry").frames
    return [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in frames]


async def played(reader: PreparedReader, file: PreparedFile, until_ms: int = 1 << 31) -> tuple[list[Tag], int]:
    """The frames up to a moment, and the most bytes that the file had on the disk meanwhile."""
    tags: list[Tag] = []
    most_bytes = 0
    async with asyncio.timeout(40):
        while not reader.at_end and reader.position_ms < until_ms - 200:
            out: list[Tag] = []
            start = reader.offset
            reader.advance(min(until_ms, reader.position_ms + 1000))
            reader.tags(start, out)
            frames = [tag for tag in out if tag[0] != SCRIPT and tag_kind(tag[0], tag[2]) <= KEYFRAME]
            tags += [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in frames]
            frames.clear()
            out.clear()
            assert reader.failed is None, reader.failed
            with contextlib.suppress(FileNotFoundError):  # Renamed under its eyes.
                most_bytes = max(most_bytes, file.entry.size_bytes())
            await asyncio.sleep(0.002)
    if reader.at_end:
        reader.close()
    return tags, most_bytes


@pytest.mark.parametrize("manner", ["whole", "cut with ranges", "cut without ranges", "local"])
async def test_a_file_larger_than_its_window_is_played_whole(
    store: PreparedStore, origin: HttpFiles, film: Path, whole: list[Tag], manner: str, size_bytes: int
) -> None:
    """Each tag as from a file that is kept, also when the connection breaks again and again; then nothing is left."""
    origin.ranges = manner != "cut without ranges"
    if manner == "cut with ranges":
        origin.cut_after_bytes = size_bytes // 6
    elif manner == "cut without ranges":
        origin.cut_after_bytes = size_bytes * 2 // 3
    url = MediaUrl.parse(str(film) if manner == "local" else origin.url("film.mp4"))
    file = await store.open(url, keep=False)
    if manner == "cut without ranges":
        origin.cut_after_bytes = None
    tags, most_bytes = await played(PreparedReader(file), file)
    assert tags == whole
    assert 0 < most_bytes < MOST_BYTES
    await store.aclose()
    assert not file.entry.path.exists()
    if manner == "cut with ranges":
        assert len([request for request in origin.requests if request.status == 206]) > 5


async def test_an_index_at_the_end_needs_no_more_room(
    store: PreparedStore, origin: HttpFiles, film: Path, whole: list[Tag]
) -> None:
    """The end of the file is fetched first; then it is read from front to back as any other."""
    late = film.with_name("index_at_the_end.mp4")
    programs.run([programs.ffmpeg(), "-v", "error", "-i", film, "-c", "copy", late])
    file = await store.open(MediaUrl.parse(origin.url(late)), keep=False)
    tags, most_bytes = await played(PreparedReader(file), file)
    assert tags == whole
    assert 0 < most_bytes < MOST_BYTES


async def test_it_is_played_from_the_middle_and_again_from_a_keyframe(
    store: PreparedStore, origin: HttpFiles, whole: list[Tag]
) -> None:
    """What lies before the start goes as well; a session that begins anew finds the keyframe before its break."""
    file = await store.open(MediaUrl.parse(origin.url("film.mp4")), start_ms=15_500, keep=False)
    reader = PreparedReader(file, 15_500)
    assert file.entry.size_bytes() < MOST_BYTES
    assert 14_900 < reader.start_dts_ms <= 15_100
    tags, _ = await played(reader, file, 20_700)
    again = reader.reopen_at_keyframe(reader.position_ms)
    reader.close()
    tags, most_bytes = await played(again, file)
    assert most_bytes < MOST_BYTES
    first = next(tag for tag in tags if tag[0] == VIDEO and tag_kind(VIDEO, tag[2]) <= KEYFRAME)
    assert tag_kind(VIDEO, first[2]) == KEYFRAME
    assert 19_000 < first[1] <= 20_700
    frames = [tag for tag in whole if tag[1] >= first[1]]
    assert tags[-len(frames) :] == frames


async def test_what_is_known_of_addresses_does_not_grow_for_ever(
    store: PreparedStore, http_files: HttpFiles, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which have to be read whole (C16): of so many it is known, and found out again of all others."""
    monkeypatch.setattr(store_module, "_MOST_READ_WHOLE", 2)

    async def find_out(*_: object) -> None:
        raise ReadWhole(Code.FILE_READ_WHOLE, url="film.mp4")

    monkeypatch.setattr(store, "_prepare", find_out)
    for number in range(4):
        address = f"{http_files.url(clips('moov_at_end'))}?number={number}"
        with pytest.raises(ReadWhole):
            await store.open(MediaUrl.parse(address), keep=False)
    assert 0 < len(store._read_whole) <= 2


async def test_what_cannot_be_read_from_front_to_back_is_there_whole(
    store: PreparedStore, http_files: HttpFiles, clips: ClipFactory
) -> None:
    """Tracks that lie too far apart, and an index at the end without ranges: fetched first, played all the same."""
    http_files.ranges = False
    inputs = ("-f", "lavfi", "-t", "30", "-i", "testsrc2=size=160x90:rate=5", "-f", "lavfi", "-t", "30", "-i", "sine")
    apart = clips.directory / "apart.mp4"
    muxing = ("-movflags", "+faststart", "-max_interleave_delta", "0", "-chunk_duration", "60000000")
    programs.run([programs.ffmpeg(), "-v", "error", "-y", *inputs, "-c:v", "libx264", "-c:a", "aac", *muxing, apart])
    file = await store.open(MediaUrl.parse(http_files.url(apart)), keep=False)
    with contextlib.suppress(ReadWhole):  # Found out at once, or while it plays.
        await file.wait_complete(lambda _: None)
    file.close()
    for address in (http_files.url(clips("moov_at_end")), http_files.url(apart)):
        file = await store.open(MediaUrl.parse(address), keep=False)
        tags, _ = await played(PreparedReader(file), file)
        assert len(tags) > 100
