"""The store: one preparation for all who ask, played while it grows, used again while the origin has not changed."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.programs import Program, command_line, descendants
from kit.waiting import wait_for
from streamferry.media.errors import MediaError, SourceError, SourceRejected, SourceUnreachable, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.errors import CacheError, SourceGone
from streamferry.prepare.file import PreparedFile, PrepareProgress
from streamferry.prepare.store import PreparedStore
from streamferry.source.prepared import PreparedReader

CLIP = "h264_no_bframes"
#: A download of the 3 s clip, about 150 kB, takes about that many seconds at this rate.
SLOW_BYTES_PER_SECOND = 60_000


def film_of(origin: HttpFiles) -> MediaUrl:
    return MediaUrl.parse(origin.url("film.mp4") + "?token=planted-secret")


def downloads(origin: HttpFiles) -> list[str | None]:
    """Ranges of the requests for the film itself; the looks at its version ask for the first byte only."""
    return [request.range for request in origin.requests if request.range != "bytes=0-0" and request.status < 300]


async def until(what: str, look: Callable[[], object]) -> None:
    """Wait until ``look`` gives something true."""
    await asyncio.to_thread(wait_for, what, look)


async def whole(file: PreparedFile) -> PreparedFile:
    """Wait until a file has grown to its end."""
    await until("a whole file", lambda: file.complete or file.failed)
    assert file.failed is None, file.failed
    return file


async def failed(file: PreparedFile) -> MediaError:
    await until("a failure", lambda: file.failed)
    assert file.failed is not None
    return file.failed


_others: set[int] = set()


@pytest.fixture(autouse=True)
def _note_others() -> None:
    """Processes that were there before the test: servers and browsers that other tests share."""
    _others.clear()
    _others.update(descendants(os.getpid()))


def descendants_here() -> list[int]:
    """What this test's stores have started."""
    return [pid for pid in descendants(os.getpid()) if pid not in _others]


async def ended(pids: list[int]) -> None:
    """Wait until none of the processes is there any more, not even as a zombie."""
    await until("processes to end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


async def played(file: PreparedFile) -> list[Tag]:
    """All tags as a player gets them, copied; takes the hold of the file over."""
    reader = PreparedReader(file)
    tags: list[Tag] = []
    async with asyncio.timeout(30):
        while not reader.at_end:
            out: list[Tag] = []
            start = reader.offset
            reader.advance(1 << 31)
            reader.tags(start, out)
            tags += [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in out]
            assert reader.failed is None, reader.failed
            if reader.starved:
                await asyncio.sleep(0.01)
    reader.close()
    return tags


async def test_players_start_before_the_download_ends(store: PreparedStore, origin: HttpFiles) -> None:
    """The first frames are there long before the last byte is, and what follows comes while it grows."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    seen: list[PrepareProgress] = []
    file = await store.open(film_of(origin), seen.append)
    assert not file.complete
    assert origin.body_bytes < (origin.directory / "film.mp4").stat().st_size
    assert file.headers
    assert file.metadata["width"] == 320
    assert seen[-1].percent in range(1, 100)
    origin.bytes_per_second = None
    file.retain()
    growing = await played(file)
    again = await played(file)
    assert growing == again
    assert len(growing) > 200


async def test_a_local_file_is_prepared_and_then_found(store: PreparedStore, clips: ClipFactory) -> None:
    """The second time no program runs: the one it would run does not exist."""
    url = MediaUrl.parse(str(clips(CLIP)))
    first = await played(await store.open(url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMFERRY_FFMPEG", "/no/such/program")
        file = await store.open(url)
        assert file.complete
        assert await played(file) == first


async def test_two_who_ask_at_once_share_one_preparation(store: PreparedStore, origin: HttpFiles) -> None:
    """One download, one file object, and it lives until both have closed it."""
    one, other = await asyncio.gather(store.open(film_of(origin)), store.open(film_of(origin)))
    assert one is other
    one.close()
    await whole(other)
    other.close()
    assert downloads(origin) == [None]


async def test_two_processes_share_one_preparation(store: PreparedStore, origin: HttpFiles, tmp_path: Path) -> None:
    """The second follows what the first writes, while it grows. Two stores stand for two processes: so do the locks."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    async with PreparedStore(tmp_path / "cache") as second:
        one = await store.open(film_of(origin))
        other = await second.open(film_of(origin))
        assert one is not other
        assert not other.complete
        origin.bytes_per_second = None
        assert await played(one) == await played(other)
    assert downloads(origin) == [None]


async def test_a_follower_takes_over_when_the_first_process_is_killed(
    store: PreparedStore, origin: HttpFiles, tmp_path: Path
) -> None:
    """Its players are told that the file will not grow; opened again it is prepared to the end, not from the start."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    async with PreparedStore(tmp_path / "cache") as second:
        one = await store.open(film_of(origin))
        (worker,) = [pid for pid in descendants_here() if "preparation" in command_line(pid)]
        other = await second.open(film_of(origin))
        os.kill(worker, signal.SIGKILL)
        assert isinstance(await failed(one), CacheError)
        assert (await failed(other)).retryable
        one.close()
        other.close()
        origin.bytes_per_second = None
        file = await whole(await second.open(film_of(origin)))
        file.close()
    first, *resumed = downloads(origin)
    assert first is None
    assert len(resumed) == 1
    assert resumed[0] != "bytes=0-"


async def test_a_preparation_killed_in_the_middle_is_never_taken_for_whole(
    store: PreparedStore, origin: HttpFiles
) -> None:
    """The next one resumes the download and gives every tag."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    file = await store.open(film_of(origin))
    killed = [pid for pid in descendants_here() if "preparation" in command_line(pid)]
    assert len(killed) == 1
    os.kill(killed[0], signal.SIGKILL)
    error = await failed(file)
    assert isinstance(error, CacheError)
    assert error.retryable
    assert not file.complete
    file.close()
    origin.bytes_per_second = None
    resumed = await played(await store.open(film_of(origin)))
    assert len(downloads(origin)) == 2
    assert downloads(origin)[1] not in (None, "bytes=0-")
    local = await played(await store.open(MediaUrl.parse(str(origin.directory / "film.mp4"))))
    assert resumed == local


async def test_closing_a_growing_file_ends_its_processes(store: PreparedStore, origin: HttpFiles) -> None:
    """Nobody waits for it any more; opened again at once it goes on with what was fetched."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    file = await store.open(film_of(origin))
    working = descendants_here()
    assert len(working) == 2
    file.close()
    file = await store.open(film_of(origin))
    await ended(working)
    origin.bytes_per_second = None
    await whole(file)
    file.close()
    await ended(descendants_here())


@pytest.mark.usefixtures("started_children")
def test_on_the_stock_loop_processes_are_ended_and_buried_as_well(
    origin: HttpFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio's own watcher gets the status of each, killed or not: it complains of none that it does not know."""

    async def open_close_and_open_again() -> None:
        async with PreparedStore(tmp_path / "cache") as store:
            (await store.open(film_of(origin))).close()
            origin.bytes_per_second = None
            (await whole(await store.open(film_of(origin)))).close()

    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(open_close_and_open_again())
    assert "Unknown child" not in caplog.text
    assert descendants_here() == []


async def test_a_cancelled_open_leaves_nothing_behind(store: PreparedStore, origin: HttpFiles) -> None:
    """At whatever point it is cancelled, no process and no lock stays."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    for delay in (0, 0.01, 0.05, 0.1, 0.2):
        opening = asyncio.ensure_future(store.open(film_of(origin), start_ms=2500))
        await asyncio.sleep(delay)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
    await ended(descendants_here())
    origin.bytes_per_second = None
    file = await whole(await store.open(film_of(origin)))
    file.close()


async def test_the_processes_end_with_the_one_who_started_them(origin: HttpFiles, tmp_path: Path) -> None:
    """kill -9 of the relay process leaves neither a preparation nor an ffmpeg."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from streamferry.media.url import MediaUrl\n"
        "from streamferry.prepare.store import PreparedStore\n"
        "async def main():\n"
        "    await PreparedStore(Path(sys.argv[1])).open(MediaUrl.parse(sys.argv[2]))\n"
        "    print('growing', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "cache", film_of(origin).reveal()]
    with Program(command, tmp_path / "log") as parent:
        await until("the file to grow", lambda: "growing" in parent.output)
        working = descendants(parent.pid)
        assert len(working) == 2
        parent.stop(signal.SIGKILL)
        # Not waited for by anyone of this test: whoever is the parent now buries them.
        await until("processes to end", lambda: not any(command_line(pid) for pid in working))


async def test_an_open_waits_until_the_start_offset_is_prepared(store: PreparedStore, origin: HttpFiles) -> None:
    """A player that starts in the middle starts there, also while the file grows."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    file = await store.open(film_of(origin), start_ms=1500)
    assert not file.complete
    reader = PreparedReader(file, start_ms=1500)
    assert 900 < reader.start_dts_ms < 1100
    reader.close()


async def test_a_file_that_changed_is_prepared_anew(
    store: PreparedStore, origin: HttpFiles, clips: ClipFactory
) -> None:
    """The origin is asked at each opening; who plays the old one plays on."""
    old = await whole(await store.open(film_of(origin)))
    shutil.copy(clips("two_seconds"), origin.directory / "film.mp4")
    new = await whole(await store.open(film_of(origin)))
    assert new is not old
    assert new.duration_ms < 2200 < old.duration_ms
    assert len(await played(old)) > len(await played(new))
    assert len(downloads(origin)) == 2


async def test_a_file_that_changes_while_it_is_opened_is_opened_as_it_is_then(
    store: PreparedStore, origin: HttpFiles, clips: ClipFactory
) -> None:
    """What the look at the version saw is not what the download finds: looked at again, not mixed."""
    origin.bytes_per_second = 20_000
    opening = asyncio.ensure_future(store.open(film_of(origin)))
    await until("a request", lambda: origin.requests)
    shutil.copy(clips("two_seconds"), origin.directory / "film.mp4")
    origin.bytes_per_second = None
    file = await whole(await opening)
    assert file.duration_ms < 2200
    file.close()


async def test_without_its_origin_the_copy_in_the_cache_is_played(store: PreparedStore, origin: HttpFiles) -> None:
    """Down, failing, or no longer letting us in (a token that ran out); not when it says that the file is gone."""
    (await whole(await store.open(film_of(origin)))).close()
    for status in (500, 503, 403, 401):
        origin.status = status
        file = await store.open(film_of(origin))
        assert file.complete
        file.close()
    origin.status = 404
    with pytest.raises(SourceGone):
        await store.open(film_of(origin))


async def test_a_server_that_is_down_is_unreachable_and_its_cached_files_are_not(
    store: PreparedStore, origin: HttpFiles, clips: ClipFactory, tmp_path: Path
) -> None:
    """Nothing listens any more: what was prepared is there, what was not is the source's fault."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(clips(CLIP), folder / "film.mp4")
    with HttpFiles(folder) as gone:
        url, other = film_of(gone), MediaUrl.parse(gone.url("other.mp4") + "?token=planted-secret")
        (await whole(await store.open(url))).close()
    file = await store.open(url)
    assert file.complete
    file.close()
    with pytest.raises(SourceUnreachable) as raised:
        await store.open(other)
    assert "planted-secret" not in str(raised.value)


async def test_an_origin_without_validators_is_told_apart_by_its_first_bytes(
    store: PreparedStore, clips: ClipFactory, peers
) -> None:
    """No ETag, no date: the same bytes are found again, others are prepared anew."""
    served = [clips(CLIP).read_bytes()]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(served[-1])}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + served[-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(script)}/film.mp4")
    first = await whole(await store.open(url))
    same = await store.open(url)
    assert same is first
    served.append(clips("two_seconds").read_bytes())
    other = await whole(await store.open(url))
    assert other is not first
    for file in (first, same, other):
        file.close()


@pytest.mark.usefixtures("started_children")
async def test_secrets_are_in_no_argument_no_error_and_no_log(
    store: PreparedStore, origin: HttpFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """The token of an address is known to the server alone."""
    caplog.set_level(logging.DEBUG)
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    file = await store.open(film_of(origin))
    lines = [command_line(pid) for pid in descendants_here()]
    # Beside the servers of tests before it in this process.
    assert sum("ffmpeg" in line for line in lines) >= 1
    assert not any("planted-secret" in line or "http" in line for line in lines)
    file.close()
    (origin.directory / "film.mp4").write_text("not a film")
    with pytest.raises(SourceUnsupported) as unsupported:
        await store.open(film_of(origin))
    origin.status = 402
    with pytest.raises(SourceRejected) as rejected:
        await store.open(MediaUrl.parse(origin.url("other.mp4") + "?token=planted-secret"))
    for raised in (unsupported, rejected):
        assert "planted-secret" not in str(raised.value)
    assert "planted-secret" not in caplog.text


async def test_the_cache_keeps_under_its_limit_and_keeps_what_is_played(clips: ClipFactory, tmp_path: Path) -> None:
    """The file that nobody held while the last was prepared goes; the one that is held does not, though it is older."""
    held, idle, latest = (MediaUrl.parse(str(clips(name))) for name in (CLIP, "h264_bframes", "vfr"))
    async with PreparedStore(tmp_path / "cache", max_bytes=1) as store:
        file = await whole(await store.open(held))
        (await whole(await store.open(idle))).close()
        last = await whole(await store.open(latest))
        kept = {file.entry.path.name, last.entry.path.name}
        await until("eviction", lambda: {path.name for path in (tmp_path / "cache").iterdir()} == kept)
        last.close()
        assert len(await played(file)) > 200


async def test_slices_of_a_file_outlive_its_growth_and_its_end(store: PreparedStore, origin: HttpFiles) -> None:
    """What a session still has to send stays where it is when the file grows and even when it is closed."""
    origin.bytes_per_second = SLOW_BYTES_PER_SECOND
    file = await store.open(film_of(origin))
    first_offset = file.index.place_offsets[0]
    early = file.view()[first_offset : first_offset + 100]
    copied = bytes(early)
    origin.bytes_per_second = None
    await whole(file)
    assert bytes(file.view()[first_offset : first_offset + 100]) == copied
    file.close()
    assert bytes(early) == copied


@pytest.mark.parametrize("address", ["rtmp://host/app/key", "rtsp://host/cam", "ftp://host/film.mp4"])
async def test_other_protocols_are_refused(store: PreparedStore, address: str) -> None:
    """By name, and without the key."""
    with pytest.raises(SourceUnsupported) as raised:
        await store.open(MediaUrl.parse(address))
    assert "key" not in str(raised.value)


async def test_a_missing_file_is_rejected_and_may_come_later(
    store: PreparedStore, clips: ClipFactory, tmp_path: Path
) -> None:
    """A failure is not remembered."""
    url = MediaUrl.parse(str(tmp_path / "late.mp4"))
    with pytest.raises(SourceError):
        await store.open(url)
    (tmp_path / "late.mp4").write_bytes(b"not yet a film")
    with pytest.raises(SourceUnsupported):
        await store.open(url)
    shutil.copy(clips(CLIP), tmp_path / "late.mp4")
    (await whole(await store.open(url))).close()


async def test_a_cache_that_cannot_be_written_is_our_fault(clips: ClipFactory, tmp_path: Path) -> None:
    """The source is not blamed for a root that is a file."""
    (tmp_path / "cache").write_text("in the way")
    async with PreparedStore(tmp_path / "cache") as store:
        with pytest.raises(CacheError, match="cache"):
            await store.open(MediaUrl.parse(str(clips(CLIP))))
