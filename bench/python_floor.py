"""The floor in Python: what ``native/floor.c`` does, by the same system calls at the same beat, in CPython alone.

    python bench/python_floor.py BEAT_MS SLOTS SINK_PORT [CLIP.flv COUNT]

It is started, says its port and ends as that does. A visit looks at no byte of media and has no code of the product,
which only publishes the lists and lays out their file, before the first visit. What it costs more than the floor in C
is CPython's, and no relay in it can cost less on such a beat.
"""

import gc
import json
import os
import select
import socket
import sys
import time
from bisect import bisect_right
from pathlib import Path
from struct import Struct

from streamferry.media.tag import AUDIO
from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.chunk_file import TRACKS, serialize_header, serialize_message
from streamferry.wire.rtmp.session import ClientSession, Purpose

_read_tag = Struct(">II3xH").unpack_from
_FLV_HEADER_BYTES, _TAG_HEADER_BYTES, _AROUND_BODY_BYTES = 13, 11, 15

buffer = memoryview(bytearray(1 << 20))


class Live:
    """A publisher that came, and its connection to the sink."""

    __slots__ = ("recv_into", "send", "source", "unsent")

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.unsent = source, b""
        self.recv_into, self.send = source.recv_into, sink.send

    def visit(self, now: float) -> None:
        """One receive, and one send of the same bytes."""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.send(self.unsent) :]
                if self.unsent:
                    return
            size = self.recv_into(buffer)
        except BlockingIOError:
            return
        try:
            sent = self.send(buffer[:size])
        except BlockingIOError:
            sent = 0
        if sent < size:
            self.unsent = bytes(buffer[sent:size])

    def hear(self, said: memoryview) -> None:
        """Pass on what the sink said."""
        self.source.send(said)


class File:
    """The clip as RTMP chunks, see ``lay_out_file`` of ``native/floor.c``; begins[i] is where its i-th message begins,
    and stamps_ms[i] when it is due."""

    def __init__(self, path: Path) -> None:
        clip, at = path.read_bytes(), _FLV_HEADER_BYTES
        self.headers = bytearray()
        found: list[tuple[int, int, bytes]] = []
        last_ms, step_ms = dict.fromkeys(TRACKS, 0), dict.fromkeys(TRACKS, 0)
        while at + _AROUND_BODY_BYTES <= len(clip):
            type_and_size, stamp_word, look = _read_tag(clip, at)
            tag_type, size = type_and_size >> 24, type_and_size & 0xFFFFFF
            ms = stamp_word >> 8 | (stamp_word & 0xFF) << 24
            body = clip[at + _TAG_HEADER_BYTES : at + _TAG_HEADER_BYTES + size]
            at += size + _AROUND_BODY_BYTES
            if tag_type not in TRACKS or look & 0xFF == 0:
                self.headers += serialize_header(tag_type, body)
            elif tag_type == AUDIO or look & 0xFF == 1:
                found.append((tag_type, ms, body))
                last_ms[tag_type], step_ms[tag_type] = ms, ms - last_ms[tag_type]
        self.loop_ms = max(last_ms[track] + step_ms[track] for track in TRACKS)
        # A loop is counted from the last message of the one before it.
        before_ms = {track: last_ms[track] - self.loop_ms for track in TRACKS}
        self.descriptor = os.memfd_create("list")
        self.stamps_ms, self.begins, end = list[int](), list[int](), 0
        with open(self.descriptor, "wb", closefd=False) as file:
            for tag_type, ms, body in found:
                self.stamps_ms.append(ms)
                self.begins.append(end)
                end += file.write(serialize_message(tag_type, ms - before_ms[tag_type], body))
                before_ms[tag_type] = ms
        self.begins.append(end)


class List:
    """Loops of the file."""

    __slots__ = ("at", "began_at", "file", "sink")

    def __init__(self, file: File, sink: int) -> None:
        self.file, self.sink, self.at, self.began_at = file, sink, 0, time.monotonic()

    def visit(self, now: float) -> None:
        """One ``sendfile``."""
        file = self.file
        while True:
            ms = int((now - self.began_at) * 1000)
            end = file.begins[bisect_right(file.stamps_ms, ms)]
            if self.at < end:
                try:
                    self.at += os.sendfile(self.sink, file.descriptor, self.at, end - self.at)
                except BlockingIOError:
                    return
            if self.at < end or ms < file.loop_ms:
                return
            self.at, self.began_at = 0, self.began_at + file.loop_ms / 1000

    def hear(self, said: memoryview) -> None:
        """The sink said something."""


def publish(number: int, port: int, file: File) -> socket.socket:
    """A session up to its headers."""
    url = MediaUrl.parse(f"rtmp://127.0.0.1:{port}/bench/{number}")
    session, sink = ClientSession(url, Purpose.PUBLISH, random=b"floor"), socket.create_connection(("127.0.0.1", port))
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted = False
    while not accepted:
        sink.sendall(session.data_to_send())
        accepted = bool(session.receive(sink.recv(65536)))
    sink.sendall(file.headers)
    return sink


def main() -> None:
    """Run until the input ends."""
    beat_ms, slots, port = map(int, sys.argv[1:4])
    epoll, by_descriptor = select.epoll(), dict[int, tuple[socket.socket, Live | List]]()
    streams: list[Live | List] = []

    def add(stream: Live | List, sink: socket.socket) -> None:
        sink.setblocking(False)
        by_descriptor[sink.fileno()] = sink, stream
        epoll.register(sink, select.EPOLLIN)
        streams.append(stream)

    listener = None
    if sys.argv[4:]:
        file = File(Path(sys.argv[4]))
        for number in range(int(sys.argv[5])):
            sink = publish(number, port, file)
            add(List(file, sink.fileno()), sink)
    else:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        epoll.register(listener, select.EPOLLIN)
    epoll.register(0, select.EPOLLIN | select.EPOLLHUP)
    print(json.dumps({"rtmp": listener.getsockname()[1] if listener else 0}), flush=True)
    gc.disable()
    turn_s, slot, due = beat_ms / slots / 1000, 0, time.monotonic()
    while True:
        for descriptor, _ in epoll.poll(max(0.0, due - time.monotonic())):
            if descriptor == 0:
                return
            if listener is not None and descriptor == listener.fileno():
                source = listener.accept()[0]
                source.setblocking(False)
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sink = socket.create_connection(("127.0.0.1", port))
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                add(Live(source, sink), sink)
                continue
            sink, stream = by_descriptor[descriptor]
            try:
                if size := sink.recv_into(buffer):
                    stream.hear(buffer[:size])
                    continue
            except OSError:
                pass
            epoll.unregister(sink)
            streams.remove(stream)
        now = time.monotonic()
        if now < due:
            continue
        due = max(due + turn_s, now)
        slot = (slot + 1) % slots
        for stream in streams[slot::slots]:
            stream.visit(now)


if __name__ == "__main__":
    main()
