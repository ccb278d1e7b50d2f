"""Attempts to get a file out that may not be read: by playlists, links, containers and lists, none of which succeeds.

A secret lies beside the folder of films. Whatever a source is made of, nothing of the secret is in what is prepared.
"""

import os
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit import hls, programs, smuggling
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.waiting import wait_for
from loopback.prepare.prepared import Outcome, prepare
from streamferry.media.errors import SourceForbidden
from streamferry.net.folders import Folders

#: As ``streamferry serve`` makes it.
SEAL_KEY = urlsafe_b64encode(bytes(range(100, 132)))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The folder that may be read."""
    folder = tmp_path / "films"
    folder.mkdir()
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What may not."""
    path = tmp_path / "data" / "seal.key"
    path.parent.mkdir()
    path.write_bytes(SEAL_KEY)
    return path


Build = Callable[[Path, Path, Path], Path]


def in_the_body_of_an_flv_tag(films: Path, secret: Path, clip: Path) -> Path:
    return smuggling.by_flv(films, clip, SEAL_KEY, f"file://{secret}")


def in_the_body_of_an_adts_frame(films: Path, secret: Path, clip: Path) -> Path:
    return smuggling.by_adts(films, clip, SEAL_KEY, f"../data/{secret.name}")


def in_the_media_of_a_fragment(films: Path, secret: Path, clip: Path) -> Path:
    return smuggling.by_fragment(films, clip, SEAL_KEY, str(secret))


def behind_a_link(films: Path, secret: Path, clip: Path) -> Path:
    playlist = hls.cut(clip, films)
    (films / "film1.ts").unlink()
    (films / "film1.ts").symlink_to(secret)
    return playlist


def in_a_linked_folder(films: Path, secret: Path, clip: Path) -> Path:
    playlist = hls.cut(clip, films)
    (films / "sub").symlink_to(secret.parent)
    playlist.write_text(playlist.read_text().replace("film1.ts", f"sub/{secret.name}"))
    return playlist


def as_a_key(films: Path, secret: Path, clip: Path) -> Path:
    playlist = hls.cut(clip, films)
    playlist.write_text(
        playlist.read_text().replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF', 1)
    )
    return playlist


def as_a_variant_of_a_variant(films: Path, secret: Path, clip: Path) -> Path:
    (films / "inner.m3u8").write_text(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{secret}\n")
    (films / "film.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ninner.m3u8\n")
    return films / "film.m3u8"


def in_an_allowed_folder_but_no_media(films: Path, secret: Path, clip: Path) -> Path:
    """The folders would let it through: it is refused for what it is."""
    (films / "notes.txt").write_bytes(SEAL_KEY)
    return smuggling.by_adts(films, clip, SEAL_KEY, "notes.txt")


def _text(films: Path, text: str) -> Path:
    path = films / "film.mp4"
    path.write_text(text)
    return path


def as_a_concat_script(films: Path, secret: Path, clip: Path) -> Path:
    return _text(films, f"ffconcat version 1.0\nfile '{secret}'\n")


def as_smil(films: Path, secret: Path, clip: Path) -> Path:
    return _text(films, f'<smil><body><video src="{secret}"/></body></smil>')


def as_dash(films: Path, secret: Path, clip: Path) -> Path:
    base = f"<BaseURL>file://{secret}</BaseURL>"
    one = f'<Representation id="1" bandwidth="1">{base}</Representation>'
    sets = f'<AdaptationSet mimeType="video/mp4">{one}</AdaptationSet>'
    head = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    return _text(films, f"{head}<Period>{sets}</Period></MPD>")


def as_sdp(films: Path, secret: Path, clip: Path) -> Path:
    return _text(films, "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n")


def as_a_text_of_ffmpegs(films: Path, secret: Path, clip: Path) -> Path:
    return _text(films, ";FFMETADATA1\ntitle=x\n")


def as_a_list_of_flv(films: Path, secret: Path, clip: Path) -> Path:
    """A playlist behind a head that is no playlist's."""
    return _text(films, f"\n\n#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")


def _boxes(data: bytes, path: tuple[bytes, ...], replace: Callable[[bytes], bytes]) -> bytes:
    """An MP4 with the box at a path replaced, and the sizes above it made right."""
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + size]
        if name == path[0]:
            body = _boxes(body, path[1:], replace) if path[1:] else replace(body)
        out += (8 + len(body)).to_bytes(4) + name + body
        at += size
    return out


def as_an_external_track(films: Path, secret: Path, clip: Path) -> Path:
    """A QuickTime alias (mov_read_dref): the samples are said to lie in another file."""
    path = films / "film.mov"
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clip, "-vn", "-c", "copy", path])
    # Long enough that every sample lies in it.
    secret.write_bytes(SEAL_KEY * 2000)
    name, full = secret.name.encode(), f"../data/{secret.name}".encode()
    record = bytes(10) + b"\x04disk" + bytes(23) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += (1).to_bytes(2) + (1).to_bytes(2) + bytes(16)
    for kind, words in ((0, b"data"), (2, full + b"\0" * (len(full) % 2))):
        record += kind.to_bytes(2) + len(words).to_bytes(2) + words
    record += b"\xff\xff\0\0"
    entry = (12 + len(record)).to_bytes(4) + b"alis" + bytes(4) + record
    dref = bytes(4) + (1).to_bytes(4) + entry
    data = _boxes(path.read_bytes(), (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), lambda _: dref)
    path.write_bytes(data)
    return path


def as_the_film_itself(films: Path, secret: Path, clip: Path) -> Path:
    return secret


def as_a_link_to_the_film(films: Path, secret: Path, clip: Path) -> Path:
    (films / "film.mp4").symlink_to(secret)
    return films / "film.mp4"


def as_a_list_that_is_elsewhere(films: Path, secret: Path, clip: Path) -> Path:
    """A playlist that may not be read itself."""
    playlist = hls.cut(clip, secret.parent)
    (films / "film.m3u8").symlink_to(playlist)
    return films / "film.m3u8"


ATTACKS: list[Build] = [
    in_the_body_of_an_flv_tag,
    in_the_body_of_an_adts_frame,
    in_the_media_of_a_fragment,
    behind_a_link,
    in_a_linked_folder,
    as_a_key,
    as_a_variant_of_a_variant,
    in_an_allowed_folder_but_no_media,
    as_a_concat_script,
    as_smil,
    as_dash,
    as_sdp,
    as_a_text_of_ffmpegs,
    as_a_list_of_flv,
    as_an_external_track,
    as_the_film_itself,
    as_a_link_to_the_film,
    as_a_list_that_is_elsewhere,
]


def assert_nothing_got_out(outcome: Outcome, directory: Path) -> None:
    """In words, and not a byte of the secret in anything that was made, nor in what was said."""
    for path in directory.rglob("*"):
        assert not path.is_file() or SEAL_KEY[:16] not in path.read_bytes()
    assert SEAL_KEY[:16].decode() not in str(outcome.messages)
    kind = outcome.error.partition(":")[0]
    assert kind in ("SourceForbidden", "SourceUnsupported", "SourceMissing"), outcome.error


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nothing_of_a_secret_gets_into_what_is_played(
    clips: ClipFactory, films: Path, secret: Path, tmp_path: Path, attack: Build
) -> None:
    """However the source is built; the reason is given."""
    source = attack(films, secret, clips("flash_beep"))
    assert_nothing_got_out(prepare(source, tmp_path / "entry", folders=Folders.of([films])), tmp_path / "entry")


@pytest.mark.parametrize("element", [b"\x3e\x83\xbb", b"\x3c\x83\xab"], ids=["NextFilename", "PrevFilename"])
def test_a_matroska_film_that_names_another_is_played_without_it(
    clips: ClipFactory, films: Path, secret: Path, tmp_path: Path, element: bytes
) -> None:
    """Segments can be linked by file names (RFC 9559, 17.1). The one before or behind is not opened."""
    film, other = films / "film.mkv", str(secret).encode()
    words = ("-c", "copy", "-write_crc32", "0", "-metadata", f"title={'T' * (len(other) + 1)}", film)
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clips("flash_beep"), *words])
    title = b"\x7b\xa9" + bytes([0x80 | (len(other) + 1)]) + b"T" * (len(other) + 1)
    data = film.read_bytes()
    assert data.count(title) == 1
    film.write_bytes(data.replace(title, element + bytes([0x80 | len(other)]) + other))
    outcome = prepare(film, tmp_path / "entry", folders=Folders.of([films]))
    assert outcome.error == ""
    for path in (tmp_path / "entry").rglob("*"):
        assert not path.is_file() or SEAL_KEY[:16] not in path.read_bytes()


@pytest.mark.parametrize(
    "attack", [in_the_body_of_an_flv_tag, in_the_media_of_a_fragment], ids=lambda one: one.__name__
)
def test_a_playlist_of_a_command_stays_in_its_folder(
    clips: ClipFactory, films: Path, secret: Path, tmp_path: Path, attack: Build
) -> None:
    """``streamferry relay`` may read all that its user may; a playlist that was sent may not choose of that."""
    source = attack(films, secret, clips("flash_beep"))
    outcome = prepare(source, tmp_path / "entry")
    assert outcome.error.startswith("SourceForbidden")
    assert_nothing_got_out(outcome, tmp_path / "entry")


@pytest.mark.parametrize("target", ["/dev/zero", "fifo", "socket", "folder", "/proc/self/environ", "/proc/version"])
@pytest.mark.parametrize("linked", [False, True])
def test_only_files_are_sources(films: Path, tmp_path: Path, target: str, linked: bool) -> None:
    """At once, and nothing of another kind is opened: who waits at a FIFO waits on."""
    path = films / target if not target.startswith("/") else Path(target)
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        match target:
            case "fifo":
                os.mkfifo(path)
            case "socket":
                listener.bind(os.path.relpath(path))
            case "folder":
                path.mkdir()
        source = path
        if linked:
            source = films / "link.mp4"
            source.symlink_to(path)
        for number, folders in enumerate((Folders.of([films]), Folders())):
            kind = prepare(source, tmp_path / f"entry{number}", folders=folders).error.partition(":")[0]
            assert kind in ("SourceForbidden", "SourceMissing")
        if target == "fifo":
            with pytest.raises(OSError, match="No such device or address"):
                os.open(path, os.O_WRONLY | os.O_NONBLOCK)


def test_playlists_without_end_are_refused(films: Path, http_files: HttpFiles, tmp_path: Path) -> None:
    """A line of a gigabyte, from the disk and from a server, costs neither memory nor the disk of the cache."""
    huge = films / "huge.m3u8"
    with huge.open("wb") as file:
        file.write(b"#EXTM3U\n#EXT-X-ENDLIST\n")
        file.truncate(1 << 30)
    outcome = prepare(huge, tmp_path / "entry", folders=Folders.of([films]))
    assert outcome.error.startswith("SourceUnsupported")
    assert "more than 8 MiB" in outcome.error
    with HttpFiles(films) as server:
        outcome = prepare(server.url(huge), tmp_path / "remote")
        assert "more than 8 MiB" in outcome.error
        assert server.body_bytes < 200 << 20
    assert sum(path.stat().st_size for path in (tmp_path / "remote").iterdir()) < 1 << 20


@pytest.fixture
def swapping(films: Path, secret: Path) -> Iterator[Path]:
    """A name in the folder of films that leads to a film and to the secret's folder by turns, as fast as can be."""
    (films / "real").mkdir()
    (films / "real" / secret.name).write_bytes(b"a film")
    place, done = films / "sub", threading.Event()

    def swap() -> None:
        number = 0
        while not done.is_set():
            number += 1
            fresh = films / "fresh"
            fresh.symlink_to((secret.parent, films / "real")[number % 2])
            os.replace(fresh, place)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        wait_for("the first link", lambda: place.is_symlink())
        yield place / secret.name
    finally:
        done.set()
        swapper.join()


def test_links_that_change_while_they_are_followed(films: Path, swapping: Path) -> None:
    """What is opened is what was judged: no order of looks and swaps gives the secret."""
    folders = Folders.of([films])
    found = {b"a film": 0, b"": 0}
    while min(found.values()) < 300:
        try:
            file = folders.open(str(swapping), "it")
        except SourceForbidden:
            found[b""] += 1
            continue
        with open(file, "rb") as opened:
            data = opened.read()
        assert data != SEAL_KEY
        found[data] += 1
