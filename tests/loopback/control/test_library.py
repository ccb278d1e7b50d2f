"""The library of uploaded files, in a folder and in a bucket: one promise for both, then what is of one alone."""

import asyncio
import os
import random
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from kit.disks import quiet_folder, reserve_for
from kit.s3 import KEYS, S3Server
from kit.waiting import PATIENCE_S
from streamferry.control.address_rules import address_rules
from streamferry.control.library import Library, LibraryHome
from streamferry.control.library_bucket import LibraryBucket
from streamferry.control.library_folder import LibraryFolder
from streamferry.net.folders import Folders
from streamferry.net.s3 import Buckets, split_place
from streamferry.tasks.checks import AddressRules, read_source
from streamferry.tasks.errors import InvalidField, LibraryAway, LibraryFull
from streamferry.tasks.model import TaskKind


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for one in data:
        yield one


async def broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionResetError


async def untouched() -> AsyncIterator[bytes]:
    raise AssertionError("a byte was asked for")
    yield b""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server) -> Iterator[S3Server]:
    server.asked.clear()
    yield server
    server.fault = lambda _: None
    server.uploads_began_at = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


@dataclass(frozen=True)
class Kept:
    """A library, and what is in its home."""

    library: Library
    rules: AddressRules
    content: Callable[[], dict[str, bytes]]


def bucket_of(s3: S3Server, place: str, **config: str) -> LibraryBucket:
    buckets = Buckets.of({"endpoint": s3.endpoint, **KEYS, **config}, {"HOME": "/nowhere"}, (place,))
    return LibraryBucket(*split_place(f"s3://{place}"), buckets)


@pytest.fixture(params=["folder", "bucket"])
def kept(request: pytest.FixtureRequest, folder: Path) -> Kept:
    """Each home in turn, empty."""
    if request.param == "folder":
        rules = address_rules(Folders.of([folder]))
        home: LibraryHome = LibraryFolder(folder)

        def content() -> dict[str, bytes]:
            return {path.name: path.read_bytes() for path in folder.iterdir()}

    else:
        s3: S3Server = request.getfixturevalue("s3")
        bucket = s3.make_bucket(f"b{secrets.token_hex(4)}")
        place = f"{bucket}/up loads"
        rules = address_rules(buckets=Buckets(allowed=(place,)))
        home = bucket_of(s3, place)

        def content() -> dict[str, bytes]:
            keys = s3.keys(bucket)
            return {key.rpartition("/")[2]: s3.send("GET", f"/{bucket}/{quote(key)}") for key in keys}

    return Kept(Library(home, max_bytes=30_000_000), rules, content)


async def test_what_was_received_can_be_a_source(kept: Kept) -> None:
    """Whatever its name is: the address that is shown passes the rules of a task and leads to it."""
    name = "午夜 film #1 100%25 'q' {x}~+&=@;$.mp4"
    data = random.Random(0).randbytes(9_000_000)
    made = await kept.library.receive(name, pieces(data[:7], b"", data[7:1_000_000], data[1_000_000:]), len(data))
    url = read_source("url", made.url, TaskKind.VOD, kept.rules)
    assert url.path.rpartition("/")[2] == name
    assert kept.content() == {name: data}
    assert await kept.library.list_files() == [made]
    assert (made.name, made.size_bytes) == (name, len(data))


async def test_half_a_file_is_no_file(kept: Kept) -> None:
    """A connection that breaks, or less than was announced, or nothing, leaves nothing and replaces nothing."""
    await kept.library.receive("a.mp4", pieces(b"whole"))
    with pytest.raises(ConnectionResetError):
        await kept.library.receive("a.mp4", broken())
    with pytest.raises(InvalidField, match="whole"):
        await kept.library.receive("a.mp4", pieces(b"abc"), 4)
    with pytest.raises(InvalidField, match="empty"):
        await kept.library.receive("a.mp4", pieces())
    assert kept.content() == {"a.mp4": b"whole"}
    await kept.library.receive("a.mp4", pieces(b"another"))
    assert kept.content() == {"a.mp4": b"another"}


async def test_a_file_that_is_too_large_is_refused_as_soon_as_that_is_known(kept: Kept) -> None:
    """By its announced length before a byte is read, by its bytes when there is none."""
    with pytest.raises(InvalidField, match="at most 30 MB"):
        await kept.library.receive("a.mp4", untouched(), 30_000_001)
    with pytest.raises(InvalidField, match="at most 30 MB"):
        await kept.library.receive("a.mp4", pieces(b"x" * 30_000_000, b"y", b"never"))
    assert await kept.library.list_files() == []


@pytest.mark.parametrize("name", ["", ".", "..", "../a.mp4", "a/b.mp4", ".hidden", "a\\b", "a\nb", "a\0b", "x" * 201])
async def test_names_stay_in_the_library(folder: Path, name: str) -> None:
    """No name leads out of it."""
    library = Library(LibraryFolder(folder), max_bytes=1000)
    with pytest.raises(InvalidField):
        await library.receive(name, untouched())
    with pytest.raises(InvalidField):
        await library.delete(name)


async def test_a_deleted_file_is_gone(kept: Kept) -> None:
    """And cannot be deleted again; the newest of the others stands first."""
    for name in ("a.mp4", "b.mp4"):
        await kept.library.receive(name, pieces(b"x"))
    await kept.library.delete("a.mp4")
    assert [one.name for one in await kept.library.list_files()] == ["b.mp4"]
    with pytest.raises(InvalidField, match="no such file"):
        await kept.library.delete("a.mp4")


async def test_a_client_that_fell_silent_kept_its_upload_for_ever(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and nothing of it is left."""
    monkeypatch.setattr("streamferry.control.library._SILENCE_S", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x" * 10_000_000
        await asyncio.Event().wait()

    with pytest.raises(InvalidField, match="whole"):
        await kept.library.receive("a.mp4", silent())
    assert kept.content() == {}


async def test_what_does_not_fit_on_the_disk_is_refused() -> None:
    """By its announced length before a byte is taken, else as soon as it is known; and no part of it stays."""
    with quiet_folder() as folder:
        library = Library(LibraryFolder(folder / "library", reserve_for(folder, 5_000_000)), 1 << 40)
        with pytest.raises(LibraryFull, match="takes 5 MB more"):
            await library.receive("a.mp4", untouched(), 6_000_000)
        with pytest.raises(LibraryFull):
            await library.receive("a.mp4", pieces(*[bytes(1_000_000)] * 8))
        assert list((folder / "library").iterdir()) == []
        await library.receive("a.mp4", pieces(*[bytes(1_000_000)] * 3), 3_000_000)


async def test_what_a_killed_service_had_received_stayed_for_ever(tmp_path: Path) -> None:
    """Half of a file that nothing has come of for an hour is removed; one that is being received is not."""
    library = Library(LibraryFolder(tmp_path), max_bytes=3_000_000)
    dead, living = tmp_path / ".dead.part", tmp_path / ".living.part"
    for half in (dead, living):
        half.write_bytes(b"half")
    long_ago = time.time() - 4000
    os.utime(dead, (long_ago, long_ago))
    await library.receive("a.mp4", pieces(b"whole"))
    assert sorted(os.listdir(tmp_path)) == [".living.part", "a.mp4"]


def uploads_of(s3: S3Server, bucket: str) -> int:
    return s3.send("GET", f"/{bucket}?uploads").count(b"<UploadId>")


async def test_parts_of_an_upload_that_broke_are_given_up(s3: S3Server) -> None:
    """They would be paid for, and nobody sees them."""
    bucket = s3.make_bucket("broken")
    library = Library(bucket_of(s3, bucket), max_bytes=1 << 30)

    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(20_000_000)
        assert uploads_of(s3, bucket) == 1
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await library.receive("a.mp4", breaking())
    assert (uploads_of(s3, bucket), s3.keys(bucket)) == (0, [])


@pytest.mark.parametrize("is_silent", [True, False])
async def test_parts_of_an_upload_that_was_cancelled_stayed(s3: S3Server, is_silent: bool) -> None:
    """As of a service that is stopped in the midst of one, whether a piece is being waited for or sent."""
    bucket = s3.make_bucket(f"cancelled-{secrets.token_hex(4)}")
    library = Library(bucket_of(s3, bucket), max_bytes=1 << 30)
    has_begun = asyncio.Event()

    async def going_on() -> AsyncIterator[bytes]:
        while True:
            yield bytes(9_000_000)
            if uploads_of(s3, bucket):
                has_begun.set()
                if is_silent:
                    await asyncio.Event().wait()

    receiving = asyncio.create_task(library.receive("a.mp4", going_on()))
    async with asyncio.timeout(PATIENCE_S):
        await has_begun.wait()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
    assert (uploads_of(s3, bucket), s3.keys(bucket)) == (0, [])


async def test_parts_of_a_service_that_was_killed_stayed_for_ever(s3: S3Server) -> None:
    """Those of a week ago are given up before the next upload; not younger ones, and not what lies elsewhere in the
    bucket. A server that refuses it refuses no upload.
    """
    bucket = s3.make_bucket(f"killed-{secrets.token_hex(4)}")
    for key in ("films/午夜 film.mp4", "films/b.mp4", "other/c.mp4"):
        s3.send("POST", f"/{bucket}/{quote(key)}?uploads")

    async def upload() -> int:
        await Library(bucket_of(s3, f"{bucket}/films"), max_bytes=1 << 30).receive("a.mp4", pieces(b"x"))
        return uploads_of(s3, bucket)

    assert await upload() == 3
    s3.uploads_began_at = datetime.now(UTC) - timedelta(days=8)
    s3.fault = lambda asked: ("403 Forbidden", []) if "uploads" in asked.query and asked.method == "GET" else None
    assert await upload() == 3
    s3.fault = lambda _: None
    assert await upload() == 1
    given_up = [one for one in s3.asked if one.method == "DELETE"]
    assert len(given_up) == 2
    assert all(one.is_signed for one in given_up)


async def test_a_bucket_that_is_away_is_told(s3: S3Server) -> None:
    """Whatever is asked of it, and then that it is back; nothing of the server's words, nor a key, is repeated."""
    bucket = s3.make_bucket("away")
    library = Library(bucket_of(s3, bucket), max_bytes=1 << 30)
    await library.receive("a.mp4", pieces(b"x"))

    async def ask_all(words: str) -> None:
        for asking in (
            library.list_files(),
            library.receive("b.mp4", pieces(b"y")),
            library.delete("a.mp4"),
        ):
            with pytest.raises(LibraryAway, match=words) as told:
                await asking
            assert not set(KEYS.values()) & set(re.findall(r"[\w-]+", str(told.value)))
            assert "127.0.0.1" not in str(told.value)

    s3.fault = lambda _: ("503 Service Unavailable", [])
    await ask_all("the bucket away of the library cannot be used now")
    s3.fault = lambda _: ("403 Forbidden", [])
    await ask_all("answered 403 for the bucket away.* the keys do not allow it")
    s3.fault = lambda _: None
    assert [one.name for one in await library.list_files()] == ["a.mp4"]


async def test_a_bucket_that_is_not_there_is_told(s3: S3Server) -> None:
    """It is not the file that is missing."""
    library = Library(bucket_of(s3, "nowhere"), max_bytes=1 << 30)
    for asking in (library.list_files(), library.receive("b.mp4", pieces(b"y"))):
        with pytest.raises(LibraryAway, match=r"answered 404 .* it is not there"):
            await asking


async def test_a_server_at_which_nothing_listens_is_told(s3: S3Server) -> None:
    """Soon: somebody waits for the page."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        home = bucket_of(s3, "b", endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(LibraryAway, match="cannot be used now"):
                await Library(home, 1000).list_files()


async def test_what_is_below_or_hidden_in_a_bucket_is_not_of_the_library(s3: S3Server) -> None:
    """Names have no folders: a bucket may hold other things beside the library."""
    bucket = s3.make_bucket("shared")
    for key in ("a.mp4", "prefix/b.mp4", "prefix/deep/c.mp4", "prefix/.d", "prefixed.mp4", "prefix/", "prefix/deep/"):
        s3.put(bucket, key, b"" if key.endswith("/") else b"x")
    assert [one.name for one in await Library(bucket_of(s3, f"{bucket}/prefix"), 1000).list_files()] == ["b.mp4"]
    assert [one.name for one in await Library(bucket_of(s3, bucket), 1000).list_files()] in (
        ["a.mp4", "prefixed.mp4"],
        ["prefixed.mp4", "a.mp4"],
    )


async def test_a_key_that_cannot_be_listed_was_told_as_a_server_that_is_away(s3: S3Server) -> None:
    """Others write into the bucket too. Files are still taken, and the sentence says what to do about it."""
    bucket = s3.make_bucket("odd")
    library = Library(bucket_of(s3, f"{bucket}/p"), max_bytes=1 << 30)
    for key in ("p//a.mp4", "p/..", "p/a\tb.mp4"):
        s3.put(bucket, key, b"x")
        with pytest.raises(LibraryAway, match="cannot be listed: remove what has a key there of which a part is empty"):
            await library.list_files()
        await library.receive("c.mp4", pieces(b"x"))
        s3.send("DELETE", f"/{bucket}/{quote(key)}")
    assert [one.name for one in await library.list_files()] == ["c.mp4"]


async def test_uploads_share_the_memory_of_a_few(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds parts of it in memory, so the next waits until one is done; a file of any length holds no more."""
    monkeypatch.setattr("streamferry.control.library_bucket._AT_ONCE", 2)
    library = Library(bucket_of(s3, s3.make_bucket("many")), max_bytes=1 << 30)
    at_once, two = 0, asyncio.Barrier(2)

    async def counted() -> AsyncIterator[bytes]:
        nonlocal at_once
        at_once += 1
        assert at_once <= 2
        await two.wait()
        yield bytes(1000)
        at_once -= 1

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(library.receive(f"{number}.mp4", counted()) for number in range(6)))
    assert len(await library.list_files()) == 6
