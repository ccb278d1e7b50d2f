"""A real node-media-server on free loopback ports: a second destination, and the HTTP-FLV source.

It stays silent to its players when the publisher leaves and goes on when one comes back with stamps from 0 again.
"""

import json
from pathlib import Path

import pytest

from kit import programs
from kit.server import Server
from kit.waiting import PATIENCE_S, wait_for

_HERE = Path(__file__).parent / "node"


class NodeMediaServer(Server):
    """See the module."""

    name = "node-media-server"

    def __init__(self, home: Path, *, records: bool = False) -> None:
        self._node = programs.need("node")
        if not (_HERE / "node_modules" / "node-media-server").is_dir():
            pytest.skip("node-media-server is not installed; run scripts/tools.sh")
        super().__init__(home)
        self._recorded = [home / "recorded"] if records else []

    def command(self) -> list[str | Path]:
        return [self._node, _HERE / "server.js", str(self.rtmp_port), str(self.http_port), *self._recorded]

    def flv_url(self, key: str, app: str = "live") -> str:
        """HTTP-FLV address of a stream."""
        return f"http://127.0.0.1:{self.http_port}/{app}/{key}.flv"

    def recordings(self, key: str, app: str = "live") -> list[Path]:
        """The FLV files of a stream, one for each publish session, oldest first, if it ``records``."""
        return sorted((self.home / "recorded" / app / key).glob("*.flv"))

    def events(self, key: str, event: str, app: str = "live") -> list[str]:
        """Session ids of all ``postPublish``, ``donePublish``, ``postPlay`` or ``donePlay`` events of a stream."""
        found = []
        for line in self.output.splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if entry["event"] == event and entry["path"] == f"/{app}/{key}":
                    found.append(str(entry["session"]))
        return found

    def wait_published(self, key: str, app: str = "live", seconds: float = PATIENCE_S) -> None:
        """Wait until someone has begun to publish the stream."""
        wait_for(f"a publisher of {app}/{key}", lambda: self.events(key, "postPublish", app), seconds)
