"""Pictures are told by their bytes: type, size, and whether they are whole."""

from pathlib import Path

import pytest

from kit import programs
from streamferry.media.picture import Picture, inspect_picture


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A PNG and a JPEG of 200 x 90 pixels as ffmpeg writes them."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    made = {}
    for name in ("png", "jpg"):
        file = folder / f"mark.{name}"
        source = ("-f", "lavfi", "-i", "testsrc2=size=200x90", "-frames:v", "1", "-update", "1", "-pix_fmt")
        pixels = "rgba" if name == "png" else "yuvj420p"
        programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", *source, pixels, file])
        made[name] = file.read_bytes()
    return made


def test_png_and_jpeg_tell_their_size(pictures: dict[str, bytes]) -> None:
    """Width and height come out in this order for both types."""
    assert inspect_picture(pictures["png"]) == Picture("image/png", 200, 90)
    assert inspect_picture(pictures["jpg"]) == Picture("image/jpeg", 200, 90)


@pytest.mark.parametrize("name", ["png", "jpg"])
def test_a_picture_cut_anywhere_is_refused(pictures: dict[str, bytes], name: str) -> None:
    """No beginning of a picture passes for the whole, and none of them breaks the parser."""
    whole = pictures[name]
    for length in {*range(200), *range(200, len(whole) - 2, 97), len(whole) - 3}:
        with pytest.raises(ValueError):
            inspect_picture(whole[:length])


def test_a_damaged_png_is_refused(pictures: dict[str, bytes]) -> None:
    """A bit turned over inside a chunk is seen by its checksum."""
    data = bytearray(pictures["png"])
    data[len(data) // 2] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        inspect_picture(bytes(data))


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(200), b"\x89PNG\r\n\x1a\n" + bytes(200), b"\xff\xd8\xff" * 60])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    """Other formats and bare magic numbers are refused with a sentence."""
    with pytest.raises(ValueError, match="picture"):
        inspect_picture(data)
