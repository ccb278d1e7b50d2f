"""Sending through asyncio's stream writers, where a peer may have gone.

What is written to a connection that is closed is lost in silence by asyncio's own transports; uvloop's raise
RuntimeError, which nobody takes for a peer that has gone.
"""

import asyncio


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write it, and wait until there is room for more. Raises ConnectionResetError if the connection is closed."""
    if writer.is_closing():
        raise ConnectionResetError("the peer has closed the connection")
    writer.write(data)
    await writer.drain()
