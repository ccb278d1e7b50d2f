"""Versions of a file: when a copy may be used again, and when two answers cannot be about the same file."""

import os
from pathlib import Path

import pytest

from streamferry.media.errors import SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.prepare.file_version import Version, version_of_file
from streamferry.prepare.origin import version_of_response


def test_a_local_file_that_was_written_again_is_another_version(tmp_path: Path) -> None:
    """Size, modification time and inode each make the difference."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"one")
    url = MediaUrl.parse(str(path))
    first = version_of_file(url).key
    assert version_of_file(url).key == first
    os.utime(path, ns=(1, 1))
    second = version_of_file(url).key
    replacement = tmp_path / "new"
    replacement.write_bytes(b"two")
    os.utime(replacement, ns=(1, 1))
    replacement.rename(path)
    assert len({first, second, version_of_file(url).key}) == 3


@pytest.mark.parametrize("name", ["missing.mp4", "."])
def test_what_is_no_file_is_rejected_by_name(tmp_path: Path, name: str) -> None:
    """A missing path and a directory are told apart from media that cannot be read."""
    with pytest.raises(SourceRejected, match=str(tmp_path)):
        version_of_file(MediaUrl.parse(str(tmp_path / name)))


def test_the_etag_alone_decides_where_there_is_one() -> None:
    """Servers behind one name may disagree about times, not about their tags."""
    assert Version('"a"', "Mon", 5).key == Version('"a"', "Tue", 5).key != Version('"b"', "Mon", 5).key
    assert Version(last_modified="Mon", size_bytes=5).key != Version(last_modified="Tue", size_bytes=5).key


@pytest.mark.parametrize(
    ("one", "other", "contradicts"),
    [
        (Version('"a"'), Version('"b"'), True),
        (Version('"a"', size_bytes=5), Version('"a"', size_bytes=6), False),
        (Version('"a"'), Version(), False),
        (Version(last_modified="Mon"), Version(last_modified="Tue"), True),
        (Version(size_bytes=5), Version(size_bytes=6), True),
        (Version(size_bytes=5), Version(), False),
    ],
)
def test_only_what_both_answers_say_can_contradict(one: Version, other: Version, contradicts: bool) -> None:
    """A header that one answer leaves out says nothing."""
    assert one.contradicts(other) is contradicts
    assert other.contradicts(one) is contradicts


def test_a_weak_etag_is_not_put_into_if_range() -> None:
    """RFC 9110, 13.1.5 forbids it; the date takes its place."""
    assert Version('"a"', "Mon").if_range == '"a"'
    assert Version('W/"a"', "Mon").if_range == "Mon"
    assert Version('W/"a"').if_range == ""


def test_the_size_is_that_of_the_file_not_of_the_answer() -> None:
    """A 206 has it in Content-Range; an unknown one stays unknown."""
    part = {"content-length": "1", "content-range": "bytes 0-0/5000"}
    assert version_of_response(206, part).size_bytes == 5000
    assert version_of_response(200, {"content-length": "5000"}).size_bytes == 5000
    assert version_of_response(206, {"content-range": "bytes 0-0/*"}).size_bytes is None
    assert version_of_response(200, {}).size_bytes is None


def test_a_size_of_thousands_of_digits_is_none() -> None:
    """Python reads no such number: it was a fault of ours."""
    assert version_of_response(206, {"content-range": f"bytes 0-0/{'9' * 5000}"}).size_bytes is None
