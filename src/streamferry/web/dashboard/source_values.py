"""Addresses of a source as they are in the form, with offsets: texts that a user types."""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskKind
from streamferry.web.views import Kind, SourceView

#: ``judge(name, check)``: has a field checked.
Judge = Callable[[str, Callable[[], object]], None]


@dataclass(slots=True)
class SourceValues:
    """One address with its offsets, as typed: seconds, ``m:ss`` or ``h:mm:ss``."""

    url: str = ""
    start: str = ""
    end: str = ""

    @classmethod
    def of(cls, shown: SourceView) -> "SourceValues":
        """One of a task."""
        return cls(typed_address(shown.url), _typed(shown.start_s), _typed(shown.end_s))

    @property
    def address(self) -> str:
        """The address as it is sent: a path on this machine as a ``file:`` address. See ``typed_address``."""
        text = self.url.strip()
        with contextlib.suppress(ValueError):
            return MediaUrl.parse(text).reveal() if text.startswith("/") else text
        return text

    def judge(self, judge: Judge, name: str, kind: Kind, known: Collection[str], rules: AddressRules) -> None:
        """Have its fields judged. ``known``: addresses as the task that is being changed shows them."""
        if not is_known(self.url, known):
            judge(f"{name}.url", lambda: checks.read_source("url", required(self.address), TaskKind[kind.name], rules))
        if kind is Kind.VOD:
            judge(f"{name}.start_s", lambda: read_seconds(self.start))
            judge(f"{name}.end_s", self._check_end)

    def _check_end(self) -> None:
        start_s, end_s = read_seconds(self.start), read_seconds(self.end)
        if 0 < end_s <= start_s:
            raise InvalidField("end_s", Code.FIELD_END_BEFORE_START)


def is_known(text: str, known: Collection[str]) -> bool:
    """Whether it is unchanged since it was shown: then it means the task's address."""
    return REDACTED in text and text.strip() in known


def read_seconds(text: str) -> float:
    """Seconds from ``90``, ``1:30`` or ``0:01:30.5``; nothing is 0. Raises InvalidField."""
    parts = text.strip().split(":")
    try:
        numbers = [float(part) if part else 0.0 for part in parts]
    except ValueError:
        numbers = [-1.0]
    if len(numbers) > 3 or any(not 0 <= number <= checks.MAX_INT32 for number in numbers):
        raise InvalidField("offset", Code.FIELD_TYPED_SECONDS)
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total


def typed_address(address: str) -> str:
    """An address as users write it: a file on this machine as a plain path."""
    url = urlsplit(address)
    is_plain = url.scheme == "file" and not (url.netloc or url.query or url.fragment)
    path = unquote(url.path)
    return path if is_plain and path.isprintable() and MediaUrl.parse(path).reveal() == address else address


def required(text: str, name: str = "field") -> str:
    """The text without spaces around it. Raises InvalidField for none."""
    if not text.strip():
        raise InvalidField(name, Code.FIELD_REQUIRED)
    return text.strip()


def _typed(seconds: float) -> str:
    return f"{seconds:g}" if seconds else ""
