"""A front before a service: passes bytes on as they come, and counts them; with TLS if a deployment would have it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread

import trustme


class Front(ThreadingTCPServer):
    """``bytes_in``: what clients have sent through it so far, over all connections.

    ``passing``: while it is not set no byte passes, either way, and nobody is told. ``answering``: the same of what
    the service says.
    """

    daemon_threads = True

    def __init__(self, upstream: tuple[str, int], listening: socket.socket | None = None) -> None:
        """``listening``: where, if not on the loopback."""
        super().__init__(("127.0.0.1", 0), _Handler)
        if listening is not None:
            self.socket.close()
            self.socket, self.server_address = listening, listening.getsockname()
        self.upstream = upstream
        self.bytes_in = 0
        self.passing, self.answering = _set(), _set()
        self._stranded: list[Event] = []
        self._open: list[socket.socket] = []

    def strand(self, *, answers_only: bool = False) -> None:
        """The connections that there are pass nothing any more, and nobody is told; new ones do.

        ``answers_only``: what clients say still passes."""
        if not answers_only:
            self.passing.clear()
        self.answering.clear()
        self._stranded += (self.passing, self.answering)
        self.passing, self.answering = _set(), _set()

    def cut(self) -> None:
        """End the connections that there are; what was held up in them is lost."""
        opened, self._open = self._open, []
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def keep(self, *opened: socket.socket) -> None:
        """Have them ended with the others."""
        self._open += opened

    def let_go(self) -> None:
        """Nothing is held up any more."""
        for one in (self.passing, self.answering, *self._stranded):
            one.set()

    @property
    def port(self) -> int:
        """Where it listens on the loopback."""
        return int(self.server_address[1])


class _Handler(BaseRequestHandler):
    server: Front

    def handle(self) -> None:
        self.passing, self.answering = self.server.passing, self.server.answering
        self.passing.wait()
        with suppress(OSError), socket.create_connection(self.server.upstream, timeout=30) as upstream:
            upstream.settimeout(None)  # a session of a pool may say nothing for long
            self.server.keep(self.request, upstream)
            back = Thread(target=self._answer, args=(upstream,))
            back.start()
            with suppress(OSError):
                while data := self.request.recv(65536):
                    self.server.bytes_in += len(data)
                    self.passing.wait()
                    upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := upstream.recv(65536):
                self.passing.wait()
                self.answering.wait()
                self.request.sendall(data)
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)  # what one side ends is over for the other, too


def _set() -> Event:
    event = Event()
    event.set()
    return event


@contextmanager
def front(
    upstream: str, authority: trustme.CA | None = None, listening: socket.socket | None = None
) -> Iterator[Front]:
    """A front before ``host:port``; with an authority it takes TLS and has a certificate of that. ``listening``: where,
    if not on the loopback."""
    host, _, port = upstream.rpartition(":")
    with Front((host, int(port)), listening) as one:
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            one.socket = context.wrap_socket(one.socket, server_side=True)
        thread = Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield one
        finally:
            one.let_go()
            one.shutdown()
            thread.join()
