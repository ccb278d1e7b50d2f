"""Pictures for watermarks, and frames of videos as pixels."""

import math
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

from kit import programs

_PADDING = b"tEXt" + b"Comment\0".ljust(70, b"x")
#: Chroma is half as fine as luma, and an encoder blurs an edge.
EDGE = 3
#: A frame as rows of (red, green, blue).
Frame = list[list[tuple[int, int, int]]]


def png(width: int = 40, height: int = 30, padding: int = 64) -> bytes:
    """A PNG without pixels, whole as far as anyone looks who does not decode; ``padding``: bytes of a text chunk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = chunk(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + bytes((8, 0, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"tEXt", bytes(padding)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def make_still(path: Path, size: str) -> Path:
    """Three seconds of one test picture, with B-frames and a tone, so that any frame can be compared with any other."""
    picture = f"testsrc2=s={size}:r=25,trim=end_frame=1,loop=-1:1"
    inputs = [word for graph in (picture, "sine") for word in ("-f", "lavfi", "-t", "3", "-i", graph)]
    video = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *inputs, *video, "-c:a", "aac", path])
    return path


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


def frames(path: Path | str, count: int = 1, *, start_s: float = 0, crop: str = "") -> list[Frame]:
    """The first frames of a video file or address, in the colours that its own matrix gives them.

    ``start_s``: from the keyframe at or before it; ``crop``: ``width:height:left:top``, only that part of each.
    """
    found = []
    for width, height, raw in _decoded(path, count, start_s, crop):
        at = iter(raw)
        flat = list(zip(at, at, at, strict=True))
        found.append([flat[y * width : (y + 1) * width] for y in range(height)])
    return found


def sizes(path: Path) -> set[tuple[int, int]]:
    """Width and height of all frames of a video file."""
    return {(width, height) for width, height, _ in _decoded(path, 1 << 20)}


def _decoded(path: Path | str, count: int, start_s: float = 0, crop: str = "") -> Iterator[tuple[int, int, bytes]]:
    """Width, height and RGB of each."""
    cropped = ("-vf", f"crop={crop}") if crop else ()
    start = ("-ss", str(start_s)) if start_s else ()
    # Each frame once: on a grid of a guessed rate some would come twice.
    decode = (
        "-v",
        "error",
        "-nostdin",
        *start,
        "-i",
        path,
        "-fps_mode",
        "passthrough",
        "-frames:v",
        str(count),
        *cropped,
    )
    pixels = subprocess.run(
        [programs.ffmpeg(), *decode, "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"],
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    at = 0
    while at < len(pixels):
        head = re.compile(rb"P6\n(\d+) (\d+)\n255\n").match(pixels, at)
        assert head is not None
        width, height = int(head[1]), int(head[2])
        at = head.end() + 3 * width * height
        yield width, height, pixels[head.end() : at]


def box_of(frame: Frame) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is red in a grey frame, right and bottom behind it."""
    columns, rows = set(), set()
    for y, row in enumerate(frame):
        for x, (red, green, _) in enumerate(row):
            if abs(red - green) > 60:
                columns.add(x)
                rows.add(y)
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def inside(frame: Frame, box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """Mean colour well within a box."""
    left, top, right, bottom = box
    pixels = [pixel for row in frame[top + EDGE : bottom - EDGE] for pixel in row[left + EDGE : right - EDGE]]
    red, green, blue = (sum(pixel[i] for pixel in pixels) / len(pixels) for i in range(3))
    return red, green, blue


def psnr_outside(one: Frame, other: Frame, box: tuple[int, int, int, int]) -> float:
    """Between two frames, but for a box and its edge, in dB."""
    left, top, right, bottom = box
    errors = [
        (a - b) ** 2
        for y, (row, its) in enumerate(zip(one, other, strict=True))
        for x, (pixel, its_pixel) in enumerate(zip(row, its, strict=True))
        if not (top - 9 <= y < bottom + 9 and left - 9 <= x < right + 9)
        for a, b in zip(pixel, its_pixel, strict=True)
    ]
    return 10 * math.log10(255**2 * len(errors) / max(1, sum(errors)))
