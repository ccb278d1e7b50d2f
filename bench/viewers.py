"""Viewers of previews, as the service is one: they read as fast as it comes and throw it away.

Reads a job a line on standard input, answers each with a line of JSON, and leaves when its input ends.

    {"address": "host:port", "passes": {task id: pass, ...}}      {"started": viewers}
    {"report": true}      {"bytes": since the last report, "fresh": viewers that got any within the last second}
    {"stop": true}                                                {"stopped": viewers}
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

_LINE_MAX = 1 << 20


class Viewer(asyncio.Protocol):
    """One connection. ``bytes`` counts what came since it was set to 0."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.bytes = 0
        self.fresh_at = 0.0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.bytes += len(data)
        self.fresh_at = time.monotonic()


async def _obey(job: dict[str, Any], viewers: list[Viewer]) -> dict[str, Any]:
    if "passes" in job:
        host, port = job["address"].split(":")
        for task_id, given in job["passes"].items():
            head = f"GET /preview/{task_id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {given}\r\n\r\n".encode()
            viewer = Viewer(head)
            await asyncio.get_running_loop().create_connection(lambda viewer=viewer: viewer, host, int(port))
            viewers.append(viewer)
        return {"started": len(viewers)}
    if "report" in job:
        now = time.monotonic()
        answer = {"bytes": sum(one.bytes for one in viewers), "fresh": sum(now - one.fresh_at < 1 for one in viewers)}
        for viewer in viewers:
            viewer.bytes = 0
        return answer
    stopped = len(viewers)
    for viewer in viewers:
        if viewer.transport is not None:
            viewer.transport.close()
    viewers.clear()
    return {"stopped": stopped}


async def main() -> None:
    """Serve jobs until the input ends."""
    jobs = asyncio.StreamReader(_LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(jobs), sys.stdin)
    viewers: list[Viewer] = []
    print(json.dumps({"ready": True}), flush=True)
    while line := await jobs.readline():
        print(json.dumps(await _obey(json.loads(line), viewers)), flush=True)
    await _obey({"stop": True}, viewers)


if __name__ == "__main__":
    uvloop.run(main())
