"""A scripted RTMP destination: takes what is published, or misbehaves in the way its ``manner`` says."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from scripted.listener import Listener, reset, until_closed
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.session import (
    ConnectRequested,
    PublishRequested,
    ServerSession,
    TagsReceived,
    Unpublished,
)

KEY = "pl4nted-str3am-key"


class Publish:
    """One stream that a destination accepted, and what came of it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.tags: list[Tag] = []
        #: ``unpublished`` or ``closed``; None while it lasts.
        self.ended: str | None = None
        #: Whether its connection is over, by whatever: a reset says nothing of how the publish ended.
        self.is_over = False
        #: The last that was received, as bytes: which commands ended it.
        self.last_bytes = b""

    def frames(self, tag_type: int) -> list[Tag]:
        """The frames of one track that arrived."""
        return [tag for tag in self.tags if tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME]

    def stamps(self, tag_type: int) -> list[int]:
        """Their stamps."""
        return [tag[1] for tag in self.frames(tag_type)]

    @property
    def kinds(self) -> list[tuple[int, int]]:
        """Type and kind of all that arrived, in order."""
        return [(tag[0], tag_kind(tag[0], tag[2])) for tag in self.tags]

    @property
    def has_both_tracks(self) -> bool:
        """Whether pictures and sound have come."""
        return bool(self.frames(VIDEO)) and bool(self.frames(AUDIO))


class Caller:
    """A client of a destination, from its handshake on."""

    def __init__(self, destination: "Destination", sock: socket.socket) -> None:
        self.sock = sock
        self.session = ServerSession(random=os.urandom(32))
        self.publish: Publish | None = None
        self._destination = destination

    async def listen(self, *, accept: bool = True, max_bytes: int = 65536) -> bool:
        """Receive once and answer; False when the client has closed. ``accept`` False refuses to take a publish."""
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self.sock, max_bytes)
        if not data:
            if self.publish is not None and self.publish.ended is None:
                self.publish.ended = "closed"
            return False
        if self.publish is not None:
            self.publish.last_bytes = (self.publish.last_bytes + data)[-4096:]
        for event in self.session.receive(data):
            match event:
                case ConnectRequested():
                    self.session.accept()
                case PublishRequested(_, key) if accept:
                    self.session.accept()
                    self.accept_publish(key)
                case PublishRequested(_, key):
                    self.session.reject("NetStream.Publish.BadName", f"the key {key} is not known here")
                case TagsReceived(tags) if self.publish is not None:
                    self.publish.tags += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags]
                case Unpublished() if self.publish is not None:
                    self.publish.ended = "unpublished"
        await loop.sock_sendall(self.sock, self.session.data_to_send())
        return True

    def accept_publish(self, key: str) -> None:
        """Take note that the stream was accepted."""
        self.publish = Publish(key)
        self._destination.publishes.append(self.publish)

    async def receive_pictures(self, count: int) -> None:
        """Go on until the publish has had that many pictures."""
        while await self.listen():
            if self.publish is not None and len(self.publish.frames(VIDEO)) >= count:
                return


Manner = Callable[[Caller], Awaitable[None]]


async def take(caller: Caller) -> None:
    """Be a good server."""
    while await caller.listen():
        pass


async def reset_in_handshake(caller: Caller) -> None:
    """Reset the connection once the client has said its first word."""
    await asyncio.get_running_loop().sock_recv(caller.sock, 1)
    reset(caller.sock)


async def close_in_handshake(caller: Caller) -> None:
    """Close politely instead of answering."""
    await asyncio.get_running_loop().sock_recv(caller.sock, 65536)


async def babble(caller: Caller) -> None:
    """Answer as another protocol would."""
    await asyncio.get_running_loop().sock_recv(caller.sock, 1)
    await asyncio.get_running_loop().sock_sendall(caller.sock, b"SSH-2.0-OpenSSH_9.2\r\n")
    await until_closed(caller.sock)


async def reject_publish(caller: Caller) -> None:
    """Refuse the stream, repeating its key as some servers do."""
    while await caller.listen(accept=False):
        pass


async def reset_in_stream(caller: Caller) -> None:
    """Take five pictures, then reset."""
    await caller.receive_pictures(5)
    reset(caller.sock)


async def close_in_stream(caller: Caller) -> None:
    """Take five pictures, then close, with a tag half received."""
    await caller.receive_pictures(5)


async def babble_in_stream(caller: Caller) -> None:
    """Take five pictures, then send what is no RTMP: a chunk of a stream that never began."""
    await caller.receive_pictures(5)
    await asyncio.get_running_loop().sock_sendall(caller.sock, b"\xff" * 64)
    await until_closed(caller.sock)


async def end_the_stream(caller: Caller) -> None:
    """Take five pictures, then say that it is enough and close at once, as platforms do whose broadcast was ended."""
    await caller.receive_pictures(5)
    caller.session.send_status("error", "NetStream.Publish.Denied", f"the key {KEY} was revoked")
    await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())


async def stop_reading(caller: Caller) -> None:
    """Take five pictures, then nothing, for ever: TCP stays up and its window closes."""
    await caller.receive_pictures(5)
    await asyncio.get_running_loop().create_future()


async def never_read(caller: Caller) -> None:
    """Accept the publish and not read a byte behind it."""
    while caller.publish is None and await caller.listen():
        pass
    await asyncio.get_running_loop().create_future()


class Destination(Listener):
    """Async context manager. ``manner`` may be changed at any time: it counts for the connections that follow."""

    def __init__(self, manner: Manner = take, *, receive_buffer_bytes: int | None = None) -> None:
        super().__init__(receive_buffer_bytes)
        self.manner = manner
        #: All that was accepted, oldest first.
        self.publishes: list[Publish] = []

    def url(self) -> MediaUrl:
        """Its address, with a key and a query that must not be shown to anybody."""
        return MediaUrl.parse(f"rtmp://127.0.0.1:{self.port}/live/{KEY}?sign={KEY}-sign")

    async def script(self, sock: socket.socket) -> None:
        """One client."""
        caller = Caller(self, sock)
        try:
            await self.manner(caller)
        finally:
            if caller.publish is not None:
                caller.publish.is_over = True


def slow(bytes_per_second: int, until_well: asyncio.Event) -> Manner:
    """Take five pictures, then only that much, until it is well again."""

    async def take_slowly(caller: Caller) -> None:
        await caller.receive_pictures(5)
        while not until_well.is_set():
            await asyncio.sleep(16384 / bytes_per_second)
            if not await caller.listen(max_bytes=16384):
                return
        await take(caller)

    return take_slowly
