"""A real nginx with the RTMP module on free loopback ports: destination, live source, and witness by its stat page.

Applications: ``live`` takes and gives any stream; ``rec`` does too and writes each publish to an FLV file, stamps as
they came less the first one; ``closed`` refuses every publisher. Over HTTP, files can be put under
``/hls/`` and read there.
"""

import contextlib
import urllib.request
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit import programs
from kit.server import Server
from kit.waiting import PATIENCE_S, wait_for

_MODULE_PLACES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")

_CONFIGURATION = """\
load_module {module};
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log notice;
events {{ worker_connections 256; }}
rtmp {{
    server {{
        listen 127.0.0.1:{rtmp_port};
        chunk_size 4096;
        application live {{ live on; wait_key on; wait_video on; }}
        application rec {{
            live on;
            record all;
            record_path {home}/recorded;
            record_unique on;
        }}
        application closed {{ live on; deny publish all; }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{http_port};
        location /stat {{ rtmp_stat all; }}
        location /hls/ {{ root {home}; dav_methods PUT DELETE; client_max_body_size 0; }}
        location /closed/ {{ return 403; }}
    }}
}}
"""


@dataclass(frozen=True)
class Published:
    """One stream that has a publisher now."""

    client: str  #: nginx's number of the publisher's connection: another number is another connection
    age_ms: int  #: how long the publisher has been there
    bytes_in: int


class NginxRtmp(Server):
    """See the module; ``url("key", app="rec")`` addresses another application."""

    name = "nginx"

    def __init__(self, home: Path) -> None:
        self._nginx = programs.need("nginx")
        self._module = _find_module()
        super().__init__(home)
        (home / "recorded").mkdir()
        (home / "hls").mkdir()

    def command(self) -> list[str | Path]:
        configuration = self.home / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                module=self._module, home=self.home, rtmp_port=self.rtmp_port, http_port=self.http_port
            )
        )
        return [self._nginx, "-p", self.home, "-e", self.home / "error.log", "-c", configuration]

    def hls_url(self, name: str = "live.m3u8", folder: str = "hls") -> str:
        """Where a playlist can be put and read; in the folder ``closed`` nothing can."""
        return f"http://127.0.0.1:{self.http_port}/{folder}/{name}"

    def published(self, key: str, app: str = "live") -> Published | None:
        """The publisher of a stream as the stat page shows it now, or None."""
        with contextlib.closing(urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/stat", timeout=5)) as page:
            root = ElementTree.fromstring(page.read())
        for application in root.iter("application"):
            if application.findtext("name") != app:
                continue
            for stream in application.iter("stream"):
                if stream.findtext("name") != key:
                    continue
                for client in stream.iter("client"):
                    if client.find("publishing") is not None:
                        return Published(
                            client=client.findtext("id") or "",
                            age_ms=int(client.findtext("time") or 0),
                            bytes_in=int(stream.findtext("bytes_in") or 0),
                        )
        return None

    def wait_published(self, key: str, app: str = "live", seconds: float = PATIENCE_S) -> Published:
        """Wait until the stream has a publisher that has sent something."""

        def look() -> Published | None:
            seen = self.published(key, app)
            return seen if seen and seen.bytes_in else None

        return wait_for(f"a publisher of {app}/{key}", look, seconds)

    def wait_unpublished(self, key: str, app: str = "live", seconds: float = PATIENCE_S) -> None:
        """Wait until the stream has no publisher."""
        wait_for(f"{app}/{key} to be unpublished", lambda: self.published(key, app) is None, seconds)

    def recordings(self, key: str) -> list[Path]:
        """The FLV files of ``rec/key``, one for each publish session, oldest first.

        nginx names them by the second in which they began: sessions must be a second apart to be told apart.
        """
        return sorted((self.home / "recorded").glob(f"{key}-*.flv"), key=lambda path: path.stat().st_ctime_ns)


def _find_module() -> str:
    for place in _MODULE_PLACES:
        module = Path(place, "ngx_rtmp_module.so")
        if module.exists():
            return str(module)
    pytest.skip("nginx has no RTMP module (Debian: libnginx-mod-rtmp); run scripts/tools.sh as root")
