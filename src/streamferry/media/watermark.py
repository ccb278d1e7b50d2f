"""A picture over the video: which, where, how wide. Checked when it is created, so that it cannot fail later.

Limits and meanings are those of the cloud API's watermark. ffmpeg does the overlay.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from streamferry.media.picture import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE, MIN_PICTURE_BYTES, Picture, inspect_picture
from streamferry.reasons import Code, InvalidPart, InvalidValue, said_by

_PICTURE = "watermark picture"
_DATA_URL = re.compile(r"data:image/(?:png|jpg|jpeg);base64,", re.IGNORECASE)


def check_place(pos_x: float, pos_y: float, ratio: float) -> None:
    """Check position and width of a watermark. Raises ValueError naming the field."""
    for name, position in (("X", pos_x), ("Y", pos_y)):
        if not 0 <= position < 1:
            raise InvalidPart(f"watermark position {name}", Code.FIELD_MARK_POSITION)
    if not 0 < ratio <= 1:
        raise InvalidPart("watermark ratio", Code.FIELD_MARK_RATIO)


@dataclass(frozen=True, slots=True)
class Watermark:
    """``picture`` holds the bytes of a PNG or JPEG file of 100 bytes to 2 MiB and at most 1080 x 1080 pixels.

    ``pos_x`` and ``pos_y`` place its top left corner, as fractions of the video's width and height, in [0, 1);
    ``ratio`` is its width as a fraction of the video's, in (0, 1]. What extends over an edge is cut off. Raises
    ValueError naming the field.
    """

    picture: bytes = field(repr=False)
    pos_x: float = 0.0
    pos_y: float = 0.0
    ratio: float = 0.1

    def __post_init__(self) -> None:
        check_place(self.pos_x, self.pos_y, self.ratio)
        if not MIN_PICTURE_BYTES <= len(self.picture) <= MAX_PICTURE_BYTES:
            raise InvalidPart(_PICTURE, Code.PICTURE_SIZE)
        found = self.inspect()
        if not (1 <= found.width <= MAX_PICTURE_SIDE and 1 <= found.height <= MAX_PICTURE_SIDE):
            raise InvalidPart(_PICTURE, Code.PICTURE_PIXELS, side=MAX_PICTURE_SIDE)

    @classmethod
    def from_file(cls, path: Path, pos_x: float, pos_y: float, ratio: float) -> "Watermark":
        """From a picture file."""
        try:
            with path.open("rb") as file:
                picture = file.read(MAX_PICTURE_BYTES + 1)
        except OSError as error:
            raise InvalidPart(_PICTURE, Code.PICTURE_UNREADABLE, path=str(path), why=said_by(error)) from None
        return cls(picture, pos_x, pos_y, ratio)

    @classmethod
    def from_data_url(cls, text: str, pos_x: float, pos_y: float, ratio: float) -> "Watermark":
        """From ``data:image/<png|jpg|jpeg>;base64,<data>``. The type is the one the bytes show."""
        match = _DATA_URL.match(text)
        if match is None:
            raise InvalidPart(_PICTURE, Code.PICTURE_NOT_DATA_URL)
        try:
            picture = base64.b64decode(text[match.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidPart(_PICTURE, Code.PICTURE_BAD_BASE64) from None
        return cls(picture, pos_x, pos_y, ratio)

    def inspect(self) -> Picture:
        """Type and size of the picture."""
        try:
            return inspect_picture(self.picture)
        except InvalidValue as error:
            raise InvalidPart(_PICTURE, error.why) from None

    @property
    def media_type(self) -> str:
        """image/png or image/jpeg."""
        return self.inspect().media_type

    @property
    def key(self) -> str:
        """Equal for two watermarks that look the same: a key for caches."""
        return f"{hashlib.sha256(self.picture).hexdigest()} {self.pos_x!r} {self.pos_y!r} {self.ratio!r}"
