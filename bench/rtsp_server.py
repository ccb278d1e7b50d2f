"""An RTSP server for as many players as come: ffmpeg makes the RTP of a looped clip, this interleaves it for each.

    python bench/rtsp_server.py PORT CLIP

One thread. A player that falls further behind than ``MAX_HELD_BYTES`` is let go, and is missed at the sink.
"""

import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

TICK_S = 0.005
SEND_BUFFER_BYTES = 4 << 20
#: A minute and more of one player: a hundred ffmpeg processes take that long to start on one core.
MAX_HELD_BYTES = 24 << 20


def two_ports() -> tuple[socket.socket, socket.socket]:
    """Bound UDP sockets with ports that follow each other."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        first.bind(("127.0.0.1", 0))
        first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        with suppress(OSError, OverflowError):
            second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            return first, second
        first.close()
        second.close()


def answer(request: str, description: str) -> str:
    """The response to any request."""
    method = request.partition(" ")[0]
    sequence = re.search(r"(?i)cseq: *(\d+)", request)
    fields, body = f"CSeq: {sequence[1] if sequence else 0}\r\nSession: 1\r\n", ""
    if method == "DESCRIBE":
        fields, body = fields + "Content-Type: application/sdp\r\n", description
    elif method == "SETUP" and (transport := re.search(r"(?i)transport: *(.*)", request)):
        fields += f"Transport: {transport[1].strip()}\r\n"
    return f"RTSP/1.0 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}"


def described(sdp: str) -> str:
    """ffmpeg's description with an address for each track instead of a port."""
    lines = []
    for line in sdp.splitlines():
        if line.startswith("SDP:"):
            continue
        if line.startswith("m="):
            line = re.sub(r"^(m=\w+) \d+", r"\1 0", line) + f"\r\na=control:track{sum('m=' in one for one in lines)}"
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def main() -> None:
    """Serve until it is ended."""
    port, clip = int(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        sdp = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sdp"
        # Reports are not passed on: each of ffmpeg's two muxers counts from its own start.
        tracks = [two_ports()[0] for _ in range(2)]
        picture, sound = (f"rtp://127.0.0.1:{one.getsockname()[1]}" for one in tracks)
        words = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", clip]
        words += ["-sdp_file", str(sdp)]
        words += ["-map", "0:v", "-c", "copy", "-f", "rtp", picture, "-map", "0:a", "-c", "copy", "-f", "rtp", sound]
        maker = stack.enter_context(subprocess.Popen(words))
        stack.callback(maker.terminate)
        while not sdp.exists() or "audio" not in sdp.read_text():
            time.sleep(0.05)
        description = described(sdp.read_text())
        listener = socket.create_server(("127.0.0.1", port), backlog=256)
        players: dict[socket.socket, bool] = {}
        held: dict[socket.socket, bytearray] = {}
        while True:
            asking = [listener, *players]
            for ready in select.select(asking, [], [], TICK_S)[0]:
                if ready is listener:
                    player = listener.accept()[0]
                    player.setblocking(False)
                    player.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                    player.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    players[player] = False
                    continue
                try:
                    data = ready.recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    players.pop(ready)
                    held.pop(ready, None)
                    ready.close()
                elif data[:1] != b"$":
                    # Never in the midst of a packet.
                    held.setdefault(ready, bytearray()).extend(answer(data.decode(), description).encode())
                    players[ready] |= data.startswith(b"PLAY ")
            pieces = []
            for channel, track in ((0, tracks[0]), (2, tracks[1])):
                with suppress(BlockingIOError):
                    while True:
                        packet = track.recv(65536)
                        pieces.append(b"$" + bytes((channel,)) + len(packet).to_bytes(2) + packet)
            block = b"".join(pieces)
            for player in [one for one, plays in players.items() if one in held or (plays and block)]:
                waiting = held.pop(player, bytearray()) + (block if players[player] else b"")
                try:
                    del waiting[: player.send(waiting)]
                except BlockingIOError:
                    pass
                except OSError:
                    waiting = bytearray(MAX_HELD_BYTES + 1)
                if len(waiting) > MAX_HELD_BYTES:
                    players.pop(player)
                    player.close()
                elif waiting:
                    held[player] = waiting
            time.sleep(TICK_S)


if __name__ == "__main__":
    main()
