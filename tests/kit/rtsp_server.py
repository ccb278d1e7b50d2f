"""A small RTSP server for players over TCP (RFC 2326): ffmpeg makes the RTP of a looped clip, this interleaves it.

No packaged server offers RTP over TCP without a hundred packages of a media framework behind it.
"""

import re
import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from kit import programs
from kit.waiting import wait_for

_PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"


class RtspServer:
    """Serves one clip, at :meth:`url`, while its context is open; other addresses are 404."""

    def __init__(self, home: Path, clip: Path, sound: tuple[str, ...] = ()) -> None:
        """``sound``: what ffmpeg is told of how it sends that."""
        home.mkdir()
        self._sdp = home / "clip.sdp"
        # RTP and RTCP of picture and of sound, in the order of the interleaved channels.
        self._rtp = [*_two_ports(), *_two_ports()]
        pictures_to, sound_to = (f"rtp://127.0.0.1:{self._rtp[at].getsockname()[1]}" for at in (0, 2))
        self._sender = programs.Program(
            [
                *(programs.ffmpeg(), "-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", clip),
                *("-sdp_file", self._sdp, "-map", "0:v", "-c", "copy", "-f", "rtp", pictures_to),
                *("-map", "0:a", "-c", "copy", *sound, "-f", "rtp", sound_to),
            ],
            home / "rtp.log",
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="rtsp")

    def url(self, key: str = "cam") -> str:
        """Address to play; only ``cam`` is there."""
        return f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/{key}"

    def __enter__(self) -> Self:
        wait_for("the description", lambda: self._sdp.exists() and "audio" in self._sdp.read_text())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._sender.stop()
        for one in (self._listener, *self._rtp):
            one.close()

    def _serve(self) -> None:
        """One player at a time; packets that nobody plays are thrown away.

        So are sender reports: each of ffmpeg's two RTP muxers counts from its own start, half a second apart.
        """
        player: socket.socket | None = None
        is_playing = False
        while not self._closing.is_set():
            watched = [self._listener, *self._rtp, *([player] if player else [])]
            for ready in select.select(watched, [], [], 0.05)[0]:
                try:
                    if ready is self._listener:
                        if player is not None:
                            player.close()
                        player, is_playing = self._listener.accept()[0], False
                        player.settimeout(5)
                        break  # What else is ready may be the player that has just been closed.
                    if ready is player:
                        data = player.recv(4096)
                        if not data:
                            raise ConnectionError
                        if not data.startswith(b"$"):  # Receiver reports are of no interest.
                            is_playing |= self._answer(player, data.decode())
                    else:
                        packet, channel = ready.recv(65536), self._rtp.index(ready)
                        if is_playing and player is not None and channel % 2 == 0:
                            _send(player, channel, packet)
                except OSError:
                    if player is not None:
                        player.close()
                    player, is_playing = None, False
        if player is not None:
            player.close()

    def _answer(self, player: socket.socket, request: str) -> bool:
        """Answer; True when media may follow."""
        method, address, _ = request.split("\r\n", 1)[0].split(" ")
        fields, body, status = {"Session": "1", "Public": _PUBLIC}, "", "200 OK"
        if "/cam" not in address:
            status = "404 Not Found"
        elif method == "DESCRIBE":
            body = self._description()
            fields["Content-Type"] = "application/sdp"
        elif method == "SETUP":
            transport = re.search(r"Transport: *(.*)", request)
            assert transport is not None
            if "TCP" not in transport[1]:
                status = "461 Unsupported Transport"
            fields["Transport"] = transport[1].strip()
        sequence = re.search(r"CSeq: *(\d+)", request)
        assert sequence is not None
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        length = f"CSeq: {sequence[1]}\r\nContent-Length: {len(body)}\r\n\r\n"
        player.sendall(f"RTSP/1.0 {status}\r\n{head}{length}{body}".encode())
        return method == "PLAY" and status == "200 OK"

    def _description(self) -> str:
        """What ffmpeg wrote, with a control address for each track in place of the ports."""
        found = []
        track = 0
        for line in self._sdp.read_text().splitlines():
            if line.startswith("SDP:"):
                continue
            if line.startswith("m="):
                line = re.sub(r"^(m=\w+) \d+", r"\1 0", line) + f"\r\na=control:track{track}"
                track += 1
            found.append(line)
        return "\r\n".join(found) + "\r\n"


def _send(player: socket.socket, channel: int, packet: bytes) -> None:
    """Interleave one packet (RFC 2326, 10.12)."""
    player.sendall(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)


def _two_ports() -> list[socket.socket]:
    """Two bound UDP sockets with ports that follow each other, as RTP and RTCP want them."""
    for _ in range(50):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            other.bind(("127.0.0.1", one.getsockname()[1] + 1))
        except (OSError, OverflowError):
            one.close()
            other.close()
            continue
        return [one, other]
    raise AssertionError("no two free UDP ports beside each other")
