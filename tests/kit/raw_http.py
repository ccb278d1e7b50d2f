"""HTTP/1.1 as bytes on a socket: what a client that keeps to no rule can say, from an address of its choice."""

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any, Self

from kit.waiting import PATIENCE_S


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came; ``status`` 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The first answer in what was read."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(words[1]) if len(words) > 1 else 0, headers, body)

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class RawConnection:
    """A connection to the service; ``peer``: the loopback address it comes from."""

    def __init__(self, address: tuple[str, int], peer: str = "127.0.0.1", seconds: float = PATIENCE_S) -> None:
        self._socket = socket.create_connection(address, seconds, source_address=(peer, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send what the peer takes; one that has closed takes nothing more."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def read(self) -> bytes:
        """All until the connection is closed."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := self._socket.recv(65536):
                data += piece
        return data

    def read_answer(self) -> RawAnswer:
        """One answer with a Content-Length, or all there is."""
        data = b""
        while True:
            try:
                piece = self._socket.recv(65536)
            except ConnectionError:
                piece = b""
            data += piece
            answer = RawAnswer.parse(data) if b"\r\n\r\n" in data else None
            if not piece or (answer is not None and len(answer.body) >= int(answer.headers.get("content-length", 0))):
                return RawAnswer.parse(data)


def ask(address: tuple[str, int], data: bytes, peer: str = "127.0.0.1") -> RawAnswer:
    """The answer to some bytes on a connection of their own."""
    with RawConnection(address, peer) as connection:
        connection.send(data)
        return connection.read_answer()


def head(start: str, *headers: str, host: str = "here") -> bytes:
    """A request line with headers; the connection is to be closed behind the answer."""
    return "\r\n".join((f"{start} HTTP/1.1", f"host: {host}", "connection: close", *headers, "", "")).encode("latin-1")
