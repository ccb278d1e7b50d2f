"""Makes the captures of this directory again, with ffmpeg and nginx-rtmp installed.

    PYTHONPATH=tests python tests/vectors/record.py

Each capture is what one real program sent on one connection, from its first byte on. Our own sessions stood at the
other end with the seed ``vector``, so that digests can be checked. README.md says which is which.
"""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from kit.flv import read_tags
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.chunk import append_message
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG
from streamferry.wire.rtmp.session import (
    ClientSession,
    ConnectRequested,
    PlayAccepted,
    PlayRequested,
    PublishAccepted,
    PublishRequested,
    Purpose,
    ServerSession,
)

HERE = Path(__file__).parent
CLIP = HERE / "clip.flv"
SEED = b"vector"

_CLIP_COMMAND = """ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=10 -f lavfi -i sine=r=44100 -t 1
    -c:v libx264 -preset ultrafast -g 5 -b:v 40k -c:a aac -b:a 16k -ac 1"""
_NGINX_CONFIGURATION = """load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; error_log {directory}/error.log; pid {directory}/pid; events {{}}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 128; application live {{ live on; }} }} }}
"""


def main() -> None:
    """Record everything."""
    subprocess.run([*_CLIP_COMMAND.split(), str(CLIP)], check=True)
    tags = read_tags(CLIP)
    source = ["-v", "error", "-re", "-i", str(CLIP), "-c", "copy", "-f", "flv"]
    record_ffmpeg("ffmpeg-publish.rtmp", source, [])
    record_ffmpeg("ffmpeg-publish-past-2-24.rtmp", [*source, "-output_ts_offset", "16776.7"], [])
    record_ffmpeg("ffmpeg-play.rtmp", ["-v", "error", "-f", "null", "-"], tags)
    record_nginx(tags)


def record_ffmpeg(name: str, arguments: list[str], tags: list[Tag]) -> None:
    """What ffmpeg sends to our server side, which asks it for chunks of 128 bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        url = f"rtmp://127.0.0.1:{listener.getsockname()[1]}/live/cam"
        place = ["-i", url, *arguments] if tags else [*arguments, url]
        child = subprocess.Popen(["ffmpeg", *place])
        connection = listener.accept()[0]
    captured = b""
    session = ServerSession(random=SEED, out_chunk_size=128)
    with connection, suppress(ConnectionResetError):
        connection.settimeout(10)
        while data := connection.recv(65536):
            captured += data
            for event in session.receive(data):
                if isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
                    session.accept()
                if isinstance(event, PlayRequested):
                    for tag in tags:
                        session.append_tag(*tag)
                    session.end_play()
            connection.sendall(session.data_to_send())
    child.wait(10)
    (HERE / name).write_bytes(captured)


def record_nginx(tags: list[Tag]) -> None:
    """What nginx-rtmp sends to our publisher and to our player, stamps crossing 2^24 ms on the way."""
    with nginx() as port, connected(port) as publisher, connected(port) as player:
        url = MediaUrl.parse(f"rtmp://127.0.0.1:{port}/live/cam")
        publishing = ClientSession(url, Purpose.PUBLISH, random=SEED)
        publisher_captured = set_up(publisher, publishing, PublishAccepted())
        playing = ClientSession(url, Purpose.PLAY, random=SEED)
        player_captured = set_up(player, playing, PlayAccepted())
        for tag_type, stamp_ms, body in tags:
            buffers: list[bytes | memoryview] = []
            message = (CHUNK_STREAM_OF_TAG[tag_type], tag_type, stamp_ms + (1 << 24) - 500)
            append_message(buffers, *message, publishing.message_stream_id, body, publishing.out_chunk_size)
            publisher.sendall(b"".join(buffers))
            sleep(0.02)
        publishing.unpublish()
        publisher.sendall(publishing.data_to_send())
        for connection in (publisher, player):
            connection.settimeout(1)
        publisher_captured += drain(publisher)
        player_captured += drain(player)
    (HERE / "nginx-to-publisher.rtmp").write_bytes(publisher_captured)
    (HERE / "nginx-to-player.rtmp").write_bytes(player_captured)


def set_up(connection: socket.socket, session: ClientSession, goal: object) -> bytes:
    """Drive a session until the server accepts it."""
    captured = b""
    while True:
        connection.sendall(session.data_to_send())
        captured += (data := connection.recv(65536))
        if session.receive(data) == [goal]:
            connection.sendall(session.data_to_send())
            return captured


def drain(connection: socket.socket) -> bytes:
    """All that comes until the connection is silent."""
    captured = b""
    with suppress(TimeoutError):
        while data := connection.recv(65536):
            captured += data
    return captured


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection to nginx, once it listens."""
    give_up_deadline = monotonic() + 10
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        except ConnectionRefusedError:
            if monotonic() > give_up_deadline:
                raise
            sleep(0.05)
    with connection:
        yield connection


@contextmanager
def nginx() -> Iterator[int]:
    """A running nginx-rtmp; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "nginx.conf"
        configuration.write_text(_NGINX_CONFIGURATION.format(directory=directory, port=port))
        child = subprocess.Popen(["nginx", "-p", directory, "-c", str(configuration)])
        try:
            yield port
        finally:
            child.terminate()
            child.wait(10)


if __name__ == "__main__":
    main()
