"""From an address to ffmpeg's input: a local file, a download in progress or completed, or an HLS film.

The input is opened here, once, and checked by what was opened; ffmpeg gets descriptors, pipes, and for HLS the
addresses of a ``feeder``. Some threads may run beside the caller's: one downloads, one feeds ffmpeg, more serve a film.
Not here: ffmpeg's output.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.folders import EVERYWHERE, Folders
from streamferry.net.sandbox import Sandbox
from streamferry.net.seccomp import Sockets
from streamferry.prepare.blocking_ffmpeg import BlockingFfmpeg, file_arguments, hls_arguments, pipe_arguments
from streamferry.prepare.cache import Entry
from streamferry.prepare.container import Container, ReadAt, look
from streamferry.prepare.faststart import AS_IT_LIES, Order, turn
from streamferry.prepare.file_version import Version
from streamferry.prepare.inspection import Inspection, inspect
from streamferry.prepare.playlist import Film, read_film
from streamferry.prepare.room import Room
from streamferry.prepare.route import STRAIGHT, Route
from streamferry.prepare.stretch import STRETCHED, Stretch
from streamferry.reasons import Code, Reason
from streamferry.wire.hls import MAX_PLAYLIST_BYTES

if TYPE_CHECKING:
    from streamferry.prepare.feeder import Feeder
    from streamferry.prepare.fetch import Fetch

_PIPE_BYTES = 256 << 10
_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Input:
    """What ffmpeg reads: arguments, and as its standard input an open ``file`` or what ``feed`` writes into a pipe.

    ``could_be_whole``: a whole file would be the better input. ``port``: of loopback, to which it connects.
    """

    container: Container
    arguments: list[str]
    feed: Callable[[IO[bytes]], None] | None = None
    file: int = -1
    could_be_whole: bool = False
    announced_seconds: float = 0.0
    port: int | None = None
    inspection: Inspection = field(default_factory=Inspection)
    stretch: Stretch | None = None

    @property
    def sandbox(self) -> Sandbox:
        """A sandbox that allows reading this input, and nothing else."""
        if self.port is not None:
            return Sandbox(sockets=Sockets.TCP, ports=(self.port,))
        # An ffmpeg that cannot go back and forth in a file that is open opens it once more.
        return Sandbox(reads=(f"/proc/self/fd/{self.file}",) if self.file >= 0 else ())

    @property
    def stdin(self) -> int:
        """For one ffmpeg, from the beginning; the descriptor stays the input's."""
        if self.feed is not None:
            return subprocess.PIPE
        os.lseek(self.file, 0, os.SEEK_SET)
        return self.file


class Intake:
    """The way of one address into one entry of the cache. ``fetch`` is its download, if it is remote."""

    def __init__(
        self,
        url: MediaUrl,
        entry: Entry,
        version: Version,
        program: str,
        route: Route = STRAIGHT,
        *,
        folders: Folders = EVERYWHERE,
        room: Room,
        ahead_bytes: int | None = None,
        reads_whole: bool = False,
    ) -> None:
        """``folders``: where files of this machine may be read; for playlists see ``_folders_of_playlist``.
        ``ahead_bytes``: how far a download may be ahead of what ffmpeg has read, which is not kept then.
        """
        self.url = url
        self.fetch: Fetch | None = None
        self._feeder: Feeder | None = None
        self._folders = folders
        self._room = room
        #: A marker for a source that is interleaved too badly for a pipe; from then on it is read as a whole file.
        self.whole_marker = entry.path / "read-whole"
        self._entry = entry
        self._version = version
        self._program = program
        self._route = route
        self._ahead_bytes = ahead_bytes
        self._reads_whole = reads_whole
        self._final_pipe: IO[bytes] | None = None
        self._local = -1
        # Of HLS: what follows the stretch that is read.
        self._films: list[Film] = []
        self._reader: BlockingFfmpeg | None = None

    def open(self, on_wait: Callable[[], object] = lambda: None, *, from_front: bool = False) -> Input:
        """Look at the file and say how to read it; ``on_wait`` is called while it has to be fetched as a whole.

        ``from_front``: read a local file through a pipe, too, so that ffmpeg meets the packets as they lie in it.

        Raises MediaError, and OSError for a local file.
        """
        if self.url.scheme == "file":
            file = self._local = self._folders.open(self.url.path, self.url.redacted)
            kind = look(partial(_read_at, file))
            if kind is Container.HLS:
                return self._hls_input(os.pread(file, MAX_PLAYLIST_BYTES + 1, 0), self.url)
            inspection = self._inspect(kind, partial(_read_at, file))
            if kind in STRETCHED:
                return self._stretch(kind, Stretch(kind), inspection)
            if from_front and kind.reads_front_to_back:
                return Input(kind, pipe_arguments(kind), partial(_feed_local, file), inspection=inspection)
            return Input(kind, file_arguments(kind, self._program), file=file, inspection=inspection)
        # Imported where it is needed: httpx takes 120 ms, which a local file need not wait for.
        from streamferry.prepare.fetch import Fetch

        self.fetch = Fetch(
            self.url, self._entry, self._version, self._route, room=self._room, ahead_bytes=self._ahead_bytes
        )
        threading.Thread(target=self.fetch.run, name="fetch", daemon=True).start()
        kind = look(self.fetch.read_at)
        if self.fetch.done:
            self.fetch.raise_failure()
        if kind is Container.HLS:
            return self._hls_input(*self._fetched_playlist(self.fetch))
        if not self._reads_whole and not self.whole_marker.exists():
            order = AS_IT_LIES if kind.reads_front_to_back else self._turned(kind)
            if order is not None:
                inspection = self._inspect(kind, order.reader(self.fetch.read_at))
                if kind in STRETCHED:
                    return self._stretch(kind, Stretch(kind), inspection)
                feed = partial(self._feed_file, order)
                return Input(kind, pipe_arguments(kind), feed, could_be_whole=True, inspection=inspection)
        while not self.fetch.wait_done(_PROGRESS_SECONDS):
            on_wait()
        self.fetch.raise_failure()
        file = os.open(self.fetch.path, os.O_RDONLY | os.O_CLOEXEC)
        inspection = self._inspect(kind, partial(_read_at, file))
        return Input(kind, file_arguments(kind, self._program), file=file, inspection=inspection)

    def _stretch(self, kind: Container, stretch: Stretch, inspection: Inspection) -> Input:
        return Input(
            kind,
            pipe_arguments(kind),
            partial(self._feed_stretch, stretch),
            could_be_whole=self.fetch is not None,
            inspection=inspection,
            stretch=stretch,
        )

    def next(self, source: Input) -> Input | None:
        """What follows a source that was read to its end: another stretch of the same file; None if it was the last."""
        if self._films:
            return self._film_input(self._films.pop(0), 0.0)
        following = source.stretch.following() if source.stretch is not None else None
        return None if following is None else self._stretch(source.container, following, source.inspection)

    def _inspect(self, kind: Container, read_at: ReadAt) -> Inspection:
        """What ffmpeg will not tell of it. Raises SourceUnsupported for what is encrypted."""
        inspection = inspect(kind, read_at)
        with self.naming_the_source():
            inspection.check()
        return inspection

    def start(
        self,
        source: Input,
        output: Sequence[str],
        reading: Sequence[str] = (),
        *,
        reads: tuple[str, ...] = (),
        **options: Any,
    ) -> BlockingFfmpeg:
        """An ffmpeg that reads ``source``, which may be read again once it has ended. ``reading``: options before it.

        ``reads``: files that it may open beside it. ``options``: of ``BlockingFfmpeg``. Raises CacheError.
        """
        sandbox = source.sandbox
        sandbox = replace(sandbox, reads=(*sandbox.reads, *reads))
        arguments = [*reading, *source.arguments]
        ffmpeg = BlockingFfmpeg(self._program, arguments, output, stdin=source.stdin, sandbox=sandbox, **options)
        self._reader = ffmpeg
        if source.feed is not None:
            threading.Thread(target=source.feed, args=(ffmpeg.stdin,), name="feeder", daemon=True).start()
        return ffmpeg

    def raise_failure(self) -> None:
        """Raise what could not be had of the source, if there was anything."""
        if self.fetch is not None and self.fetch.done:
            self.fetch.raise_failure()
        if self._feeder is not None:
            self._feeder.raise_failure()

    def _turned(self, kind: Container) -> Order | None:
        """The order in which such a file can be read from front to back while it is fetched, if there is one."""
        from streamferry.prepare.fetch import fetch_tail

        fetch = self.fetch
        if kind is not Container.MP4_MOOV_LAST or fetch is None or fetch.done:
            return None
        return turn(fetch.read_at, lambda start: fetch_tail(self.url, start, self._version, self._route))

    def _fetched_playlist(self, fetch: "Fetch") -> tuple[bytes, MediaUrl]:
        # What calls itself a playlist and does not end is not fetched to its end.
        fetch.read_at(MAX_PLAYLIST_BYTES, 1)
        if fetch.fetched_bytes <= MAX_PLAYLIST_BYTES:
            fetch.wait_done(None)
        else:
            fetch.stop()
        text = fetch.path.read_bytes()
        # It may hold tokens of the segments, and it is small: not kept for a resumption.
        fetch.path.unlink()
        if len(text) <= MAX_PLAYLIST_BYTES:
            fetch.raise_failure()
        return text, MediaUrl.parse(fetch.final_url)

    def _hls_input(self, first: bytes, base: MediaUrl) -> Input:
        """``first`` is the playlist, read at ``base``."""
        from streamferry.prepare.fetch import fetch_bytes

        folders = self._folders_of_playlist()

        def read(wanted: MediaUrl) -> tuple[bytes, MediaUrl]:
            data, final = first, base
            if wanted is not base and wanted.scheme == "file":
                file = folders.open(wanted.path, Reason.of(Code.NAME_PLAYLIST))
                with open(file, "rb") as playlist:
                    data, final = playlist.read(MAX_PLAYLIST_BYTES + 1), wanted
            elif wanted is not base:
                data, address = fetch_bytes(self.url, wanted, MAX_PLAYLIST_BYTES + 1, self._route)
                final = MediaUrl.parse(address)
            if len(data) > MAX_PLAYLIST_BYTES:
                raise SourceUnsupported(Code.PLAYLIST_TOO_LARGE, size_mib=MAX_PLAYLIST_BYTES >> 20)
            return data, final

        with self.naming_the_source():
            film = read_film(base, read, folders)
        self._films = film.stretches()
        return self._film_input(self._films.pop(0), film.seconds)

    def _film_input(self, film: Film, announced_seconds: float) -> Input:
        from streamferry.prepare.feeder import Feeder
        from streamferry.prepare.parts import Parts

        if self._feeder is not None:
            self._feeder.close()
        parts = Parts(self.url, self._folders_of_playlist(), self._route)
        feeder = self._feeder = Feeder(self.url, film, parts, self._end_reader)

        def feed(pipe: IO[bytes]) -> None:
            with pipe:
                _write_all(pipe, feeder.master.encode())

        arguments = hls_arguments(self._program)
        return Input(Container.HLS, arguments, feed, announced_seconds=announced_seconds, port=feeder.port)

    def _folders_of_playlist(self) -> Folders:
        """Where a playlist may name files: where any source may be; if everything may be read, in its own folder.

               A user may have a playlist from somebody else, who must not choose which files of this machine are sent.
        One from the network names no files at all.
        """
        if self._folders.roots is not None:
            return self._folders
        return Folders.of([Path(self.url.path).parent])

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.kill()

    def _feed_file(self, order: Order, pipe: IO[bytes]) -> None:
        assert self.fetch is not None
        offset = order.begin
        with pipe, self.fetch.path.open("rb", buffering=0) as source:
            if not _write_all(pipe, order.head):
                return
            source.seek(offset)
            while self.fetch.wait_for(offset + 1) and (piece := source.read(min(_PIPE_BYTES, order.end - offset))):
                offset += len(piece)
                if not _write_all(pipe, piece):
                    return
                self.fetch.note_read(offset, is_done_with=pipe is self._final_pipe)

    def _feed_stretch(self, stretch: Stretch, pipe: IO[bytes]) -> None:
        def note(offset: int) -> None:
            if self.fetch is not None:
                self.fetch.note_read(offset, is_done_with=pipe is self._final_pipe)

        with pipe:
            stretch.copy(self._read_piece, partial(_write_all, pipe), note)

    def _read_piece(self, offset: int) -> bytes:
        if self.fetch is None:
            return os.pread(self._local, _PIPE_BYTES, offset)
        if not self.fetch.wait_for(offset + 1):
            return b""
        with self.fetch.path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(_PIPE_BYTES)

    def note_final(self, ffmpeg: BlockingFfmpeg) -> None:
        """No other ffmpeg will read it from the start: what this one has read need not stay."""
        self._final_pipe = ffmpeg.stdin

    def close(self) -> None:
        """Give the download up, if it still runs."""
        if self.fetch is not None:
            self.fetch.stop()
        if self._feeder is not None:
            self._feeder.close()

    def progress(self) -> dict[str, Any]:
        """How far the download is, as fields of a report."""
        if self.fetch is None:
            return {}
        return {"fetched": self.fetch.fetched_bytes, "total": self.fetch.total_bytes}

    @contextlib.contextmanager
    def naming_the_source(self) -> Iterator[None]:
        """Put the address in front of errors about its media."""
        try:
            yield
        except (SourceUnsupported, SourceForbidden, SourceMissing) as error:
            raise type(error)(Code.FILE_UNUSABLE, url=self.url.redacted, why=error.why) from None


def _read_at(file: int, offset: int, size: int) -> bytes:
    return os.pread(file, size, offset)


def _feed_local(file: int, pipe: IO[bytes]) -> None:
    offset = 0
    with pipe:
        while (piece := os.pread(file, _PIPE_BYTES, offset)) and _write_all(pipe, piece):
            offset += len(piece)


def _write_all(pipe: IO[bytes], data: bytes) -> bool:
    """Write to a pipe; False if its reader is gone."""
    view = memoryview(data)
    try:
        while view:
            view = view[pipe.write(view) :]
    except BrokenPipeError:
        return False
    return True
