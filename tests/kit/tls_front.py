"""A TLS front before a plain HTTP service, as a deployment has one: what comes over https goes on as it came."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import trustme


class _Front(ThreadingTCPServer):
    daemon_threads = True
    upstream = ("", 0)


class _Handler(BaseRequestHandler):
    server: _Front

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream, timeout=30) as upstream, suppress(OSError):
            back = Thread(target=_pump, args=(upstream, self.request))
            back.start()
            _pump(self.request, upstream)
            upstream.shutdown(socket.SHUT_WR)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@contextmanager
def tls_front(host: str, authority: trustme.CA) -> Iterator[str]:
    """``host:port`` under which the service at ``host`` is reached over https, with a certificate of the authority."""
    name, _, port = host.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with _Front(("127.0.0.1", 0), _Handler) as front:
        front.upstream = (name, int(port))
        front.socket = context.wrap_socket(front.socket, server_side=True)
        thread = Thread(target=front.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{front.server_address[1]}"
        front.shutdown()
        thread.join()
