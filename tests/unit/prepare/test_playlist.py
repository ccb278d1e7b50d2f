"""A finished HLS playlist: which variant is taken, what it lists, and what it may not name."""

from pathlib import Path

import pytest

from streamferry.media.errors import SourceError, SourceForbidden, SourceMissing, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.folders import NOWHERE, Folders
from streamferry.prepare.playlist import Film, FilmSegment, Part, read_film, resolve
from streamferry.wire.hls_segments import MAX_SEGMENTS

MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\na.ts\n#EXTINF:1.5,\nb.ts\n#EXT-X-ENDLIST\n"
BASE = "http://host/films/one"


def listing(*lines: str) -> str:
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:2", *lines, "#EXT-X-ENDLIST", ""])


def film_of(**texts: str) -> Film:
    """The film where ``texts`` are at the addresses of their names under BASE; ``start`` is the one asked for."""

    def read(url: MediaUrl) -> tuple[bytes, MediaUrl]:
        return texts[url.path.rpartition("/")[2].removesuffix(".m3u8")].encode(), url

    return read_film(MediaUrl.parse(f"{BASE}/start.m3u8?token=1"), read, NOWHERE)


def local_film(path: Path, folders: Folders) -> Film:
    def read(url: MediaUrl) -> tuple[bytes, MediaUrl]:
        return Path(url.path).read_bytes(), url

    return read_film(MediaUrl.parse(str(path)), read, folders)


def addresses(segments: tuple[FilmSegment, ...]) -> list[str]:
    return [segment.media.url.reveal().removeprefix(f"{BASE}/") for segment in segments]


def test_segments_are_named_relative_to_their_playlist() -> None:
    """With queries and without, by address and by path."""
    film = film_of(start=listing("#EXTINF:2.0,", "a.ts", "#EXTINF:1.5,", "../b.ts?t=1", "#EXTINF:1,", "//other/c d.ts"))
    (track,) = film.tracks
    assert addresses(track) == ["a.ts", "http://host/films/b.ts?t=1", "http://other/c%20d.ts"]
    assert film.seconds == 4.5


def test_of_a_master_the_highest_bandwidth_that_flv_can_carry_is_taken() -> None:
    """A better variant in a codec without a place in FLV comes last."""
    master = (
        "#EXTM3U\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS="avc1.4d400c,mp4a.40.2"\nlow.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=300,CODECS="avc1.4d400c,mp4a.40.2"\nmiddle.m3u8?t=2\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=900,CODECS="dvh1.05.06,ec-3"\nhigh.m3u8\n'
    )
    film = film_of(start=master, middle=MEDIA)
    assert [addresses(track) for track in film.tracks] == [["a.ts", "b.ts"]]


def test_sound_in_a_playlist_of_its_own_comes_along() -> None:
    """The default rendition of the variant's audio group."""
    master = (
        "#EXTM3U\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="de",URI="de.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="en",DEFAULT=YES,URI="en.m3u8?t=3"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="other",NAME="en",DEFAULT=YES,URI="other.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO="g"\nv.m3u8\n'
    )
    sound = listing("#EXTINF:3.5,", "sound.aac")
    film = film_of(start=master, v=MEDIA, en=sound)
    assert [addresses(track) for track in film.tracks] == [["a.ts", "b.ts"], ["sound.aac"]]


def test_ranges_headers_keys_and_breaks_belong_to_their_segments() -> None:
    """Ranges without a start go on in their file; a key holds until the next; a vector is the number if not named."""
    film = film_of(
        start=listing(
            "#EXT-X-MEDIA-SEQUENCE:7",
            '#EXT-X-MAP:URI="clear.mp4"',
            '#EXT-X-KEY:METHOD=AES-128,URI="k1"',
            *("#EXTINF:2,", "#EXT-X-BYTERANGE:100@20", "all.mp4"),
            *("#EXTINF:2,", "#EXT-X-BYTERANGE:50", "all.mp4"),
            '#EXT-X-KEY:METHOD=AES-128,URI="k2",IV=0x1F',
            '#EXT-X-MAP:URI="all.mp4",BYTERANGE="20@0"',
            "#EXT-X-DISCONTINUITY",
            *("#EXTINF:2,", "#EXT-X-BYTERANGE:9", "other.mp4"),
            "#EXT-X-KEY:METHOD=NONE",
            *("#EXTINF:2,", "open.mp4"),
        )
    )
    first, second, third, fourth = film.tracks[0]
    assert [(one.media.begin, one.media.size_bytes) for one in film.tracks[0]] == [
        (20, 100),
        (120, 50),
        (0, 9),
        (0, None),
    ]
    assert first.header == second.header == Part(MediaUrl.parse(f"{BASE}/clear.mp4"))
    assert first.media.key is not None
    assert second.media.key is not None
    assert (first.media.key.iv, second.media.key.iv) == ((7).to_bytes(16), (8).to_bytes(16))
    assert third.media.key is not None
    assert (third.media.key.url.path, third.media.key.iv, third.is_break) == (
        "/films/one/k2",
        (0x1F).to_bytes(16),
        True,
    )
    assert third.header is not None
    assert (third.header.begin, third.header.size_bytes, third.header.key) == (0, 20, third.media.key)
    assert (fourth.media.key, fourth.is_break) == (None, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEDIA.replace("#EXT-X-ENDLIST\n", ""), "live HLS"),
        ("#EXTM3U\n#EXT-X-ENDLIST\n", "without segments"),
        ("<html>", "no HLS playlist"),
        (listing('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"', "#EXTINF:1,", "a.ts"), "encrypted \\(SAMPLE-AES\\)"),
        (
            listing('#EXT-X-KEY:METHOD=AES-128,KEYFORMAT="com.widevine",URI="k"', "#EXTINF:1,", "a.ts"),
            "encrypted \\(a DRM system\\)",
        ),
        (listing("#EXTINF:1,", "#EXT-X-BYTERANGE:what", "a.ts"), "byte range"),
        (listing("#EXTINF:1,", "a" * 9000), "no address"),
        (listing("#EXTINF:1,", "http://[/a.ts"), "no address"),
        (listing(*("#EXTINF:1,", "a.ts") * (MAX_SEGMENTS + 1)), "more than 100000 segments"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nstart.m3u8\n", "playlists of playlists"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(text: str, words: str) -> None:
    """The reason, and nothing that the playlist says."""
    with pytest.raises(SourceUnsupported, match=words):
        film_of(start=text)


@pytest.mark.parametrize(
    "name",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "file:passwd",
        "file://host/etc/passwd",
        "concat:a.ts|/etc/passwd",
        "concatf:list",
        "subfile,,start,0,end,0,,:/etc/passwd",
        "data:video/mp2t;base64,RwAA",
        "crypto:file:///etc/passwd",
        "crypto+http://host/a.ts",
        "pipe:0",
        "fd:",
        "unix:/run/docker.sock",
        "tcp://127.0.0.1:1",
        "udp://:5000",
        "rtmp://host/app/key",
        "ftp://host/a.ts",
        "gopher://127.0.0.1/_x",
        "async:file:/etc/passwd",
        "cache:/etc/passwd",
        "hls+file:///a.m3u8",
        "lavfi:testsrc",
    ],
)
@pytest.mark.parametrize("where", ["segment", "map", "key", "variant", "audio"])
def test_a_playlist_of_the_network_names_only_the_network(where: str, name: str) -> None:
    """No file, however it is written, and none of the other things that ffmpeg would open."""
    quoted = f'"{name}"'
    lines = {
        "segment": ("#EXTINF:1,", name),
        "map": (f"#EXT-X-MAP:URI={quoted}", "#EXTINF:1,", "a.ts"),
        "key": (f"#EXT-X-KEY:METHOD=AES-128,URI={quoted}", "#EXTINF:1,", "a.ts"),
        "variant": ("#EXT-X-STREAM-INF:BANDWIDTH=1", name),
        "audio": (
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI={quoted}',
            '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
            "v.m3u8",
        ),
    }[where]
    with pytest.raises(SourceForbidden) as refused:
        film_of(start=listing(*lines), v=MEDIA)
    assert "passwd" not in str(refused.value)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder that may be read, beside files that may not."""
    folder = tmp_path / "films"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "a.ts", folder / "sub" / "b.ts", folder / "100 %20.ts", folder / "x y.ts"):
        path.write_bytes(b"G" + bytes(187))
    (tmp_path / "private.ts").write_bytes(b"G" + bytes(187))
    (folder / "link.ts").symlink_to(tmp_path / "private.ts")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "inner.ts").symlink_to(folder / "a.ts")
    return folder


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.ts", "a.ts"),
        ("sub/b.ts", "sub/b.ts"),
        ("sub/../a.ts", "a.ts"),
        ("file:{folder}/a.ts", "a.ts"),
        ("file://{folder}/a.ts", "a.ts"),
        ("file://localhost{folder}/x%20y.ts", "x y.ts"),
        ("{folder}/a.ts", "a.ts"),
        ("x y.ts", "x y.ts"),
        ("x%20y.ts", "x y.ts"),
        ("100 %20.ts", "100 %20.ts"),
        ("inner.ts", "a.ts"),
    ],
)
def test_a_local_playlist_names_files_beside_itself(films: Path, name: str, found: str) -> None:
    """As they are written, as addresses have them, and through links that stay inside."""
    playlist = films / "film.m3u8"
    playlist.write_text(listing("#EXTINF:1,", name.format(folder=films)))
    (segment,) = local_film(playlist, Folders.of([films])).tracks[0]
    assert Path(segment.media.url.path).resolve() == films / found


@pytest.mark.parametrize(
    "name",
    [
        "../private.ts",
        "sub/../../private.ts",
        "%2e%2e/private.ts",
        "..%2Fprivate.ts",
        "link.ts",
        "linked/private.ts",
        "linked/films/../private.ts",
        "file:../private.ts",
        "file://{folder}/../private.ts",
        "file:{folder}/%2e%2e/private.ts",
        "FILE://localhost{folder}/link.ts",
        "{folder}/../private.ts",
        "//{folder}/../private.ts",
        "/etc/passwd",
        "/etc/shadow",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/dev/zero",
        "/no/such/file",
        "concat:a.ts|../private.ts",
        "subfile,,start,0,end,0,,:../private.ts",
        "data:video/mp2t;base64,RwAA",
        "crypto:a.ts",
    ],
)
@pytest.mark.parametrize("where", ["segment", "map", "key", "variant"])
def test_a_local_playlist_does_not_leave_the_folders(films: Path, where: str, name: str) -> None:
    """By no spelling, link or scheme, and in no place of it."""
    written = name.format(folder=films)
    lines = {
        "segment": ("#EXTINF:1,", written),
        "map": (f'#EXT-X-MAP:URI="{written}"', "#EXTINF:1,", "a.ts"),
        "key": (f'#EXT-X-KEY:METHOD=AES-128,URI="{written}"', "#EXTINF:1,", "a.ts"),
        "variant": ("#EXT-X-STREAM-INF:BANDWIDTH=1", written),
    }[where]
    playlist = films / "film.m3u8"
    playlist.write_text(listing(*lines))
    with pytest.raises(SourceForbidden):
        local_film(playlist, Folders.of([films]))


def test_what_is_no_file_is_no_segment(films: Path) -> None:
    """A folder and a FIFO are refused, and not opened; a file that is missing is a hole, met when it is played."""
    import os

    os.mkfifo(films / "fifo.ts")
    playlist = films / "film.m3u8"
    for name in ("sub", "fifo.ts"):
        playlist.write_text(listing("#EXTINF:1,", name))
        with pytest.raises(SourceMissing, match="is not a file"):
            local_film(playlist, Folders.of([films]))
    playlist.write_text(listing("#EXTINF:1,", "a.ts", "#EXTINF:1,", "gone.ts"))
    assert len(local_film(playlist, Folders.of([films])).tracks[0]) == 2


def test_names_with_a_nul_are_no_files(films: Path) -> None:
    """Neither there nor a reason to fail."""
    url = resolve(MediaUrl.parse(str(films / "film.m3u8")), "a.ts\0.mp4")
    with pytest.raises(SourceError):
        Folders.of([films]).open(url.path, "it")


def test_a_local_playlist_may_name_the_network(films: Path) -> None:
    """As a source that is given directly may be there."""
    playlist = films / "film.m3u8"
    playlist.write_text(listing("#EXTINF:1,", "http://host/a.ts", "#EXTINF:1,", "https://host/b c.ts"))
    (track,) = local_film(playlist, Folders.of([films])).tracks
    assert [one.media.url.reveal() for one in track] == ["http://host/a.ts", "https://host/b%20c.ts"]
