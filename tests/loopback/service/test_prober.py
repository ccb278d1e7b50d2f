"""Looks into addresses for REST: what is found, what is refused, and that none goes on for ever."""

import asyncio
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from streamferry.config import Settings
from streamferry.media.url import MediaUrl
from streamferry.service.prober import Prober
from streamferry.tasks.errors import ProbeFailed


def settings_of(clips: ClipFactory, egress: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, egress=egress, files=(clips.directory,))  # type: ignore[arg-type]


async def test_a_file_and_an_address_are_looked_at(clips: ClipFactory, http_files: HttpFiles, tmp_path: Path) -> None:
    """The same is found in a file of an allowed folder and over HTTP; a query is not shown."""
    prober = Prober(settings_of(clips, "any", tmp_path))
    clip = clips("h264_bframes")
    local = await prober(MediaUrl.parse(f"file://{clip}"), 5)
    remote = await prober(MediaUrl.parse(f"{http_files.url(clip.name)}?token=planted-token"), 5)
    for found in (local, remote):
        assert found.video is not None
        assert (found.container, found.video.codec, found.video.width) == ("mp4", "h264", 320)
    assert "planted-token" not in remote.model_dump_json()


async def test_the_egress_policy_and_the_folders_hold(
    clips: ClipFactory, http_files: HttpFiles, tmp_path: Path
) -> None:
    """The loopback is not reached where it is forbidden, nor a file outside of the folders, be it by a link."""
    prober = Prober(settings_of(clips, "lan", tmp_path))
    address = http_files.url(clips("h264_bframes").name)
    with pytest.raises(ProbeFailed, match="egress policy"):
        await prober(MediaUrl.parse(address), 5)
    link = clips.directory / f"{tmp_path.name}.mp4"
    link.symlink_to("/etc/passwd")
    try:
        with pytest.raises(ProbeFailed, match="outside of the folders"):
            await prober(MediaUrl.parse(f"file://{link}"), 5)
    finally:
        link.unlink()


async def test_what_is_no_media_is_said(clips: ClipFactory, tmp_path: Path) -> None:
    """In a sentence with the field."""
    prober = Prober(settings_of(clips, "any", tmp_path))
    with pytest.raises(ProbeFailed, match="is not media") as refused:
        await prober(MediaUrl.parse(f"file://{clips('not_media')}"), 5)
    assert refused.value.field == "url"


async def test_a_server_that_never_answers_is_given_up(clips: ClipFactory, tmp_path: Path) -> None:
    """After the time that a look may take, and its child with it."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        prober = Prober(settings_of(clips, "any", tmp_path), timeout_s=1.5)
        with pytest.raises(ProbeFailed, match=r"within 1\.5 s"):
            await prober(MediaUrl.parse(f"http://127.0.0.1:{port}/a.mp4"), 5)
    # The child is dead, so its connection is closed and nobody is held any more.
    await server.wait_closed()
