"""One service for a store that is a file, by whichever name it is called."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from streamferry.service.lock import holds_lock, take_lock

#: A process that has the lock of the store it is told, and keeps it until its input ends.
HOLDER = """
import asyncio, sys
from pathlib import Path
from streamferry.service.lock import take_lock

async def main():
    async with take_lock(Path(sys.argv[1])):
        print("has it", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


#: Writes to the store it is told, or fails at once.
WRITER = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=0)
store.execute("INSERT INTO a VALUES (1)")
store.commit()
"""


def start_holder(store: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def write(store: Path) -> str:
    """From another process; what it says if it cannot."""
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(store)], check=False, capture_output=True, text=True
    ).stderr


async def refusal(store: Path) -> str:
    """What a second service is told."""
    with pytest.raises(ValueError, match="store: ") as caught:
        async with take_lock(store, wait_s=0.0):
            pass
    return str(caught.value)


@pytest.mark.parametrize("way", ["its name", "a link to it", "a link to its folder", "without the lock file"])
async def test_two_services_had_one_store(tmp_path: Path, way: str) -> None:
    """The lock was a file beside the store's name, and went with that."""
    folder = tmp_path / "data"
    folder.mkdir()
    store = folder / "store.db"
    with closing(sqlite3.connect(store)) as made:
        made.execute("CREATE TABLE a (b)")
    (tmp_path / "link.db").symlink_to(store)
    (tmp_path / "link").symlink_to(folder)
    with start_holder(store) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"has it\n"
        names = {"a link to it": tmp_path / "link.db", "a link to its folder": tmp_path / "link" / "store.db"}
        if way == "without the lock file":
            (folder / "store.db.lock").unlink()
            assert "still run" in await refusal(store)
        else:
            assert f"another service has it (process {holder.pid})" in await refusal(names.get(way, store))
        holder.stdin.close()
    async with take_lock(store):
        pass


async def test_a_second_name_of_the_file_is_refused(tmp_path: Path) -> None:
    """SQLite would keep the newest pages beside one of the two, where the other does not look for them."""
    store = tmp_path / "store.db"
    store.touch()
    (tmp_path / "other.db").hardlink_to(store)
    for name in ("store.db", "other.db"):
        assert "hard link" in await refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop"])
async def test_what_cannot_be_a_store_is_a_sentence(tmp_path: Path, kind: str) -> None:
    """And nothing hangs at it."""
    store = tmp_path / "store.db"
    if kind == "folder":
        store.mkdir()
    elif kind == "fifo":
        os.mkfifo(store)
    else:
        store.symlink_to(store)
    async with asyncio.timeout(30):
        assert str(store) in await refusal(store)


async def test_sqlite_goes_on_beside_the_lock(tmp_path: Path) -> None:
    """Neither sees the other: the store is written, also by another process, and SQLite's locks hold."""
    store = tmp_path / "store.db"
    async with take_lock(store) as lock:
        with closing(sqlite3.connect(store, isolation_level=None)) as mine:
            mine.execute("CREATE TABLE a (b)")
            assert write(store) == ""
            mine.execute("BEGIN IMMEDIATE")
            assert "database is locked" in write(store)
            mine.execute("COMMIT")
            assert mine.execute("SELECT count(*) FROM a").fetchone() == (1,)
        assert holds_lock(lock, store)
        assert not holds_lock(lock, tmp_path)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
