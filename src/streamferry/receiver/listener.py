"""The receiver's server: asyncio streams around ServerSession, one coroutine per connection."""

import asyncio
import os
import socket
from collections.abc import Callable
from types import TracebackType

from streamferry.media.errors import RemoteProtocolError
from streamferry.net.replies import send
from streamferry.receiver.meter import StreamMeter
from streamferry.wire.rtmp.session import (
    ConnectRequested,
    PlayRequested,
    PublishRequested,
    ServerSession,
    TagsReceived,
    Unpublished,
)

#: How many streams are remembered, including those in progress.
_REMEMBERED = 1000
#: Connections at a time: a stranger who opens many shall not take the memory of the machine.
MAX_CONNECTIONS = 500
#: A connection that sends nothing for this long is closed.
_SILENCE_S = 60.0


class ReceivedStream:
    """One publish, from its acceptance to its end."""

    def __init__(self, app: str, peer: str) -> None:
        self.app = app
        self.peer = peer
        self.meter = StreamMeter()
        #: How it ended: ``unpublished`` by its publisher, ``closed`` or ``broken`` connection; None while it lasts.
        self.ended: str | None = None


class Receiver:
    """Async context manager: an RTMP server on ``host:port`` (0: any free port) that takes any app and key.

    Beyond ``max_connections``, who comes is closed at once. ``listening``: a socket that listens, instead.
    ``on_stream`` is called when a stream begins and again when it has ended.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_stream: Callable[[ReceivedStream], None] | None = None,
        max_connections: int = MAX_CONNECTIONS,
        listening: socket.socket | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._on_stream = on_stream
        self._max_connections = max_connections
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        #: The streams seen since the start, oldest first; the first that ended are forgotten beyond a thousand.
        self.streams: list[ReceivedStream] = []

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def __aenter__(self) -> "Receiver":
        if self._listening is None:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        else:
            self._server = await asyncio.start_server(self._serve, sock=self._listening)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_connections:
            writer.transport.abort()
            return
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        host, port = writer.get_extra_info("peername")[:2]
        conversation = _Conversation(f"{host}:{port}", self._note)
        try:
            while data := await asyncio.wait_for(reader.read(1 << 18), _SILENCE_S):
                if answer := conversation.answer(data):
                    await send(writer, answer)
            conversation.end("closed")
        except (OSError, RemoteProtocolError):
            conversation.end("broken")
        except TimeoutError:
            conversation.end("silent")
        except asyncio.CancelledError:
            conversation.end("closed")
        finally:
            self._connections.discard(connection)
            writer.close()

    def _note(self, stream: ReceivedStream) -> None:
        if stream.ended is None:
            self.streams.append(stream)
            if len(self.streams) > _REMEMBERED and (ended := next((s for s in self.streams if s.ended), None)):
                self.streams.remove(ended)
        if self._on_stream is not None:
            self._on_stream(stream)


class _Conversation:
    """The dialogue with one client."""

    def __init__(self, peer: str, note: Callable[[ReceivedStream], None]) -> None:
        self._session = ServerSession(random=os.urandom(64))
        self._peer = peer
        self._note = note
        self._stream: ReceivedStream | None = None

    def answer(self, data: bytes) -> bytes:
        """Take bytes and return those to send back. Raises RemoteProtocolError."""
        for event in self._session.receive(data):
            match event:
                case TagsReceived(tags):
                    if self._stream is not None:
                        self._stream.meter.count(tags)
                case ConnectRequested():
                    self._session.accept()
                case PublishRequested(app, _):
                    self._session.accept()
                    self.end("unpublished")
                    self._stream = ReceivedStream(app, self._peer)
                    self._note(self._stream)
                case PlayRequested():
                    self._session.reject("NetStream.Play.StreamNotFound", "This receiver keeps nothing to play.")
                case Unpublished():
                    self.end("unpublished")
                case _:
                    pass
        return self._session.data_to_send()

    def end(self, how: str) -> None:
        """Note that the current stream, if any, is over."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.ended = how
            self._note(stream)
