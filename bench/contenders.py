"""The programs compared: streamferry, its peers, and the floor, each told to relay N streams of one source to one sink.

Each function starts its relays on the relays' core and returns them; it does not wait for media.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from clip import live_clip, vod_clip
from measure import pss_mib
from programs import BENCH, Program, Sink, Source, build_native, close_all, cores, start_server, unused_port
from streamferry.relay import beat
from tls import CERTIFICATE

#: How long each of our beats is, by latency class and for lists, and how long one turn of it.
BEAT_MS = {"low": 80, "normal": 160, "list": round(1000 * beat.RING_S / beat.FILE_VISITS)}
TURN_MS = round(1000 * beat._SLOT_S)


@dataclass(frozen=True)
class Feed:
    """How media comes: ``http`` or ``rtmp`` pulled from the source, ``publish`` pushed by it, or a ``list`` of a file.

    ``latency``: the class of a live relay of ours, and of the floor's beat.
    """

    kind: str
    rhythm: str = "bursts"
    latency: str = "normal"


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


def check_checkout(checkout: Path) -> None:
    """Raise RuntimeError unless a host of that checkout would run its code."""
    words = [sys.executable, "-c", "import streamferry; print(streamferry.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    found = subprocess.run(words, env=environment, capture_output=True, text=True).stdout.strip()
    if not found.startswith(f"{checkout}/src/"):
        raise RuntimeError(f"{checkout} is not a checkout whose code can be run: {found or 'no streamferry in it'}")


def start_host(stack: ExitStack, checkout: Path = BENCH.parent) -> Program:
    """Our relay host, empty: of this checkout, or of another one, which then brings its own ``host.py``."""
    environment = {"PYTHONPATH": str(checkout / "src"), "SSL_CERT_FILE": str(CERTIFICATE)}
    words = [sys.executable, checkout / "bench/host.py"]
    host = stack.enter_context(Program(words, cores()[0], talks=True, environment=environment))
    host.hear(timeout=30)
    return host


def streamferry(
    feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack, checkout: Path = BENCH.parent
) -> Relays:
    """Ours: one process."""
    host = start_host(stack, checkout)
    empty_mib = pss_mib([host.pid])
    destinations = [sink.url(i) for i in range(count)]
    if feed.kind == "list":
        job = {"kind": "vod", "sources": [str(vod_clip())], "destinations": destinations}
    else:
        sources = [source.url(feed.kind, feed.rhythm, i) for i in range(count)]
        job = {"kind": "live", "sources": sources, "destinations": destinations, "latency": feed.latency}
    host.ask(json.dumps(job))
    return Relays([host], empty_mib)


def ffmpeg(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """``ffmpeg -c copy``, a process for each stream."""
    programs: list[Program] = []
    stack.callback(close_all, programs)
    for i in range(count):
        if feed.kind == "list":
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
  server sink 127.0.0.1:{sink}{tls}
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
    port = unused_port()
    tls = " ssl verify none" if sink.tls_port else ""
    text = config.format(folder="{folder}", port=port, sink=sink.tls_port or sink.port, tls=tls)
    server = start_server(stack, argv, text, port, cores()[0])
    empty_mib = pss_mib([server.pid])
    source.publish(feed.rhythm, port, count)
    return Relays([server], empty_mib)


def floor(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """``native/floor.c``, which makes the system calls of a relay at its beat and nothing else."""
    return _floor([build_native("floor")], feed, count, source, sink, stack)


def python_floor(feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack) -> Relays:
    """The same in Python: ``python_floor.py``."""
    return _floor([sys.executable, BENCH / "python_floor.py"], feed, count, source, sink, stack)


def _floor(
    program_words: Sequence[str | Path], feed: Feed, count: int, source: Source, sink: Sink, stack: ExitStack
) -> Relays:
    beat_ms = BEAT_MS["list" if feed.kind == "list" else feed.latency]
    turns = min(beat_ms // TURN_MS, -(-count // beat._SLOT_FULL))
    words = [*program_words, str(beat_ms), str(turns), str(sink.port)]
    if feed.kind == "list":
        words += [live_clip(), str(count)]
    program = stack.enter_context(Program(words, cores()[0], talks=True))
    port = program.hear(timeout=30)["rtmp"]
    empty_mib = pss_mib([program.pid])
    if port:
        source.publish(feed.rhythm, port, count)
    return Relays([program], empty_mib)
