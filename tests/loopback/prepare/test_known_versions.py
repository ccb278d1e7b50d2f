"""Lists that loop: how often the origin of a file is asked whether it has changed, and what happens if it is silent."""

import asyncio
import shutil

import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.waiting import wait_for
from streamferry.media.url import MediaUrl
from streamferry.prepare import known_versions
from streamferry.prepare.errors import SourceGone
from streamferry.prepare.file import PreparedFile
from streamferry.prepare.known_versions import RECHECK_S, KnownVersions
from streamferry.prepare.store import PreparedStore


class List:
    """A list of one film in a loop. The time is that of the test."""

    def __init__(self, store: PreparedStore, origin: HttpFiles) -> None:
        self.now = 0.0
        self._known = KnownVersions(lambda: self.now)
        self._store = store
        self._url = MediaUrl.parse(origin.url("film.mp4"))

    async def open(self, *, after_s: float = 0.0, keep: bool = True) -> PreparedFile:
        self.now += after_s
        file = await self._store.open(self._url, known=self._known, keep=keep)
        await asyncio.to_thread(wait_for, "a whole file", lambda: file.complete or file.failed)
        file.close()
        return file


def looks(origin: HttpFiles) -> int:
    return sum(request.range == "bytes=0-0" for request in origin.requests)


async def test_a_short_clip_in_a_loop_asked_its_origin_at_each_loop(store: PreparedStore, origin: HttpFiles) -> None:
    """A hundred seconds of loops of five."""
    playing = List(store, origin)
    first = await playing.open()
    for _ in range(20):
        assert (await playing.open(after_s=5)).entry.path == first.entry.path
    assert looks(origin) == 1 + 100 // RECHECK_S


async def test_a_film_that_was_replaced_is_played_half_a_minute_later_and_by_another_list_at_once(
    store: PreparedStore, origin: HttpFiles, clips: ClipFactory
) -> None:
    playing = List(store, origin)
    old = await playing.open()
    shutil.copy(clips("two_seconds"), origin.directory / "film.mp4")
    assert (await playing.open(after_s=5)).entry.path == old.entry.path
    new = await List(store, origin).open()
    assert new.duration_ms < 2200 < old.duration_ms
    assert (await playing.open(after_s=RECHECK_S)).entry.path == new.entry.path


async def test_a_film_that_was_replaced_and_is_not_kept_is_played_as_it_is(
    store: PreparedStore, origin: HttpFiles, clips: ClipFactory
) -> None:
    """The download finds another version than the list knew of, and asks."""
    playing = List(store, origin)
    assert (await playing.open(keep=False)).failed is None
    shutil.copy(clips("two_seconds"), origin.directory / "film.mp4")
    file = await playing.open(after_s=5, keep=False)
    assert file.failed is None
    assert file.duration_ms < 2200


async def test_a_film_that_is_gone_ends_what_is_known(store: PreparedStore, origin: HttpFiles) -> None:
    playing = List(store, origin)
    await playing.open()
    origin.status = 404
    with pytest.raises(SourceGone):
        await playing.open(after_s=RECHECK_S)
    origin.status = None
    assert (await playing.open()).complete


async def test_an_origin_that_says_nothing_stopped_the_list_at_each_loop(
    store: PreparedStore, origin: HttpFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the 10 and 20 s that a first answer may take; one that fails is no news either."""
    monkeypatch.setattr(known_versions, "ANSWER_S", 0.01)
    playing = List(store, origin)
    first = await playing.open()
    asked = 0

    async def silence(*_: object) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    with monkeypatch.context() as context:
        context.setattr(store, "_version_of", silence)
        for _ in range(14):
            assert (await playing.open(after_s=5)).entry.path == first.entry.path
    assert asked == 2
    origin.status = 503
    assert (await playing.open(after_s=RECHECK_S)).entry.path == first.entry.path
