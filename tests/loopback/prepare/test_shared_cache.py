"""Machines that share a bucket prepare a film once; each machine here is a cache of its own, each bucket a real one."""

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.s3 import KEYS, Asked, S3Server
from kit.waiting import PATIENCE_S
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk
from streamferry.net.s3 import Buckets
from streamferry.prepare.cache import Entry, entry_of
from streamferry.prepare.errors import CacheError, PreparationRestarted
from streamferry.prepare.home import PIECE_HEAD, Home
from streamferry.prepare.journal import Journal
from streamferry.prepare.room import Room
from streamferry.prepare.sharing import Sharing
from streamferry.prepare.store import PreparedStore


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server) -> Iterator[S3Server]:
    server.asked.clear()
    server.fault = lambda _: None
    yield server
    server.fault = lambda _: None


def home_in(server: S3Server, bucket: str) -> Home:
    server.make_bucket(bucket)
    buckets = Buckets.of({"endpoint": server.endpoint, **KEYS}, {"HOME": "/nowhere"}, ())
    # A server of tests may be slow while others compute.
    return replace(Home.parse(f"s3://{bucket}/films", buckets), patience_s=PATIENCE_S)


async def media_of(store: PreparedStore, address: str) -> bytes:
    """The whole prepared file, shared as far as it will be."""
    async with asyncio.timeout(PATIENCE_S):
        file = await store.open(MediaUrl.parse(address))
        try:
            await file.wait_complete(lambda _: None)
            data = bytes(file.view())
            assert len(data) == file.end_offset
            assert file.index.has_places
        finally:
            file.close()
        await store.settle()
    return data


async def test_a_film_is_fetched_and_prepared_by_one_machine(s3: S3Server, clips: ClipFactory, tmp_path: Path) -> None:
    """Of those that begin at once one is elected, the other follows; who comes later takes what is there. The origin
    is asked by each for the version only.
    """
    film, home = clips("h264_bframes"), home_in(s3, "once")
    with HttpFiles(film.parent) as origin:
        address = origin.url(film)
        async with PreparedStore(tmp_path / "a", home=home) as a, PreparedStore(tmp_path / "b", home=home) as b:
            first, second = await asyncio.gather(media_of(a, address), media_of(b, address))
        async with PreparedStore(tmp_path / "c", home=home) as c:
            third = await media_of(c, address)
        async with PreparedStore(tmp_path / "alone") as alone:
            origin_asked = [one.range for one in origin.requests]
            wanted = await media_of(alone, address)
    assert origin_asked.count("bytes=0-0") == 3
    assert len(origin_asked) == 4
    assert first == second == third == wanted
    assert all(key.startswith("films/") and "planted" not in key for key in s3.keys("once"))


async def test_a_follower_plays_before_the_film_is_whole(s3: S3Server, clips: ClipFactory, tmp_path: Path) -> None:
    """Pieces of it come as they are prepared: the origin gives the rest only when both have begun."""
    film, home = clips("half_a_minute"), home_in(s3, "grows")
    with HttpFiles(film.parent, bytes_per_second=film.stat().st_size // 30) as origin:
        url = MediaUrl.parse(origin.url(film))
        async with PreparedStore(tmp_path / "a", home=home) as a, PreparedStore(tmp_path / "b", home=home) as b:
            async with asyncio.timeout(PATIENCE_S):
                first = await a.open(url)
                second = await b.open(url)
                assert second.end_offset
                assert not first.complete
                origin.bytes_per_second = None
                for file in (first, second):
                    await file.wait_complete(lambda _: None)
                assert bytes(first.view()) == bytes(second.view())
                for file in (first, second):
                    file.close()
    assert len([one for one in origin.requests if one.range != "bytes=0-0"]) == 1


@pytest.mark.parametrize("fault", ["away", "forbidden", "not_there"])
async def test_a_bucket_that_cannot_be_used_ends_nothing(
    s3: S3Server, clips: ClipFactory, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The film is prepared here, the log says once what is wrong, and the bucket is not asked for each film."""
    film, home = clips("two_seconds"), home_in(s3, f"fault-{fault.replace('_', '-')}")
    status = {"away": "503 Service Unavailable", "forbidden": "403 Forbidden", "not_there": "404 Not Found"}[fault]
    s3.fault = lambda one: (status, []) if one.method == "PUT" or fault != "not_there" else None
    with caplog.at_level(logging.WARNING), HttpFiles(film.parent) as origin:
        async with PreparedStore(tmp_path / "a", home=home) as store:
            assert await media_of(store, origin.url(film))
            asked = len(s3.asked)
            assert await media_of(store, f"{origin.url(film)}?again")
    assert asked
    assert len(s3.asked) == asked
    said = [one.getMessage() for one in caplog.records if "shared_cache" in one.getMessage()]
    assert len(said) == 1
    assert "planted" not in caplog.text


async def test_a_film_whose_pieces_are_gone_is_prepared_anew(s3: S3Server, clips: ClipFactory, tmp_path: Path) -> None:
    """The rules of a bucket may have removed some of them: the first, or one after which players have begun."""
    film, home = clips("two_seconds"), home_in(s3, "holes")
    with HttpFiles(film.parent) as origin:
        async with PreparedStore(tmp_path / "a", home=home) as store:
            wanted = await media_of(store, origin.url(film))
        (whole,) = (key for key in s3.keys("holes") if key.endswith("/whole"))
        size = int.from_bytes((data := s3.send("GET", f"/holes/{whole}"))[:4], "big")
        told = json.loads(data[4 : 4 + size])
        more = json.dumps(told | {"pieces": told["pieces"] + 1}).encode()
        for damaged in (b"", data[: size // 2], len(more).to_bytes(4, "big") + more + data[4 + size :]):
            s3.send("PUT", f"/holes/{whole}", damaged)
            async with PreparedStore(tmp_path / f"b{len(damaged)}", home=home) as store:
                try:
                    again = await media_of(store, origin.url(film))
                except PreparationRestarted:
                    # Players had begun: they open it again.
                    again = await media_of(store, origin.url(film))
                assert again == wanted


def entry_in(folder: Path) -> Entry:
    entry = entry_of(folder, "http://origin/film", "1")
    entry.path.mkdir(parents=True)
    return entry


@pytest.mark.parametrize(("alive_s", "waited_s"), [(0, 20), (25, 45), (10_000, 60)])
def test_a_claim_that_nobody_rewrites_is_taken_over(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], alive_s: float, waited_s: float
) -> None:
    """By the time of who waits: clocks of machines differ. One that is rewritten is waited for, but not without end:
    its machine may never have anything to give.
    """
    bucket = f"claims-{alive_s}"
    home, entry = home_in(s3, bucket), entry_in(tmp_path)
    key = f"films/{entry.path.name}/claim"
    s3.put(bucket, key, json.dumps({"by": "other", "at": "0"}).encode())
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 10 * seconds
        assert now < 1000, "it waits for ever"
        if now <= alive_s:
            s3.put(bucket, key, json.dumps({"by": "other", "at": str(now)}).encode())

    sharing = Sharing(
        home, entry, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True), now=lambda: now, sleep=sleep
    )
    with Journal(entry) as out:
        assert sharing.take(out) is None
    assert waited_s <= now < waited_s + 15
    assert json.loads(s3.send("GET", f"/{bucket}/{key}"))["by"] not in ("other", "")
    sharing.close()
    # Given up: nobody has to wait for it.
    assert json.loads(s3.send("GET", f"/{bucket}/{key}"))["by"] == ""


def test_only_one_of_two_takes_a_claim_over(s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both saw it at once: the put that comes second is refused, and its machine follows."""
    home = home_in(s3, "race")
    mine = entry_in(tmp_path / "a")
    raced: list[Asked] = []

    def race(one: Asked) -> None:
        if one.method == "PUT" and not raced:
            raced.append(one)
            s3.put("race", f"films/{mine.path.name}/claim", json.dumps({"by": "other", "at": "1"}).encode())

    s3.fault = race

    def sleep(_: float) -> None:
        raise InterruptedError

    sharing = Sharing(home, mine, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True), sleep=sleep)
    with Journal(mine) as out, pytest.raises(InterruptedError):
        sharing.take(out)
    assert raced
    assert json.loads(s3.send("GET", f"/race/films/{mine.path.name}/claim"))["by"] == "other"


def test_a_bucket_that_says_nothing_is_not_waited_for(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A firewall that swallows packets refuses nothing: the stream begins without the bucket, not after the 30 s that
    a request may take.
    """
    home, entry, end = replace(home_in(s3, "silent"), patience_s=0.2), entry_in(tmp_path), threading.Event()

    def say_nothing(_: Asked) -> tuple[str, list[tuple[str, str]]]:
        end.wait(PATIENCE_S)
        return "503 Service Unavailable", []

    s3.fault = say_nothing
    sharing = Sharing(home, entry, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True))
    began_at = time.monotonic()
    try:
        with Journal(entry) as out:
            assert sharing.take(out) is None
        assert time.monotonic() - began_at < 20
    finally:
        end.set()
    assert len(s3.asked) == 1
    assert '"shared"' in capsys.readouterr().out


async def test_what_nobody_foresaw_fails_a_file_and_is_not_waited_for(
    clips: ClipFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A preparation process that says nonsense, a line longer than any of ours, a fault of our own: whoever waits for
    the file hears of it, the log has the cause once, and the next opening begins anew.
    """
    film = clips("two_seconds")
    listen = PreparedStore._listen

    async def fail(*_: object) -> None:
        raise ValueError("Separator is found, but chunk is longer than limit")

    with HttpFiles(film.parent) as origin:
        async with PreparedStore(tmp_path / "a") as store:
            monkeypatch.setattr(PreparedStore, "_listen", fail)
            with pytest.raises(CacheError, match="ValueError"):
                await media_of(store, origin.url(film))
            monkeypatch.setattr(PreparedStore, "_listen", listen)
            assert await media_of(store, origin.url(film))
    assert len([one for one in caplog.records if one.exc_info]) == 1


def whole_of(s3: S3Server, bucket: str) -> tuple[str, dict[str, object], bytes]:
    """Its key, what it says, and the index."""
    (key,) = (key for key in s3.keys(bucket) if key.endswith("/whole"))
    data = s3.send("GET", f"/{bucket}/{key}")
    size = int.from_bytes(data[:4], "big")
    return key, json.loads(data[4 : 4 + size]), data[4 + size :]


def piece_of(messages: list[object], media: bytes = b"", steps: bytes = b"") -> bytes:
    words = b"\n".join(json.dumps(one).encode() for one in messages)
    return PIECE_HEAD.pack(len(words), len(media), len(steps)) + words + media + steps


READY = {"ready": {"inode": 0, "first_offset": 10, "tracks": [8, 9], "form": {"video": None, "audio": None}}}
INDEX = {"steps": 0, "places": [[0, 10], [0, 10]], "firsts": {"8": [], "9": []}, "changes": False}
#: What others may have put there: another version of the program, a disk that has rotted, a stranger with the keys.
BAD_PIECES = {
    "more than there is": [READY, {"end": 10_000_000, "media_ms": 5, "index": INDEX}],
    "less than there was": [READY, {"end": -5, "media_ms": 5, "index": INDEX}],
    "an end that is a text": [READY, {"end": "5", "media_ms": 5, "index": INDEX}],
    "steps that are not there": [READY, {"end": 20, "media_ms": 5, "index": INDEX | {"steps": 160}}],
    "a place that is no number": [READY, {"end": 20, "media_ms": 5, "index": INDEX | {"places": [[0, 1e99]]}}],
    "headers that are none": [READY, {"end": 20, "media_ms": 5, "index": INDEX}],
    "no word that ends": ["[" * 9],
    "a place in a text": [READY, {"end": 20, "media_ms": 5, "index": INDEX | {"places": ["ab"]}}],
    "a track there is not": [READY, {"end": 20, "media_ms": 5, "index": INDEX | {"firsts": {"7": [[0, 10]]}}}],
    "an index of another kind": [READY, {"end": 20, "media_ms": 5, "index": {"places": []}}],
    "an index before it is ready": [{"end": 20, "media_ms": 5, "index": INDEX}],
    "ready with less": [{"ready": {"first_offset": 10}}],
    "ready, a list": [{"ready": []}],
    "a list": [[]],
    "a number": [5],
    "the end of all": [{"error": "Nonsense", "reason": 5}],
    "a complete file": [{"complete": {}}],
    "trouble with the bucket": [{"shared": "nonsense"}],
    "a length in words": [{"claimed_ms": "long"}],
}


@pytest.mark.parametrize("name", BAD_PIECES)
def test_a_piece_that_says_what_cannot_be_is_not_passed_on(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The relay process believes what it is told of a file: nothing is said to it but that the bucket is away, and the
    film is prepared here.
    """
    home, entry = home_in(s3, "bad-pieces"), entry_in(tmp_path)
    entry = entry_of(tmp_path, f"http://origin/{name}", "1")
    entry.path.mkdir(parents=True)
    place = f"films/{entry.path.name}"
    s3.put("bad-pieces", f"{place}/claim", json.dumps({"by": "other", "at": "1"}).encode())
    s3.put("bad-pieces", f"{place}/other/000000", piece_of(BAD_PIECES[name], bytes(20)))

    def sleep(_: float) -> None:
        raise AssertionError("it waits for more of it")

    sharing = Sharing(home, entry, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True), sleep=sleep)
    with Journal(entry) as out:
        assert sharing.take(out) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert "shared" in json.loads(line)
    assert not entry.media_part.exists()


@pytest.mark.parametrize(
    "claim", [b"[" * 100_000, b"[]", b"{}", b"7", b'{"by": 5}', b'{"by": ["x"]}', b'{"by": "../../x"}', b"\xff", b""]
)
def test_a_claim_that_is_none_ends_nothing(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], claim: bytes
) -> None:
    """The film is prepared here."""
    home, entry = home_in(s3, "bad-claims"), entry_in(tmp_path)
    s3.put("bad-claims", f"films/{entry.path.name}/claim", claim)

    def sleep(_: float) -> None:
        raise AssertionError("it waits for nobody")

    sharing = Sharing(home, entry, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True), sleep=sleep)
    with Journal(entry) as out:
        assert sharing.take(out) is None
    assert '"shared"' in capsys.readouterr().out


async def test_an_end_that_cannot_be_is_not_kept(
    s3: S3Server, clips: ClipFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cache of this machine takes over no summary and no index that do not fit the media: it is prepared anew."""
    film, home = clips("two_seconds"), home_in(s3, "bad-ends")
    with HttpFiles(film.parent) as origin:
        async with PreparedStore(tmp_path / "a", home=home) as store:
            await media_of(store, origin.url(film))
    key, told, index = whole_of(s3, "bad-ends")
    summary = told["summary"]
    assert isinstance(summary, dict)
    far = bytearray(index)
    far[-8:] = (1 << 40).to_bytes(8, sys.byteorder)
    ends: list[tuple[dict[str, object], bytes]] = [
        *((summary | {name: "5"}, index) for name in ("duration_ms", "claimed_ms", "dropped_tags", "end_offset")),
        (summary | {"duration_ms": -1}, index),
        (summary | {"ended_early": "no"}, index),
        (summary | {"ends": {"7": [0, 0]}}, index),
        (summary | {"ends": []}, index),
        (summary | {"form": {"video": ["h264", 1, 1, 1, 0], "audio": None}}, index),
        (summary | {"form": {"video": ["h264", "wide"], "audio": None}}, index),
        (summary, bytes(far)),
        (summary, b""),
    ]
    for number, (said, columns) in enumerate([*ends, (summary, index)]):
        head = json.dumps(told | {"summary": said}).encode()
        s3.send("PUT", f"/bad-ends/{key}", len(head).to_bytes(4, "big") + head + columns)
        entry = Entry(tmp_path / str(number) / key.split("/")[-2])
        entry.path.mkdir(parents=True)
        sharing = Sharing(home, entry, Room(tmp_path, Disk(tmp_path, None), "film", keeps=True))
        with Journal(entry) as out:
            try:
                taken = sharing.take(out)
            except PreparationRestarted:
                taken = None
        assert (taken is not None) == (entry.read_summary() is not None) == (number == len(ends)), said
    assert '"shared"' in capsys.readouterr().out
