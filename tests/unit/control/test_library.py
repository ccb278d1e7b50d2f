"""The library of uploaded files."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.disks import quiet_folder, reserve_for
from streamferry.control.address_rules import address_rules
from streamferry.control.library import Library
from streamferry.net.folders import Folders
from streamferry.tasks.checks import read_source
from streamferry.tasks.errors import InvalidField, LibraryFull
from streamferry.tasks.model import TaskKind


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for one in data:
        yield one


async def broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionResetError


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", max_bytes=3_000_000)


async def test_what_was_received_can_be_a_source(library: Library) -> None:
    """Whatever its name is: the address that is shown passes the rules of a task."""
    data = b"x" * 2_500_000
    made = await library.receive("午夜 film #1.mp4", pieces(data[:7], data[7:]), len(data))
    url = read_source("url", made.url, TaskKind.VOD, address_rules(Folders.of([library.folder])))
    assert Path(url.path) == library.folder / "午夜 film #1.mp4"
    assert (library.folder / "午夜 film #1.mp4").read_bytes() == data
    assert [one.name for one in await library.list_files()] == ["午夜 film #1.mp4"]


async def test_half_a_file_is_no_file(library: Library) -> None:
    """A connection that breaks, or less than was announced, leaves nothing and replaces nothing."""
    await library.receive("a.mp4", pieces(b"whole"))
    with pytest.raises(ConnectionResetError):
        await library.receive("a.mp4", broken())
    with pytest.raises(InvalidField, match="whole"):
        await library.receive("a.mp4", pieces(b"abc"), 4)
    assert [path.name for path in library.folder.iterdir()] == ["a.mp4"]
    assert (library.folder / "a.mp4").read_bytes() == b"whole"


async def test_a_file_that_is_too_large_is_refused_as_soon_as_that_is_known(library: Library) -> None:
    """By its announced length before a byte is read, by its bytes when there is none."""
    with pytest.raises(InvalidField, match="at most 3 MB"):
        await library.receive("a.mp4", broken(), 3_000_001)
    with pytest.raises(InvalidField, match="at most 3 MB"):
        await library.receive("a.mp4", pieces(b"x" * 3_000_000, b"y"))
    assert await library.list_files() == []


async def untouched() -> AsyncIterator[bytes]:
    raise AssertionError("a byte was asked for")
    yield b""


async def test_what_does_not_fit_on_the_disk_is_refused() -> None:
    """By its announced length before a byte is taken, else as soon as it is known; and no part of it stays."""
    with quiet_folder() as folder:
        library = Library(folder / "library", 1 << 40, reserve_bytes=reserve_for(folder, 5_000_000))
        with pytest.raises(LibraryFull, match="takes 5 MB more"):
            await library.receive("a.mp4", untouched(), 6_000_000)
        with pytest.raises(LibraryFull):
            await library.receive("a.mp4", pieces(*[bytes(1_000_000)] * 8))
        assert list(library.folder.iterdir()) == []
        await library.receive("a.mp4", pieces(*[bytes(1_000_000)] * 3), 3_000_000)


@pytest.mark.parametrize("name", ["", ".", "..", "../a.mp4", "a/b.mp4", ".hidden", "a\\b", "a\nb", "a\0b", "x" * 201])
async def test_names_stay_in_the_folder(library: Library, name: str) -> None:
    """No name leads out of it."""
    with pytest.raises(InvalidField):
        await library.receive(name, pieces(b"x"))
    with pytest.raises(InvalidField):
        await library.delete(name)


async def test_a_deleted_file_is_gone(library: Library) -> None:
    """And cannot be deleted again."""
    await library.receive("a.mp4", pieces(b"x"))
    await library.delete("a.mp4")
    assert await library.list_files() == []
    with pytest.raises(InvalidField, match="no such file"):
        await library.delete("a.mp4")


async def test_what_a_killed_service_had_received_stayed_for_ever(library: Library) -> None:
    """Half of a file that nothing has come of for an hour is removed; one that is being received is not."""
    library.folder.mkdir()
    dead, living = library.folder / ".dead.part", library.folder / ".living.part"
    for half in (dead, living):
        half.write_bytes(b"half")
    long_ago = time.time() - 4000
    os.utime(dead, (long_ago, long_ago))
    await library.receive("a.mp4", pieces(b"whole"))
    assert sorted(path.name for path in library.folder.iterdir()) == [".living.part", "a.mp4"]
