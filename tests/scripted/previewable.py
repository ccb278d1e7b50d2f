"""A film that a preview can be made of: real headers, frames that tell their number, read back from the fragments."""

from scripted.camera import Camera, laid
from streamferry.media.tag import AUDIO, VIDEO, LaidTag

#: 322 x 182 pixels, as ffmpeg's libx264 writes it, and AAC of 44,100 Hz.
AVC_HEADER = bytes.fromhex(
    "17000000000164000dffe1001a6764000dacd941519e226c0440000003004000000c83c50a658001000768eae3cb3002c0fdf8f800"
)
AAC_HEADER = bytes.fromhex("af00120856e500")
HEADERS: list[LaidTag] = laid([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)])


def film(camera: Camera, seconds: float) -> list[LaidTag]:
    """The next of it, without headers."""
    return laid(camera.film(seconds))


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """(name, content) of the boxes of one level; AssertionError if the last is not whole."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    assert at == len(data)
    return found


def pictures(data: bytes, frame_bytes: int = 400) -> list[int]:
    """Numbers of the camera's pictures in the fragments of a stream, which has whole segments only."""
    found: list[int] = []
    count = 0
    for name, content in boxes(data):
        if name == b"moof":
            trafs = [dict(boxes(body)) for part, body in boxes(content) if part == b"traf"]
            runs = [traf[b"trun"] for traf in trafs if int.from_bytes(traf[b"tfhd"][4:8], "big") == 1]
            count = sum(int.from_bytes(run[4:8], "big") for run in runs)
        elif name == b"mdat":
            starts = range(0, count * (frame_bytes - 5), frame_bytes - 5)
            found += [int.from_bytes(content[at : at + 4], "big") for at in starts]
    return found
