"""The programs compared: streamferry and its peers, each told to relay N streams of one source to one sink.

Each function starts its relays on the relays' core and returns them; it does not wait for media.
"""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from clip import vod_clip
from measure import pss_mib
from programs import BENCH, Program, Sink, Source, close_all, cores, unused_port


@dataclass(frozen=True)
class Feed:
    """How media comes: ``http`` or ``rtmp`` pulled from the source, ``publish`` pushed by it, or a ``vod`` file."""

    kind: str
    rhythm: str = "bursts"


@dataclass
class Relays:
    """Relay processes at work. ``empty_mib``: what they weigh before the first stream, 0 with a process for each."""

    programs: list[Program]
    empty_mib: float = 0.0

    @property
    def pids(self) -> list[int]:
        """Process ids of those still running: one that ended is missed at the sink."""
        return [program.pid for program in self.programs if program.is_running]


Start = Callable[[Feed, int, Source, Sink, ExitStack], Relays]


def start_host(stack: ExitStack) -> Program:
    """Our relay host, empty."""
    host = stack.enter_context(Program([sys.executable, BENCH / "host.py"], cores()[0], talks=True))
    host.hear(timeout=30)
    return host


def streamferry(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """Ours: one process."""
    host = start_host(stack)
    empty_mib = pss_mib([host.pid])
    destinations = [sink.url(i) for i in range(count)]
    if feed.kind == "vod":
        job = {"kind": "vod", "sources": [str(vod_clip())], "destinations": destinations}
    else:
        sources = [source.url(feed.kind, feed.rhythm, i) for i in range(count)]
        job = {"kind": "live", "sources": sources, "destinations": destinations}
    host.ask(json.dumps(job))
    return Relays([host], empty_mib)


def ffmpeg(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """``ffmpeg -c copy``, a process for each stream."""
    programs: list[Program] = []
    stack.callback(close_all, programs)
    for i in range(count):
        if feed.kind == "vod":
            reading = ["-re", "-stream_loop", "-1", "-i", str(vod_clip())]
        else:
            reading = ["-i", source.url(feed.kind, feed.rhythm, i)]
        argv = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, "-c", "copy", "-f", "flv", sink.url(i)]
        programs.append(Program(argv, cores()[0]))
    return Relays(programs)


_NGINX = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; access_log off;
  application bench {{ live on; push rtmp://127.0.0.1:{sink}/bench; }} }} }}
"""

_HAPROXY = """
global
  maxconn 8192
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen bench
  bind 127.0.0.1:{port}
  server sink 127.0.0.1:{sink}
"""


def nginx_rtmp(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """nginx with libnginx-mod-rtmp in one process: receives what is published and pushes it on."""
    return _server(["nginx", "-p", "/usr/share/nginx", "-c"], _NGINX, feed, count, source, sink, stack)


def haproxy(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """HAProxy in TCP mode, one thread: passes the bytes of a publisher to the sink and reads none of them."""
    return _server(["haproxy", "-db", "-f"], _HAPROXY, feed, count, source, sink, stack)


def _server(
    argv: list[str], config: str, feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack
) -> Relays:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
    port, path = unused_port(), folder / "config"
    path.write_text(config.format(folder=folder, port=port, sink=sink.port))
    server = stack.enter_context(Program([*argv, path], cores()[0], log=folder / "log"))
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline or not server.is_running:
                raise RuntimeError(f"{argv[0]} did not start: {(folder / 'log').read_text().strip()}") from None
            time.sleep(0.05)
    empty_mib = pss_mib([server.pid])
    source.publish(feed.rhythm, port, count)
    return Relays([server], empty_mib)
