"""The download: resumed after every kind of break, never a mixture of two files, and never longer than patience."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.http_files import HttpFiles
from streamferry.media.errors import SourceRejected, SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk
from streamferry.prepare.cache import Entry
from streamferry.prepare.errors import CacheError, SourceChanged, SourceGone
from streamferry.prepare.fetch import Fetch
from streamferry.prepare.file_version import Version
from streamferry.prepare.room import Room

FILM = os.urandom(700_000)
#: One answer: gets the request's head and gives the bytes of the answer, and whether it ends with a reset.
Script = Callable[[str], tuple[bytes, bool]]


class ScriptedServer:
    """A server that answers each connection by a script and then closes it, with FIN or with RST."""

    def __init__(self, script: Script) -> None:
        self.heads: list[str] = []
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="scripted-server")
        self._thread.start()

    @property
    def url(self) -> MediaUrl:
        return MediaUrl.parse(f"http://127.0.0.1:{self._socket.getsockname()[1]}/film.mp4?token=secret")

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                head = b""
                while (line := lines.readline()) not in (b"\r\n", b""):
                    head += line
                self.heads.append(head.decode())
                answer, resets = self._script(self.heads[-1])
                connection.sendall(answer)
                if resets:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def serve() -> Iterator[Callable[[Script], ScriptedServer]]:
    """``serve(script)`` starts a scripted server."""
    servers: list[ScriptedServer] = []

    def start(script: Script) -> ScriptedServer:
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def films(tmp_path: Path) -> Iterator[HttpFiles]:
    """A file server with one film."""
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.mp4").write_bytes(FILM)
    with HttpFiles(tmp_path / "films") as files:
        yield files


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    (tmp_path / "entry").mkdir()
    return Entry(tmp_path / "entry")


def room_of(entry: Entry) -> Room:
    return Room(entry.path.parent, Disk(entry.path, 0), "the film", keeps=True)


def fetch(url: MediaUrl, entry: Entry, expected: Version | None = None) -> Fetch:
    """A download run to its end, without its pauses."""
    download = Fetch(url, entry, expected or Version(), room=room_of(entry), sleep=lambda seconds: None)
    download.run()
    assert download.done
    return download


def address_of(films: HttpFiles) -> MediaUrl:
    return MediaUrl.parse(films.url("film.mp4"))


def answer(body: bytes, *, status: str = "200 OK", length: int | None = None, headers: str = "") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


def start_of(head: str) -> int:
    """First byte that a request asks for."""
    ranges = [line for line in head.splitlines() if line.lower().startswith("range:")]
    return int(ranges[0].partition("=")[2].rstrip("-")) if ranges else 0


@pytest.mark.parametrize("length", [True, False])
def test_a_download_gives_the_file(films: HttpFiles, entry: Entry, length: bool) -> None:
    """With and without a length said before."""
    films.length = length
    download = fetch(address_of(films), entry)
    download.raise_failure()
    assert entry.source.read_bytes() == FILM
    assert download.total_bytes == (len(FILM) if length else None)


def test_it_goes_on_where_the_connection_ended(films: HttpFiles, entry: Entry) -> None:
    """Each answer is cut after 200 kB: four requests, and no byte twice."""
    films.cut_after_bytes = 200_000
    fetch(address_of(films), entry).raise_failure()
    assert entry.source.read_bytes() == FILM
    assert [request.range for request in films.requests] == [None, *(f"bytes={200_000 * n}-" for n in (1, 2, 3))]
    assert films.body_bytes == len(FILM)


def test_it_goes_on_after_resets(serve: Callable[[Script], ScriptedServer], entry: Entry) -> None:
    """Five connections reset at odd places make one file."""

    def script(head: str) -> tuple[bytes, bool]:
        start = start_of(head)
        content_range = f"Content-Range: bytes {start}-{len(FILM) - 1}/{len(FILM)}\r\n"
        whole = answer(FILM[start:], status="206 Partial Content" if start else "200 OK", headers=content_range)
        return (whole[:150_001], True) if start < 600_000 else (whole, False)

    server = serve(script)
    fetch(server.url, entry, Version('"one"')).raise_failure()
    assert entry.source.read_bytes() == FILM
    assert all('If-Range: "one"' in head or "if-range" in head.lower() for head in server.heads[1:])


def test_a_server_without_ranges_sends_the_start_again(serve: Callable[[Script], ScriptedServer], entry: Entry) -> None:
    """What is there is compared, not written again, and the rest is taken."""
    server = serve(lambda head: (answer(FILM)[: 300_000 if len(server.heads) == 1 else None], False))
    fetch(server.url, entry).raise_failure()
    assert entry.source.read_bytes() == FILM
    assert len(server.heads) == 2


def test_a_file_that_changes_without_a_word_is_noticed(serve: Callable[[Script], ScriptedServer], entry: Entry) -> None:
    """No validator, no ranges: the bytes themselves tell."""
    other = bytes(len(FILM))
    server = serve(lambda head: (answer(FILM)[:300_000], False) if len(server.heads) == 1 else (answer(other), False))
    with pytest.raises(SourceChanged):
        fetch(server.url, entry).raise_failure()


def test_another_etag_than_was_expected_is_another_file(films: HttpFiles, entry: Entry) -> None:
    """What was looked at before is what must come; nothing of the other file is written."""
    with pytest.raises(SourceChanged):
        fetch(address_of(films), entry, Version('"another"')).raise_failure()
    assert entry.source.read_bytes() == b""


def test_an_etag_that_changes_in_the_middle_ends_it(serve: Callable[[Script], ScriptedServer], entry: Entry) -> None:
    """If-Range makes the server send the new file from its start: refused."""

    def script(head: str) -> tuple[bytes, bool]:
        etag = "one" if len(server.heads) == 1 else "two"
        whole = answer(FILM, headers=f'ETag: "{etag}"\r\n')
        return (whole[:300_000] if etag == "one" else whole), False

    server = serve(script)
    with pytest.raises(SourceChanged):
        fetch(server.url, entry, Version('"one"')).raise_failure()
    assert len(entry.source.read_bytes()) < 300_000


def test_a_length_that_is_too_large_is_believed_only_so_often(
    serve: Callable[[Script], ScriptedServer], entry: Entry
) -> None:
    """The body ends in good order at the same byte three times: that is the file, and it is called cut short."""

    def script(head: str) -> tuple[bytes, bool]:
        start = start_of(head)
        claimed = f"Content-Range: bytes {start}-{len(FILM) + 999}/{len(FILM) + 1000}\r\n" if start else ""
        status = "206 Partial Content" if start else "200 OK"
        return answer(FILM[start:], status=status, length=len(FILM) + 1000 - start, headers=claimed), False

    server = serve(script)
    download = fetch(server.url, entry)
    download.raise_failure()
    assert entry.source.read_bytes() == FILM
    assert download.cut_short
    assert len(server.heads) == 3


def test_it_gives_up_on_a_server_that_is_gone(films: HttpFiles, entry: Entry) -> None:
    """After some attempts without a byte, and says that it was the source."""
    films.status = 503
    with pytest.raises(SourceUnreachable, match="503"):
        fetch(address_of(films), entry).raise_failure()
    assert 3 < len(films.requests) < 20


def test_what_is_not_there_is_not_asked_for_again(films: HttpFiles, entry: Entry) -> None:
    """404 and 403 are answers, not accidents."""
    films.status = 404
    with pytest.raises(SourceGone):
        fetch(address_of(films), entry).raise_failure()
    films.status = 403
    with pytest.raises(SourceRejected):
        fetch(address_of(films), entry).raise_failure()
    assert len(films.requests) == 2


def test_a_later_process_goes_on_where_the_first_one_died(films: HttpFiles, entry: Entry) -> None:
    """The same version on the disk is continued; another one is begun anew; a whole one is not asked for."""
    version = Version(size_bytes=len(FILM))
    fetch(address_of(films), entry, version).raise_failure()
    films.requests.clear()
    fetch(address_of(films), entry, version).raise_failure()
    assert films.requests == []
    os.truncate(entry.source, 123_456)
    fetch(address_of(films), entry, version).raise_failure()
    assert [request.range for request in films.requests] == ["bytes=123456-"]
    assert entry.source.read_bytes() == FILM
    os.truncate(entry.source, 123_456)
    films.requests.clear()
    fetch(address_of(films), entry, Version()).raise_failure()
    assert [request.range for request in films.requests] == [None]


def test_redirects_are_followed_but_not_for_ever(films: HttpFiles, entry: Entry) -> None:
    """To where they lead; in a circle they are refused; no word of where."""
    films.redirects["/moved.mp4"] = "/film.mp4?token=secret"
    fetch(MediaUrl.parse(films.url("moved.mp4")), entry).raise_failure()
    assert entry.source.read_bytes() == FILM
    films.redirects["/circle.mp4"] = "/circle.mp4?token=secret"
    with pytest.raises(SourceRejected, match="redirects") as raised:
        fetch(MediaUrl.parse(films.url("circle.mp4")), entry, Version('"x"')).raise_failure()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("garbage", [b"not http at all\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
def test_a_server_that_speaks_no_http_is_unreachable(
    serve: Callable[[Script], ScriptedServer], entry: Entry, garbage: bytes
) -> None:
    """After the same patience; the address in the words is the redacted one."""
    server = serve(lambda head: (garbage, False))
    with pytest.raises(SourceUnreachable) as raised:
        fetch(server.url, entry).raise_failure()
    assert "secret" not in str(raised.value)


def test_a_disk_that_is_full_is_our_fault(films: HttpFiles, entry: Entry) -> None:
    """The kernel's word for it; the source is not blamed."""
    entry.source.symlink_to("/dev/full")
    with pytest.raises(CacheError, match="No space left on device"):
        fetch(address_of(films), entry).raise_failure()


def test_a_bug_in_a_download_is_no_end_of_the_file(
    films: HttpFiles, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had come counted as the whole file."""
    monkeypatch.setattr(Fetch, "_fetch_all", lambda *_: 1 // 0)
    download = fetch(address_of(films), entry)
    with pytest.raises(ZeroDivisionError):
        download.raise_failure()


def test_readers_wait_for_bytes_and_no_longer_than_the_file(films: HttpFiles, entry: Entry) -> None:
    """``read_at`` gives what was asked for as soon as it is there, and less only at the end."""
    films.bytes_per_second = 2_000_000
    download = Fetch(address_of(films), entry, Version(), room=room_of(entry))
    runner = threading.Thread(target=download.run)
    runner.start()
    try:
        assert download.read_at(300_000, 1000) == FILM[300_000:301_000]
        assert download.fetched_bytes < len(FILM)
        assert download.read_at(len(FILM) - 10, 1000) == FILM[-10:]
        assert download.done
    finally:
        runner.join()
