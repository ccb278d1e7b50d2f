"""A web server on loopback that serves one HLS film and nothing else; ffmpeg reads it instead of the film's own server.

ffmpeg reads the film from our addresses, one per segment and header; for each, ``parts`` opens the real address, which
was checked before. So ffmpeg follows no foreign address, needs no file, no name server and no TLS, and gets plain
media. It is HTTP and not a pipe, because ffmpeg's HLS reader keeps sound and picture of two playlists together.

Its addresses begin with a secret that only the film's ffmpeg gets, on its standard input. One answer per connection.
Other users of the machine can connect, too: a client without the secret takes no place from ffmpeg, has a short time
for the whole request, and if there are many, the oldest is closed.
"""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil

from streamferry.media.errors import MediaError, SourceError, SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.unauthenticated import MAX_UNAUTHENTICATED, Unauthenticated
from streamferry.prepare.parts import Parts, is_final
from streamferry.prepare.playlist import Film, FilmSegment, Part
from streamferry.reasons import Code, said_by
from streamferry.wire.hls import Variant

#: After this many gaps in a row the rest is not requested.
_MAX_LOST_IN_A_ROW = 10
_MAX_CONNECTIONS = 16
_HEAD_BYTES = 16 << 10
_HEAD_SECONDS = 10.0
_END = b"\r\n\r\n"
_FOUND = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
_LOST = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Feeder:
    """See the module. ``on_end`` is called when there is no use in going on; then ``raise_failure`` says why."""

    def __init__(self, url: MediaUrl, film: Film, parts: Parts, on_end: Callable[[], None]) -> None:
        """Begin to listen. Raises OSError."""
        self._url = url
        self._parts = parts
        self._on_end = on_end
        self._failure: MediaError | None = None
        self._is_over = False
        self._lost_in_a_row = 0
        self._places = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        #: Connections that have not sent the secret yet.
        self._strangers = Unauthenticated(_shut)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_UNAUTHENTICATED)
        #: Where it listens.
        self.port: int = self._listener.getsockname()[1]
        word = secrets.token_urlsafe()
        self._root = f"http://127.0.0.1:{self.port}/{word}"
        self._texts: dict[str, bytes] = {}
        self._media: dict[str, tuple[str, Part]] = {}
        for number, segments in enumerate(film.tracks):
            self._texts[f"/{word}/{number}.m3u8"] = self._list(f"/{word}/{number}", segments).encode()
        audio = f"{self._root}/1.m3u8" if len(film.tracks) > 1 else None
        #: The playlist to begin with.
        self.master = Variant(f"{self._root}/0.m3u8", audio).as_master()
        threading.Thread(target=self._accept, name="film", daemon=True).start()

    def raise_failure(self) -> None:
        """Raise the error of a part that could not be fetched, if any."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop listening."""
        self._is_over = True
        # Closing alone would not wake a thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._parts.close()

    def _list(self, root: str, segments: tuple[FilmSegment, ...]) -> str:
        """The playlist of a track, and a place for each part in it."""
        longest = ceil(max(segment.seconds for segment in segments))
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-PLAYLIST-TYPE:VOD"]
        header: Part | None = None
        for number, segment in enumerate(segments):
            if segment.is_break:
                lines.append("#EXT-X-DISCONTINUITY")
            if segment.header is not None and segment.header != header:
                header = segment.header
                lines.append(f'#EXT-X-MAP:URI="{root}/{number}-header"')
                self._media[f"{root}/{number}-header"] = (f"the header of segment {number + 1}", header)
            lines += [f"#EXTINF:{segment.seconds:.6f},", f"{root}/{number}"]
            self._media[f"{root}/{number}"] = (f"segment {number + 1} of {len(segments)}", segment.media)
        return "\n".join([*lines, "#EXT-X-ENDLIST", ""])

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._strangers.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="film part", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            try:
                path = _read_path(connection, time.monotonic() + _HEAD_SECONDS)
            finally:
                self._strangers.remove(connection)
            if path not in self._texts and path not in self._media:
                connection.sendall(_LOST)
                return
            with self._places:
                # ffmpeg reads no faster than its output is taken, which may be at the pace of a player.
                connection.settimeout(None)
                if (text := self._texts.get(path)) is not None:
                    connection.sendall(_FOUND + text)
                elif not self._is_over:
                    self._send(connection, *self._media[path])
                else:
                    connection.sendall(_LOST)

    def _send(self, connection: socket.socket, name: str, part: Part) -> None:
        pieces = self._read(name, part)
        first = next(pieces, None)
        if first is None:
            connection.sendall(_LOST)
            return
        connection.sendall(_FOUND + first)
        for piece in pieces:
            connection.sendall(piece)

    def _read(self, name: str, part: Part) -> Iterator[bytes]:
        """The available bytes of a part; an error is recorded."""
        try:
            yield from self._parts.read(part)
            self._lost_in_a_row = 0
        except SourceError as error:
            self._note(name, error)
        except OSError as error:
            failure = SourceUnreachable(Code.FILE_UNREADABLE, name=self._url.redacted, why=said_by(error))
            self._note(name, failure.because_of(error))

    def _note(self, name: str, error: SourceError) -> None:
        if self._is_over:
            return
        self._lost_in_a_row += 1
        if is_final(error):
            self._failure = error
        elif self._failure is None:
            why = error.why.about(name)
            self._failure = SourceUnreachable(Code.FILE_SEGMENTS_LOST, url=self._url.redacted, why=why)
        if is_final(error) or self._lost_in_a_row == _MAX_LOST_IN_A_ROW:
            self._is_over = True
            self._on_end()


def _shut(connection: socket.socket) -> None:
    """Wakes the thread that reads it, which closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read_path(connection: socket.socket, until: float) -> str:
    """The target of a GET; empty for what is none. Raises OSError: it has not come whole by ``until`` (monotonic)."""
    head = b""
    while _END not in head and len(head) < _HEAD_BYTES:
        if (left := until - time.monotonic()) <= 0:
            raise TimeoutError
        connection.settimeout(left)
        if not (data := connection.recv(4096)):
            break
        head += data
    words = head.partition(b"\r\n")[0].split(b" ")
    return words[1].decode("latin-1") if len(words) == 3 and words[0] == b"GET" else ""
