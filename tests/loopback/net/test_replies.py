"""Sending to a peer that has gone, on the event loops that programs of ours run on."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
import uvloop

from kit.waiting import PATIENCE_S
from streamferry.net.replies import send


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_peer_that_has_gone_is_told_as_that(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A viewer that left as its preview ended put a traceback into the worker's log: uvloop has an error of its own."""

    async def converse() -> None:
        outcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await send(writer, b"hello")
            try:
                # It goes with a reset, which is an error at whoever reads.
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                with pytest.raises(ConnectionResetError, match="closed"):
                    await send(writer, b"bye")
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(b"")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.readexactly(5) == b"hello"
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            async with asyncio.timeout(PATIENCE_S):
                await outcome

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(converse())
