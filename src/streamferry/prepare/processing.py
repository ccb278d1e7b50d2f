"""What a preparation does to a file beyond copying; part of the cache's key, because each result is a separate file.

The users' choices are here too: ``Normalize`` is what they choose for a list, ``Processing`` what follows from it for
one item. Which of it a file needs is decided when it is known what is inside: see ``plan``.
"""

import base64
import json
import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from streamferry.media.watermark import Watermark
from streamferry.prepare.form import Form, VideoForm

_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_MIN_SIDE, _MAX_SIDE = 16, 8192


@dataclass(frozen=True, slots=True)
class Normalize:
    """How unlike items of a list become one stream. Write it ``first``, ``copy`` or ``WxH``.

    ``first``: they get the form of the first item. ``WxH``: the same, and the picture has that size. ``copy``: each is
    passed on as it is, with new headers.
    """

    copies: bool = False
    size: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> "Normalize":
        """Raises ValueError."""
        if text in ("first", "copy"):
            return cls(copies=text == "copy")
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError("normalize: must be first, copy, or a size such as 1280x720")
        width, height = int(match[1]), int(match[2])
        if not all(_MIN_SIDE <= side <= _MAX_SIDE and side % 2 == 0 for side in (width, height)):
            raise ValueError(f"normalize: both sides must be even and from {_MIN_SIDE} to {_MAX_SIDE} pixels")
        return cls(size=(width, height))

    def __str__(self) -> str:
        if self.size is not None:
            return f"{self.size[0]}x{self.size[1]}"
        return "copy" if self.copies else "first"


@dataclass(frozen=True, slots=True)
class Encoder:
    """libx264's and libx265's preset and constant rate factor. ``is_live``: no frame waits for those after it.

    The defaults: veryfast keeps ahead of 1080p60 on one core of 2020; 20 is about where a trained eye sees no loss.
    """

    preset: str = "veryfast"
    crf: int = 20
    is_live: bool = False


#: For live streams; its limit of bits is the same, and what it gives up is about a tenth of them.
LIVE_ENCODER = Encoder(is_live=True)


@dataclass(frozen=True, slots=True)
class Processing:
    """The default copies whatever FLV can carry.

    ``strict``: encode also what FLV carries but destinations commonly refuse. ``form``: what the result has to match.
    ``only_h264``: encode what is not H.264 or AAC. ``size``: what size it has to have where ``form`` does not say.
    ``silence``: a file without sound gets silent AAC.
    """

    strict: bool = False
    form: Form | None = None
    size: tuple[int, int] | None = None
    silence: bool = False
    watermark: Watermark | None = None
    encoder: Encoder = field(default_factory=Encoder)
    only_h264: bool = False

    @classmethod
    def of_list(
        cls,
        normalize: Normalize,
        *,
        form: Form | None,
        silence: bool,
        watermark: Watermark | None,
        encoder: Encoder | None = None,
        only_h264: bool = False,
    ) -> "Processing":
        """For an item of a list whose form is ``form``, None for the item that decides it."""
        if form is not None and only_h264:
            form = form.in_h264()
        return cls(
            strict=not normalize.copies,
            form=None if normalize.copies else form,
            size=normalize.size,
            silence=silence,
            watermark=watermark,
            encoder=encoder or Encoder(),
            only_h264=only_h264,
        )

    @property
    def key(self) -> str:
        """The part of the cache key that tells processings apart."""
        data = self.to_json()
        if self.watermark is not None:
            data["watermark"] = self.watermark.key
        return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    @property
    def forced_video(self) -> VideoForm | None:
        """The picture the result must have, whatever the file holds; None if the file decides."""
        if self.form is not None:
            return self.form.video
        return VideoForm("h264", *self.size) if self.size is not None else None

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        mark = self.watermark
        return {
            "strict": self.strict,
            "form": self.form.to_json() if self.form else None,
            "size": self.size,
            "silence": self.silence,
            "watermark": [base64.b64encode(mark.picture).decode(), mark.pos_x, mark.pos_y, mark.ratio]
            if mark
            else None,
            "encoder": asdict(self.encoder),
            # Left out where it says nothing: what is in the cache keeps its key.
            **({"only_h264": True} if self.only_h264 else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Processing":
        """The processing again."""
        mark = data["watermark"]
        return cls(
            strict=data["strict"],
            form=Form.from_json(data["form"]) if data["form"] else None,
            size=tuple(data["size"]) if data["size"] else None,
            silence=data["silence"],
            watermark=Watermark(base64.b64decode(mark[0]), *mark[1:]) if mark else None,
            encoder=Encoder(**data["encoder"]),
            only_h264=data.get("only_h264", False),
        )


#: What lists do unless told otherwise, and inputs.
FIRST, AS_THEY_ARE = Normalize(), Normalize(copies=True)
#: Nothing beyond the copy.
COPY = Processing()
