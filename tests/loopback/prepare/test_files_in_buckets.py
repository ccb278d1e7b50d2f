"""Sources in buckets of S3, against a server that speaks it: ``s3://`` is read as any file over HTTP, but signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.s3 import KEYS, S3Server
from streamferry.media.errors import SourceError, SourceForbidden, SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.net.s3 import Buckets
from streamferry.prepare.errors import SourceGone
from streamferry.prepare.store import PreparedStore


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, request: pytest.FixtureRequest) -> Iterator[S3Server]:
    server.asked.clear()
    server.fault, server.cut_after_bytes = lambda _: None, None
    yield server
    server.fault = lambda _: None


def buckets_of(server: S3Server, *allowed: str, **config: str) -> Buckets:
    return Buckets.of({"endpoint": server.endpoint, **KEYS, **config}, {"HOME": "/nowhere"}, allowed or None)


async def prepared(store: PreparedStore, address: str) -> int:
    """Length of the prepared file, in ms."""
    file = await store.open(MediaUrl.parse(address))
    try:
        await file.wait_complete(lambda _: None)
        return file.duration_ms
    finally:
        file.close()


async def test_a_film_in_a_bucket_is_prepared_though_its_key_is_odd(
    s3: S3Server, clips: ClipFactory, tmp_path: Path
) -> None:
    """The key is taken as it is written, as by AWS's tools; each request is signed, and a break is resumed signed."""
    film = clips("h264_bframes")
    address = s3.put(s3.make_bucket("odd"), "films/A film (1)%20+é?#1.mp4", film)
    s3.cut_after_bytes = film.stat().st_size // 2
    async with PreparedStore(tmp_path / "plain") as store:
        wanted_ms = await prepared(store, f"file://{film}")
    async with PreparedStore(tmp_path / "cache", buckets=buckets_of(s3, "odd/films")) as store:
        assert await prepared(store, address) == wanted_ms
    assert {one.target for one in s3.asked} == {"/odd/films/A%20film%20%281%29%2520%2B%C3%A9%3F%231.mp4"}
    assert all(one.is_signed for one in s3.asked)
    assert any(one.range.startswith("bytes=") and one.range != "bytes=0-0" for one in s3.asked)
    assert not any(KEYS["secret_access_key"] in one.query for one in s3.asked)


async def test_a_playlist_in_a_bucket_leads_to_its_segments_there_and_no_further(
    s3: S3Server, clips: ClipFactory, tmp_path: Path
) -> None:
    """Segments of a private bucket are signed for like the playlist, but not what lies outside of the allowed part."""
    playlist = clips.hls()
    s3.make_bucket("films")
    segments = [line for line in playlist.read_text().splitlines() if line and not line.startswith("#")]
    for name in (playlist.name, *segments):
        s3.put("films", f"open/{name}", playlist.parent / name)
    segment = segments[0]
    s3.put("films", "closed/secret.ts", playlist.parent / segment)
    s3.put("films", "open/thief.m3u8", playlist.read_bytes().replace(segment.encode(), b"../closed/secret.ts", 1))
    async with PreparedStore(tmp_path / "cache", buckets=buckets_of(s3, "films/open/")) as store:
        assert await prepared(store, f"s3://films/open/{playlist.name}") > 0
        assert all(one.is_signed for one in s3.asked)
        with pytest.raises(SourceError):
            await prepared(store, "s3://films/open/thief.m3u8")
    assert [one.is_signed for one in s3.asked if "closed" in one.target] == [False]


async def test_what_is_wrong_with_a_bucket_names_the_setting(s3: S3Server, tmp_path: Path) -> None:
    """And never a key."""
    s3.make_bucket("errors")
    async with PreparedStore(tmp_path / "cache", buckets=buckets_of(s3, "errors", "other")) as store:
        for address, error, words in (
            ("s3://errors/none.mp4", SourceGone, "s3_endpoint"),
            ("s3://other/none.mp4", SourceGone, "bucket other"),
            ("s3://private/film.mp4", SourceForbidden, "setting s3_buckets"),
        ):
            with pytest.raises(error, match=words) as caught:
                await store.open(MediaUrl.parse(address))
            assert "planted" not in str(caught.value)
        for status, words in (("403 Forbidden", "s3_access_key_id"), ("301 Moved Permanently", "s3_region")):
            s3.fault = lambda _, status=status: (status, [])  # type: ignore[misc]
            with pytest.raises(SourceRejected, match=words):
                await store.open(MediaUrl.parse("s3://errors/film.mp4"))


async def test_egress_holds_for_buckets(s3: S3Server, clips: ClipFactory, tmp_path: Path) -> None:
    """The server of a bucket is a peer like others."""
    address = s3.put(s3.make_bucket("egress"), "film.mp4", clips("h264_bframes"))
    async with PreparedStore(tmp_path / "cache", buckets=buckets_of(s3), allow=lambda _: False) as store:
        with pytest.raises(SourceForbidden, match="setting egress"):
            await store.open(MediaUrl.parse(address))
    assert not s3.asked
    async with PreparedStore(tmp_path / "cache", buckets=buckets_of(s3), allow=lambda _: True) as store:
        assert await prepared(store, address) > 0
