"""What is shown while no input can be: a card with a title, a picture, a colour, a clip, or the last picture held.

Checked when it is created, so that it cannot fail later. What it looks like is made by ``prepare.slate``.

In a title or a text ``{clock ZONE}`` stands for what the clocks of a time zone show, by the minute, and ``{clock}`` for
UTC.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from streamferry.media.picture import MAX_PICTURE_BYTES, MIN_PICTURE_BYTES, inspect_picture
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, InvalidPart, InvalidValue

MAX_TITLE_CHARS, MAX_TEXT_CHARS = 100, 200
#: 4K: what is larger is scaled down for every screen there is.
MAX_SIDE = 4096
CLIP_SCHEMES = frozenset(("file", "http", "https"))
_COLOR = re.compile("#[0-9a-fA-F]{6}")
_CLOCK = re.compile(r"\{clock(?: ([\w+/-]{1,64}))?\}", re.ASCII)


class SlateKind(StrEnum):
    """What a slate shows."""

    #: A title and a line of text on the colour.
    CARD = "card"
    #: A picture, on the colour where it does not reach.
    PICTURE = "picture"
    #: Nothing but the colour.
    COLOR = "color"
    #: A clip, again and again, with its own sound.
    CLIP = "clip"
    #: The last keyframe that was on air; before there was one, the card.
    LAST_FRAME = "last_frame"


#: Those on which words are written.
_CARDS = (SlateKind.CARD, SlateKind.LAST_FRAME)


@dataclass(frozen=True, slots=True)
class Slate:
    """``color``: as #rrggbb. Raises InvalidPart naming the part."""

    kind: SlateKind = SlateKind.CARD
    title: str = ""
    text: str = ""
    color: str = "#101826"
    picture: bytes = field(default=b"", repr=False)
    clip: MediaUrl | None = None

    def __post_init__(self) -> None:
        for name, words, most in (("title", self.title, MAX_TITLE_CHARS), ("text", self.text, MAX_TEXT_CHARS)):
            if len(words) > most or not all(letter.isprintable() for letter in words):
                raise InvalidPart(f"slate.{name}", Code.FIELD_SLATE_WORDS, count=most)
        if not _COLOR.fullmatch(self.color):
            raise InvalidPart("slate.color", Code.FIELD_SLATE_COLOR)
        if (self.kind is SlateKind.CLIP) is not (self.clip is not None):
            raise InvalidPart("slate.clip", Code.FIELD_SLATE_CLIP)
        if self.clip is not None and self.clip.scheme not in CLIP_SCHEMES:
            raise InvalidPart("slate.clip", Code.FIELD_SLATE_CLIP)
        if (self.kind is SlateKind.PICTURE) is not bool(self.picture):
            raise InvalidPart("slate.picture", Code.FIELD_SLATE_PICTURE)
        if self.picture:
            self._check_picture()

    def _check_picture(self) -> None:
        if not MIN_PICTURE_BYTES <= len(self.picture) <= MAX_PICTURE_BYTES:
            raise InvalidPart("slate.picture", Code.PICTURE_SIZE)
        try:
            found = inspect_picture(self.picture)
        except InvalidValue as error:
            raise InvalidPart("slate.picture", error.why) from None
        if not (1 <= found.width <= MAX_SIDE and 1 <= found.height <= MAX_SIDE):
            raise InvalidPart("slate.picture", Code.PICTURE_PIXELS, side=MAX_SIDE)

    def of_task(self, title: str) -> Self:
        """The same; a card on which nothing is written has the title of its task."""
        if self.kind not in _CARDS or self.title or self.text:
            return self
        return replace(self, title="".join(filter(str.isprintable, title))[:MAX_TITLE_CHARS])

    @property
    def zones(self) -> list[tuple[str, str]]:
        """The parts that have a clock, and of which time zone each is."""
        words = (("slate.title", self.title), ("slate.text", self.text)) if self.kind in _CARDS else ()
        return [(name, found[1] or "UTC") for name, text in words for found in _CLOCK.finditer(text)]

    def with_clocks(self, show: Callable[[str], str]) -> Self:
        """The same, with what ``show`` gives for the time zone of each clock."""
        title, text = (_CLOCK.sub(lambda found: show(found[1] or "UTC"), words) for words in (self.title, self.text))
        return replace(self, title=title.strip(), text=text.strip())

    @property
    def key(self) -> str:
        """Equal for two slates that look the same; a clip is known by its address."""
        parts = (str(self.kind), self.title, self.text, self.color.lower(), hashlib.sha256(self.picture).hexdigest())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
