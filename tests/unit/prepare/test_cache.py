"""The cache on disk: what counts as whole, who may remove what, and which copy is found."""

import os
from pathlib import Path

import pytest

from streamferry.prepare.cache import Entry, Summary, default_root, entry_of, evict, newest_whole_entry
from streamferry.prepare.form import Form
from streamferry.wire.rtmp.chunk_file import Index

ADDRESS = "http://host/film.mp4?token=secret"


def fill(entry: Entry, size_bytes: int = 100_000, *, used_at: float | None = None) -> Entry:
    """A whole file of a size, last used at a time."""
    os.close(entry.lock_for_use())
    entry.media_part.write_bytes(bytes(size_bytes))
    index = Index(13)
    index.add_place(1000, 500)
    entry.commit(Summary(size_bytes, 1000, 1000, False, 0, {}, False, Form()), index)
    if used_at is not None:
        os.utime(entry.path / "use.lock", (used_at, used_at))
    return entry


def test_the_address_is_not_in_the_names_of_the_cache(tmp_path: Path) -> None:
    """An address may hold a token, and directory listings are public."""
    path = str(entry_of(tmp_path, ADDRESS, 'etag "1"').path)
    assert not any(word in path for word in ("host", "film", "token", "secret"))


def test_another_version_or_processing_is_another_entry(tmp_path: Path) -> None:
    """A changed file, and the same file processed otherwise, are prepared anew."""
    entries = {
        entry_of(tmp_path, address, version, profile).path
        for address in (ADDRESS, ADDRESS + "2")
        for version in ("1", "2")
        for profile in ("copy-v1", "other")
    }
    assert len(entries) == 8


def test_only_what_was_committed_counts_as_whole(tmp_path: Path) -> None:
    """Half a file, a file without its index, and a file that lost bytes since are not whole."""
    entry = Entry(tmp_path / "e")
    os.close(entry.lock_for_use())
    entry.media_part.write_bytes(b"half")
    assert entry.read_summary() is None
    fill(entry)
    summary = entry.read_summary()
    assert summary is not None
    assert summary.end_offset == 100_000
    assert list(entry.read_index().place_stamps) == [0, 1000]
    os.truncate(entry.media, 5000)
    assert entry.read_summary() is None
    fill(entry).index.unlink()
    assert entry.read_summary() is None


def test_a_new_attempt_keeps_the_download_and_nothing_else(tmp_path: Path) -> None:
    """What a dead process wrote of the result is worthless, what it fetched is not."""
    entry = fill(Entry(tmp_path / "e"))
    entry.media_part.touch()
    entry.journal.touch()
    entry.source.write_bytes(b"fetched")
    entry.begin()
    assert sorted(path.name for path in entry.path.iterdir()) == ["source.part", "use.lock"]


def test_one_prepares_at_a_time(tmp_path: Path) -> None:
    """The second is turned away until the first lets go."""
    entry = Entry(tmp_path / "e")
    os.close(entry.lock_for_use())
    first = entry.lock_for_preparing()
    assert first is not None
    assert entry.lock_for_preparing() is None
    os.close(first)
    second = entry.lock_for_preparing()
    assert second is not None
    os.close(second)


def test_eviction_takes_the_least_recently_used_first_and_stops_when_it_fits(tmp_path: Path) -> None:
    """Three of 100 kB under a limit of 250 kB: only the oldest goes."""
    entries = [
        fill(entry_of(tmp_path, name, "1"), used_at=at) for name, at in (("a", 300.0), ("b", 100.0), ("c", 200.0))
    ]
    evict(tmp_path, 250_000)
    assert [entry.path.exists() for entry in entries] == [True, False, True]


def test_eviction_never_takes_what_is_in_use(tmp_path: Path) -> None:
    """Even if the cache stays too large by it."""
    held = fill(entry_of(tmp_path, "held", "1"), used_at=100.0)
    free = fill(entry_of(tmp_path, "free", "1"), used_at=200.0)
    lock = held.lock_for_use()
    try:
        evict(tmp_path, 0)
        assert held.read_summary() is not None
        assert not free.path.exists()
    finally:
        os.close(lock)
    evict(tmp_path, 0)
    assert not held.path.exists()


def test_eviction_touches_nothing_that_is_not_of_the_cache(tmp_path: Path) -> None:
    """A root set to a directory with other things in it must not cost the user those."""
    fill(entry_of(tmp_path, ADDRESS, "1"))
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.mp4").write_bytes(bytes(100_000))
    (tmp_path / "letter.txt").write_bytes(b"dear")
    evict(tmp_path, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday", "letter.txt"]
    assert (tmp_path / "holiday" / "beach.mp4").exists()


def test_a_directory_removed_under_the_one_who_opens_it_is_made_again(tmp_path: Path) -> None:
    """Nobody holds a lock on a directory that is not there any more."""
    entry = fill(Entry(tmp_path / "e"))
    assert entry.remove()
    lock = entry.lock_for_use()
    assert os.fstat(lock).st_nlink == 1
    os.close(lock)


def test_the_copy_used_last_is_found_by_address_alone(tmp_path: Path) -> None:
    """For when the origin does not answer: of the whole copies of this address the one used last."""
    fill(entry_of(tmp_path, ADDRESS, "1"), used_at=100.0)
    newest = fill(entry_of(tmp_path, ADDRESS, "2"), used_at=200.0)
    half = entry_of(tmp_path, ADDRESS, "3")
    os.close(half.lock_for_use())
    fill(entry_of(tmp_path, "http://host/another.mp4", "1"), used_at=900.0)
    found = newest_whole_entry(tmp_path, ADDRESS)
    assert found is not None
    assert found.path == newest.path
    assert newest_whole_entry(tmp_path, "http://host/unknown.mp4") is None


def test_the_root_is_the_setting_then_the_cache_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """STREAMFERRY_CACHE_DIR wins over XDG_CACHE_HOME."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/user")
    monkeypatch.delenv("STREAMFERRY_CACHE_DIR", raising=False)
    assert default_root() == Path("/var/cache/user/streamferry")
    monkeypatch.setenv("STREAMFERRY_CACHE_DIR", "/data/films")
    assert default_root() == Path("/data/films")
