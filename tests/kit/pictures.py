"""Pictures for watermarks, and frames of videos as pixels."""

import subprocess
import zlib
from pathlib import Path

from kit import programs

_PADDING = b"tEXt" + b"Comment\0".ljust(70, b"x")
#: A frame as rows of (red, green, blue).
Frame = list[list[tuple[int, int, int]]]


def png(width: int = 40, height: int = 30, padding: int = 64) -> bytes:
    """A PNG without pixels, whole as far as anyone looks who does not decode; ``padding``: bytes of a text chunk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = chunk(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + bytes((8, 0, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"tEXt", bytes(padding)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def make_picture(path: Path, size: str, color: str) -> Path:
    """One colour, as ffmpeg writes it: ``red``, or ``red@0.5`` for half of it."""
    source = ("-f", "lavfi", "-i", f"color=c={color}:s={size},format=rgba", "-frames:v", "1", "-update", "1")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *source, path])
    if path.stat().st_size < 100:
        # A picture of one colour is smaller than any real one: a text chunk before the end makes it one.
        data = path.read_bytes()
        chunk = (len(_PADDING) - 4).to_bytes(4) + _PADDING + zlib.crc32(_PADDING).to_bytes(4)
        path.write_bytes(data[:-12] + chunk + data[-12:])
    return path


def frames(path: Path, count: int = 1) -> list[Frame]:
    """The first frames of a video, in the colours that its own matrix gives them."""
    decode = ("-v", "error", "-nostdin", "-i", path, "-frames:v", str(count))
    pixels = subprocess.run(
        [programs.ffmpeg(), *decode, "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"],
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    found = []
    while pixels:
        _, size, _, rest = pixels.split(b"\n", 3)
        width, height = map(int, size.split())
        raw, pixels = rest[: 3 * width * height], rest[3 * width * height :]
        at = iter(raw)
        flat = list(zip(at, at, at, strict=True))
        found.append([flat[y * width : (y + 1) * width] for y in range(height)])
    return found
