"""A watermark is checked when it is made, whoever makes it."""

import base64
from pathlib import Path

import pytest

from kit.pictures import png
from streamferry.media.picture import MAX_PICTURE_BYTES
from streamferry.media.watermark import Watermark


def test_files_and_data_urls_give_the_same(tmp_path: Path) -> None:
    """And equal watermarks have equal keys."""
    path = tmp_path / "mark.png"
    path.write_bytes(png())
    text = "data:image/png;base64," + base64.b64encode(png()).decode()
    one, other = Watermark.from_file(path, 0.1, 0.2, 0.3), Watermark.from_data_url(text, 0.1, 0.2, 0.3)
    assert one == other == Watermark(png(), 0.1, 0.2, 0.3)
    assert one.key == other.key != Watermark(png(), 0.1, 0.2, 0.4).key


@pytest.mark.parametrize(
    ("picture", "pos_x", "pos_y", "ratio", "words"),
    [
        (png(), 1.0, 0, 0.1, "^watermark position X: "),
        (png(), 0, -0.1, 0.1, "^watermark position Y: "),
        (png(), float("nan"), 0, 0.1, "^watermark position X: "),
        (png(), 0, 0, 0, "^watermark ratio: "),
        (png(), 0, 0, 1.1, "^watermark ratio: "),
        (b"\xff\xd8\xff", 0, 0, 0.1, "^watermark picture: must have 100 bytes"),
        (png(padding=MAX_PICTURE_BYTES), 0, 0, 0.1, "^watermark picture: must have 100 bytes to 2 MB"),
        (png(1081), 0, 0, 0.1, "^watermark picture: must be at most 1080 x 1080"),
        (png(40, 0), 0, 0, 0.1, "^watermark picture: must be at most 1080 x 1080"),
        (b"GIF89a" + bytes(200), 0, 0, 0.1, "^watermark picture: the data is neither"),
        (png()[:-3], 0, 0, 0.1, "^watermark picture: .*cut short"),
    ],
)
def test_what_is_wrong_is_named(picture: bytes, pos_x: float, pos_y: float, ratio: float, words: str) -> None:
    """A sentence that begins with the field."""
    with pytest.raises(ValueError, match=words):
        Watermark(picture, pos_x, pos_y, ratio)


@pytest.mark.parametrize("text", ["", "data:image/gif;base64,AAAA", "data:image/png;base64,***", "https://host/a.png"])
def test_only_data_urls_of_pictures_are_taken(text: str) -> None:
    """An address is not fetched."""
    with pytest.raises(ValueError, match=r"^watermark picture: "):
        Watermark.from_data_url(text, 0, 0, 0.1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the system's own word for it."""
    with pytest.raises(ValueError, match=r"^watermark picture: .*none\.png cannot be read \(No such file"):
        Watermark.from_file(tmp_path / "none.png", 0, 0, 0.1)
