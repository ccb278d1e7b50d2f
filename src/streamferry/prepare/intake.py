"""From an address to what ffmpeg reads: a local file, a download while it comes or when it is whole, an HLS playlist.

Two threads may run beside the caller's: one downloads, one feeds ffmpeg. Not here: what ffmpeg makes of it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from streamferry.media.errors import SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.prepare.cache import Entry
from streamferry.prepare.container import Container, look
from streamferry.prepare.ffmpeg import Ffmpeg, hls_arguments, input_arguments
from streamferry.prepare.playlist import choose_variant
from streamferry.prepare.route import STRAIGHT, Route
from streamferry.prepare.turned import AS_IT_LIES, Order, turn
from streamferry.prepare.version import Version

if TYPE_CHECKING:
    from streamferry.prepare.fetch import Fetch

_PIPE_BYTES = 256 << 10
_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Input:
    """What ffmpeg reads: arguments, what feeds its standard input, whether a whole file would be the better input."""

    container: Container
    arguments: list[str]
    feed: Callable[[IO[bytes]], None] | None = None
    could_be_whole: bool = False
    announced_seconds: float = 0.0

    def feed_to(self, ffmpeg: Ffmpeg) -> None:
        """Begin to feed a running ffmpeg, if it has to be."""
        if self.feed is not None:
            threading.Thread(target=self.feed, args=(ffmpeg.stdin,), name="feeder", daemon=True).start()


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
        ahead_bytes: int | None = None,
        reads_whole: bool = False,
    ) -> None:
        """``ahead_bytes``: how far a download may be ahead of what ffmpeg has read, which is not kept then."""
        self.url = url
        self.fetch: Fetch | None = None
        #: Left where a source proved to be interleaved too badly for a pipe; from then on it is read as a whole file.
        self.whole_marker = entry.path / "read-whole"
        self._entry = entry
        self._version = version
        self._program = program
        self._route = route
        self._ahead_bytes = ahead_bytes
        self._reads_whole = reads_whole
        self._final_pipe: IO[bytes] | None = None

    def open(self, on_wait: Callable[[], object] = lambda: None, *, from_front: bool = False) -> Input:
        """Look at the file and say how to read it; ``on_wait`` is called while it has to be fetched as a whole.

        ``from_front``: read a local file through a pipe, too, so that ffmpeg meets the packets as they lie in it.

        Raises MediaError, and OSError for a local file.
        """
        if self.url.scheme == "file":
            path = Path(self.url.path)
            with path.open("rb") as file:
                kind = look(lambda offset, size: os.pread(file.fileno(), size, offset))
        else:
            # Imported where it is needed: httpx takes 120 ms, which a local file need not wait for.
            from streamferry.prepare.fetch import Fetch

            self.fetch = Fetch(self.url, self._entry, self._version, self._route, ahead_bytes=self._ahead_bytes)
            path = self.fetch.path
            threading.Thread(target=self.fetch.run, name="fetch", daemon=True).start()
            kind = look(self.fetch.read_at)
            if self.fetch.done:
                self.fetch.raise_failure()
        if kind is Container.HLS:
            return self._hls_input(path)
        if self.fetch is None:
            if from_front and kind.reads_front_to_back:
                return Input(kind, input_arguments(kind, None), lambda pipe: _feed_local(path, pipe))
            return Input(kind, input_arguments(kind, str(path)))
        if not self._reads_whole and not self.whole_marker.exists():
            order = AS_IT_LIES if kind.reads_front_to_back else self._turned(kind)
            if order is not None:
                return Input(kind, input_arguments(kind, None), partial(self._feed_file, order), could_be_whole=True)
        while not self.fetch.wait_done(_PROGRESS_SECONDS):
            on_wait()
        self.fetch.raise_failure()
        return Input(kind, input_arguments(kind, str(path)))

    def _turned(self, kind: Container) -> Order | None:
        """How a file that does not read from front to back can be made to while it is fetched, if it can."""
        from streamferry.prepare.fetch import fetch_tail

        fetch = self.fetch
        if kind is not Container.MP4_MOOV_LAST or fetch is None or fetch.done:
            return None
        return turn(fetch.read_at, lambda start: fetch_tail(self.url, start, self._version, self._route))

    def _hls_input(self, path: Path) -> Input:
        local = self.fetch is None
        address = f"file://{path}"
        if self.fetch is not None:
            self.fetch.wait_done(None)
            self.fetch.raise_failure()
            address = self.fetch.final_url
        first = path.read_text(errors="replace")
        if not local:
            # It may hold tokens of the segments, and it is small: not kept for a resumption.
            path.unlink()

        def read(wanted: str) -> tuple[str, str]:
            if wanted == address:
                return first, address
            if local and wanted.startswith("file://"):
                return Path(wanted.removeprefix("file://")).read_text(errors="replace"), wanted
            from streamferry.prepare.fetch import fetch_text

            return fetch_text(self.url, wanted, self._route)

        with self.naming_the_source():
            chosen = choose_variant(address, read)

        def feed(pipe: IO[bytes]) -> None:
            with pipe:
                _write_all(pipe, chosen.text.encode())

        return Input(Container.HLS, hls_arguments(self._program, local), feed, announced_seconds=chosen.seconds)

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

    def note_final(self, ffmpeg: Ffmpeg) -> None:
        """No other ffmpeg will read it from the start: what this one has read need not stay."""
        self._final_pipe = ffmpeg.stdin

    def close(self) -> None:
        """Give the download up, if it still runs."""
        if self.fetch is not None:
            self.fetch.stop()

    def progress(self) -> dict[str, Any]:
        """How far the download is, as fields of a report."""
        if self.fetch is None:
            return {}
        return {"fetched": self.fetch.fetched_bytes, "total": self.fetch.total_bytes}

    @contextlib.contextmanager
    def naming_the_source(self) -> Iterator[None]:
        """Put the address before what is wrong with its media."""
        try:
            yield
        except SourceUnsupported as error:
            raise SourceUnsupported(f"{self.url.redacted} cannot be used: {error}") from None


def _feed_local(path: Path, pipe: IO[bytes]) -> None:
    with pipe, path.open("rb", buffering=0) as source:
        while (piece := source.read(_PIPE_BYTES)) and _write_all(pipe, piece):
            pass


def _write_all(pipe: IO[bytes], data: bytes) -> bool:
    """Write to a pipe; False if its reader is gone."""
    view = memoryview(data)
    try:
        while view:
            view = view[pipe.write(view) :]
    except BrokenPipeError:
        return False
    return True
