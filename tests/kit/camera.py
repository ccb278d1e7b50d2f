"""A camera of a test: an RTSP server that plays a clip over and over, and misbehaves as told; on the loop's clock."""

import asyncio
import base64
import hashlib
import re
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kit.rtp import RtpClip, RtpSender

_PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
_DAY_S = 1_790_000_000.0


@dataclass
class Camera:
    """``answer``: given the method and its count, decides otherwise: a status line, or one with fields, or None."""

    clip: RtpClip
    user: str = ""
    password: str = ""
    #: Challenges, each as the server writes it; ``{nonce}`` is put in.
    challenges: list[str] = field(default_factory=lambda: ['Digest realm="cam", nonce="{nonce}"'])
    ways: frozenset[str] = frozenset(("TCP", "UDP"))
    timeout_s: int = 60
    answer: Callable[[str, int], Any] | None = None
    description: str = ""
    #: Packets are left out of which this says so, by channel and count.
    loses: Callable[[int, int], bool] = lambda channel, count: False
    #: When it stops sending, says goodbye, or closes; in s since PLAY.
    silent_after_s: float = 1e9
    ends: Callable[["Player"], Any] | None = None
    ends_after_s: float = 1e9
    has_reports: bool = True
    #: By how much the sound is sent later than it was made.
    sound_late_s: float = 0.0
    sends_udp: bool = True
    udp_source: str = ""
    #: What is told instead of what is so: the base of the addresses, ports of the server, channels.
    base: str = ""
    server_port: str = ""
    channels_told: str = ""
    sequence: Callable[[str], str | None] = lambda number: number
    session_dies_after_s: float = 1e9
    nonces: int = 0
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    accepted: int = 0
    most_at_once: int = 0
    players: list["Player"] = field(default_factory=list)
    #: Reports that came back, by channel.
    reports: list[tuple[int, bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        player = Player(self, reader, writer)
        self.players.append(player)
        self.most_at_once = max(self.most_at_once, sum(one.is_open for one in self.players))
        try:
            await player.run()
        finally:
            player.close()
            self.players.remove(player)

    def count(self, method: str) -> int:
        return self.asked.count(method)


class Player:
    """One connection."""

    def __init__(self, camera: Camera, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.camera = camera
        self.reader, self.writer = reader, writer
        self.nonce = ""
        self.tracks: dict[int, Any] = {}
        self.sending: asyncio.Task[None] | None = None
        self.began_at = asyncio.get_running_loop().time()

    @property
    def is_open(self) -> bool:
        poll = select.poll()
        poll.register(self.writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return not poll.poll(0)

    async def run(self) -> None:
        while True:
            first = await self.reader.readexactly(1)
            if first == b"$":
                head = await self.reader.readexactly(3)
                data = await self.reader.readexactly(int.from_bytes(head[1:]))
                self.camera.reports.append((head[0], data))
                continue
            request = first + await self.reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"RTSP/"):
                continue
            self.take(request.decode())

    def take(self, request: str) -> None:
        camera = self.camera
        method, address, _ = request.split("\r\n", 1)[0].split(" ")
        camera.asked.append(method)
        camera.heads.append(request)
        told = camera.answer(method, camera.asked.count(method)) if camera.answer is not None else None
        if told == "nothing":
            return
        if told is not None:
            self.respond(request, told)
            return
        if camera.user and method != "OPTIONS" and not self.is_authorized(method, request):
            camera.nonces += 1
            self.nonce = f"nonce{camera.nonces}"
            fields = "".join(f"WWW-Authenticate: {one.format(nonce=self.nonce)}\r\n" for one in camera.challenges)
            self.respond(request, f"401 Unauthorized\r\n{fields}")
        elif method == "OPTIONS":
            self.respond(request, f"200 OK\r\nPublic: {_PUBLIC}\r\n")
        elif method == "DESCRIBE":
            body = camera.description or camera.clip.description()
            base = camera.base or f"{address}/"
            self.respond(request, f"200 OK\r\nContent-Type: application/sdp\r\nContent-Base: {base}\r\n", body)
        elif method == "SETUP":
            self.set_up(request, address)
        elif asyncio.get_running_loop().time() - self.began_at > camera.session_dies_after_s:
            self.respond(request, "454 Session Not Found\r\n")
        else:
            self.respond(request, "200 OK\r\n")
            if method == "PLAY":
                self.sending = asyncio.ensure_future(self.send())
            elif method == "TEARDOWN":
                self.writer.close()

    def is_authorized(self, method: str, request: str) -> bool:
        camera = self.camera
        found = re.search(r"Authorization: (.*)", request)
        if found is None:
            return False
        text = found[1].strip()
        if text.startswith("Basic "):
            return base64.b64decode(text[6:]).decode() == f"{camera.user}:{camera.password}"
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', text))
        make = hashlib.sha256 if "SHA-256" in told.get("algorithm", "") else hashlib.md5

        def digest(text: str) -> str:
            return make(text.encode()).hexdigest()

        secret = digest(f"{camera.user}:{told['realm']}:{camera.password}")
        if told.get("algorithm", "").endswith("sess"):
            secret = digest(f"{secret}:{told['nonce']}:{told['cnonce']}")
        more = f"{told['nc']}:{told['cnonce']}:auth:" if "qop" in told else ""
        wanted = digest(f"{secret}:{self.nonce}:{more}" + digest(f"{method}:{told['uri']}"))
        return (told["response"], told["nonce"]) == (wanted, self.nonce)

    def set_up(self, request: str, address: str) -> None:
        found = re.search(r"Transport: *(\S+)", request)
        assert found is not None
        way = "TCP" if "RTP/AVP/TCP" in found[1] else "UDP"
        if way not in self.camera.ways:
            self.respond(request, "461 Unsupported Transport\r\n")
            return
        number = 2 if address.endswith("trackID=1") else 0
        transport = found[1]
        if way == "TCP":
            channels = re.search(r"interleaved=(\d+)", transport)
            assert channels is not None
            self.tracks[number] = int(channels[1])
            if self.camera.channels_told:
                transport = transport.replace(channels[0], f"interleaved={self.camera.channels_told}").split("-")[0]
        else:
            port = re.search(r"client_port=(\d+)", transport)
            assert port is not None
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            self.tracks[number] = (sock, int(port[1]))
            transport += f";server_port={self.camera.server_port or sock.getsockname()[1]}"
            if self.camera.udp_source:
                transport += f";source={self.camera.udp_source}"
        timeout = self.camera.timeout_s
        self.respond(request, f"200 OK\r\nTransport: {transport}\r\nSession: cam1;timeout={timeout}\r\n")

    def respond(self, request: str, status_and_fields: str, body: str = "") -> None:
        asked = re.search(r"CSeq: *(\d+)", request)
        number = self.camera.sequence(asked[1]) if asked is not None else None
        fields = status_and_fields if status_and_fields.endswith("\r\n") else status_and_fields + "\r\n"
        told = f"CSeq: {number}\r\n" if number is not None else ""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.writer.write(f"RTSP/1.0 {fields}{told}{length}\r\n{body}".encode())

    def put(self, channel: int, data: bytes, is_report: bool = False) -> None:
        way = self.tracks.get(channel)
        if isinstance(way, int):
            self.writer.write(b"$" + bytes((way + is_report,)) + len(data).to_bytes(2) + data)
        elif way is not None and self.camera.sends_udp:
            sock, port = way
            sock.sendto(data, ("127.0.0.1", port + is_report))

    async def send(self) -> None:
        """The clip over and over, each packet at its time; a sender report each 5 s."""
        camera, loop = self.camera, asyncio.get_running_loop()
        began_at, turn, counts, next_report = loop.time(), 0, {0: 0, 2: 0}, 0.0
        packets = sorted(
            (one.at_s + (camera.sound_late_s if channel == 2 else 0.0), channel, one.data)
            for channel, one in camera.clip.packets()
        )
        while True:
            for at_s, channel, data in packets:
                now_s = at_s + turn * camera.clip.seconds
                if now_s > camera.ends_after_s and camera.ends is not None:
                    camera.ends(self)
                    return
                delay = began_at + now_s - loop.time()
                if delay > 0:
                    await asyncio.sleep(delay)
                if camera.has_reports and now_s >= next_report:
                    next_report = now_s + 5.0
                    for one, sender in ((0, camera.clip.video), (2, camera.clip.audio)):
                        self.put(one, sender.report(now_s, _DAY_S + now_s), is_report=True)
                counts[channel] += 1
                if now_s <= camera.silent_after_s and not camera.loses(channel, counts[channel]):
                    self.put(channel, self.moved(channel, data, turn))
            turn += 1

    def moved(self, channel: int, data: bytes, turn: int) -> bytes:
        """The packet of a later turn."""
        sender: RtpSender = self.camera.clip.video if channel == 0 else self.camera.clip.audio
        number = int.from_bytes(data[2:4]) + turn * len(sender.packets) & 0xFFFF
        stamp = int.from_bytes(data[4:8]) + round(turn * self.camera.clip.seconds * sender.rate_hz) & 0xFFFFFFFF
        return data[:2] + number.to_bytes(2) + stamp.to_bytes(4) + data[8:]

    def close(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
        for way in self.tracks.values():
            if isinstance(way, tuple):
                way[0].close()
        self.writer.close()
