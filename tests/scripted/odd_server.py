"""An RTMP server that says exactly what a test has it say: the handshake is done, the rest is the script's."""

import asyncio
from collections.abc import Awaitable, Callable

from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES, server_hello_and_answer
from streamferry.wire.rtmp.message import Command, MessageType, parse_command, serialize_command

SUCCESS = {"level": "status", "code": "NetConnection.Connect.Success", "description": "Connection succeeded."}
REJECTED = "NetConnection.Connect.Rejected"


class OddServer:
    """One connection of a client to it. ``fields``: of the last connect."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._in = reader
        self.out = writer
        self._chunks = ChunkReader()
        self._unread = b""
        self._messages: list[Message] = []
        self.commands: list[Command] = []
        self.fields: dict[str, object] = {}

    async def shake(self) -> None:
        """Do the handshake."""
        self.out.write(server_hello_and_answer(await self._in.readexactly(HELLO_BYTES), b"seed"))
        await self._in.readexactly(PACKET_BYTES)

    async def hear(self, name: str) -> Command:
        """Read up to the client's next command of that name. Raises ConnectionError when it closes before."""
        while True:
            for at, command in enumerate(self.commands):
                if command.name == name:
                    del self.commands[: at + 1]
                    return command
            data = await self._in.read(65536)
            if not data:
                raise ConnectionResetError
            self._unread += data
            messages: list[Message] = []
            view = memoryview(self._unread)
            end = self._chunks.scan(view, 0, len(view), messages)
            self._unread = bytes(view[end:])
            self.commands += [parse_command(one[0], one[3]) for one in messages if one[0] == MessageType.COMMAND]

    async def hear_connect(self) -> dict[str, object]:
        """Shake hands and give what connect says."""
        await self.shake()
        self.fields = dict((await self.hear("connect")).fields(0))
        return self.fields

    def say(self, name: str, transaction_id: object, *values: object, type_id: int = MessageType.COMMAND) -> None:
        """A command, on stream 0."""
        payload = serialize_command(name, transaction_id, *values)  # type: ignore[arg-type]
        self.send(type_id, payload if type_id == MessageType.COMMAND else b"\0" + payload)

    def send(self, type_id: int, payload: bytes, *, chunk_size: int = 128) -> None:
        """Any message, on stream 0."""
        pieces: list[bytes | memoryview] = []
        append_message(pieces, 3, type_id, 0, 0, payload, chunk_size)
        self.out.write(b"".join(pieces))

    def refuse(self, code: str, description: str, **more: object) -> None:
        """Refuse connect."""
        self.say("_error", 1, None, {"level": "error", "code": code, "description": description, **more})

    async def accept(self, *, connect: object = 1, stream: object = 1) -> None:
        """Accept connect and all that follows, up to the publish; with these ids."""
        self.say("_result", connect, {"fmsVer": "FMS/3,0,1,123"}, SUCCESS)
        await self.hear("createStream")
        self.say("_result", 4, None, stream)
        await self.hear("publish")
        self.say("onStatus", 0, None, {"level": "status", "code": "NetStream.Publish.Start", "description": ""})

    async def until_closed(self) -> None:
        """Read to the client's end."""
        await self.out.drain()
        while await self._in.read(65536):
            pass


Script = Callable[[OddServer], Awaitable[None]]


def odd(script: Script) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """The script as a handler of connections."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(OddServer(reader, writer))
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return handle
