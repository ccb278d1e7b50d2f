"""Encrypted media is refused by the name of its scheme: it was pushed as noise, and told as streaming."""

from pathlib import Path

import pytest

from kit import hls
from kit.http_files import HttpFiles
from kit.odd_files import film, remuxed
from loopback.prepare.prepared import prepare

_KEYS = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
_CENC = ("-encryption_scheme", "cenc-aes-ctr", *_KEYS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    film(folder / "plain.mp4")
    return folder


def cenc(folder: Path) -> Path:
    return remuxed(folder / "plain.mp4", folder / "cenc.mp4", *_CENC, "-movflags", "+faststart")


def cenc_with_its_index_last(folder: Path) -> Path:
    return remuxed(folder / "plain.mp4", folder / "cenc_last.mp4", *_CENC)


def fair_play(folder: Path) -> Path:
    """As the shops of old had them: only the names of the sample descriptions tell."""
    data = (folder / "plain.mp4").read_bytes().replace(b"avc1\0", b"drmi\0").replace(b"mp4a\0", b"drms\0")
    path = folder / "bought.m4v"
    path.write_bytes(data)
    return path


def matroska(folder: Path) -> Path:
    """ContentEncodings with ContentEncryption, put into the place of the track's name and as long as that."""
    plain = remuxed(folder / "plain.mp4", folder / "plain.mkv", "-metadata:s:v", f"title={'x' * 40}").read_bytes()
    name = b"\x53\x6e\xa8" + b"x" * 40
    assert plain.count(name) == 1
    encryption = b"\x50\x35\x83\x47\xe1\x80"
    encoding = b"\x62\x40" + bytes((0x80 | len(encryption),)) + encryption
    encodings = b"\x6d\x80" + bytes((0x80 | len(encoding),)) + encoding
    void = b"\xec" + bytes((0x80 | (len(name) - len(encodings) - 2),))
    path = folder / "encrypted.mkv"
    path.write_bytes(plain.replace(name, (encodings + void).ljust(len(name), b"\0")))
    return path


def scrambled(folder: Path) -> Path:
    """Pay television: the tables are clear, the media is not."""
    data = bytearray(remuxed(folder / "plain.mp4", folder / "plain.ts").read_bytes())
    for at in range(0, len(data), 188):
        if (data[at + 1] & 0x1F) << 8 | data[at + 2] in (0x100, 0x101):
            data[at + 3] |= 0x80
    path = folder / "pay.ts"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "scheme"),
    [
        (cenc, "MP4, cenc"),
        (cenc_with_its_index_last, "MP4, cenc"),
        (fair_play, "MP4, FairPlay"),
        (matroska, "Matroska ContentEncryption"),
        (scrambled, "MPEG-TS scrambling"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
@pytest.mark.parametrize("remote", [False, True], ids=["disk", "server"])
def test_encrypted_files_were_pushed_as_noise(folder: Path, tmp_path: Path, make, scheme: str, remote: bool) -> None:
    """From a disk and from a server; an index at the end is fetched first."""
    path = make(folder)
    with HttpFiles(folder) as server:
        error = prepare(server.url(path) if remote else path, tmp_path / "entry").error
    assert error.startswith("SourceUnsupported")
    assert f"its media is encrypted ({scheme})" in error


def test_fragments_whose_header_says_that_they_are_encrypted(folder: Path, tmp_path: Path) -> None:
    """A playlist without EXT-X-KEY that leads to protected fragments."""
    fragments = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4")
    playlist = hls.cut(folder / "plain.mp4", tmp_path / "film", *fragments, segment="film%d.m4s")
    init = playlist.parent / "init.mp4"
    init.write_bytes(init.read_bytes().replace(b"avc1\0", b"encv\0"))
    error = prepare(playlist, tmp_path / "entry").error
    assert error.startswith("SourceUnsupported")
    assert "its media is encrypted (MP4, cenc)" in error


@pytest.mark.parametrize("container", [".mp4", ".mkv", ".ts", ".flv", ".mov"])
def test_plain_files_are_not_taken_for_encrypted(folder: Path, tmp_path: Path, container: str) -> None:
    """Whatever the container."""
    assert prepare(remuxed(folder / "plain.mp4", tmp_path / f"plain{container}"), tmp_path / "entry").error == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500), "but JPEG"),
        (b"GIF89a" + bytes(500), "but GIF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "but PNG"),
        (b"RIFF\x00\x01\x00\x00WEBPVP8 " + bytes(500), "but WebP"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "but HTML"),
        (b"%PDF-1.7" + bytes(500), "but PDF"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_no_film_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    """It was refused in words about whitelists and atoms."""
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    error = prepare(path, tmp_path / "entry").error
    assert error.startswith("SourceUnsupported")
    assert words in error
