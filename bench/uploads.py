"""What uploads to a library in a bucket cost the service: CPU and memory, against moto's server in another process.

Run it as: .venv/bin/python bench/uploads.py COUNT MEBIBYTES   (decision 0115)
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from kit.s3 import KEYS, S3Server
from streamferry.control.library import Library
from streamferry.control.library_bucket import LibraryBucket
from streamferry.net.s3 import Buckets

#: What arrives of a connection at a time.
_PIECE = bytes(65536)


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _serve(told: Any) -> None:
    with S3Server() as server:
        server.make_bucket("library")
        told.send(server.endpoint)
        told.recv()


async def _upload(endpoint: str, count: int, mebibytes: int) -> None:
    buckets = Buckets.of({"endpoint": endpoint, **KEYS}, {"HOME": "/nowhere"}, ())
    library = Library(LibraryBucket("library", "", buckets), max_bytes=1 << 40)
    await library.receive("first", _pieces(1))
    before, peak, cpu = _resident_mb(), 0.0, time.process_time()

    async def watched() -> AsyncIterator[bytes]:
        nonlocal peak
        async for piece in _pieces(mebibytes):
            yield piece
            peak = max(peak, _resident_mb())

    await asyncio.gather(*(library.receive(f"{one}.mp4", watched(), mebibytes << 20) for one in range(count)))
    print(
        f"{count} uploads of {mebibytes} MiB: {peak - before:.0f} MB more memory at most, "
        f"{(time.process_time() - cpu) / count / mebibytes * 1024:.1f} s of CPU a GiB"
    )


async def _pieces(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range((mebibytes << 20) // len(_PIECE)):
        yield _PIECE[:1] + _PIECE[1:]  # Another one each time, as from a socket.


def main() -> None:
    """See the module."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    asyncio.run(_upload(ours.recv(), int(sys.argv[1]), int(sys.argv[2])))
    ours.send(None)
    server.join()


if __name__ == "__main__":
    main()
