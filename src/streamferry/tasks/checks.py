"""Every rule on a task's values, in one place for every front end: what passes here may be stored.

Pure: checks that need this machine are behind ``AddressRules``, which the caller provides.

Not here: rules that need the store (a group that exists, a destination in use), which are the actions', and JSON types,
which are the front end's. The limits are those of the cloud API's own pages. A broken one raises InvalidField with the
field as ``tasks.draft`` names it; the reason never repeats an address.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Never

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.reasons import Code, InvalidPart, InvalidValue, Reason, ReasonCode, Value
from streamferry.relay.spec import (
    ENDLESS,
    LIVE_SCHEMES,
    MAX_ITEMS,
    PUSH_SCHEMES,
    VOD_SCHEMES,
    check_destination,
    check_source,
)
from streamferry.tasks.errors import InvalidField, TaskNotFound
from streamferry.tasks.model import StoredMark, TaskItem, TaskKind
from streamferry.tasks.placement import HIGHEST_PRIORITY, LOWEST_PRIORITY, read_labels
from streamferry.tasks.texts import FreeText
from streamferry.tasks.times import NEVER

MAX_WINDOW = timedelta(days=7)
MAX_ADDRESS_CHARS = 1000
MAX_CALLBACK_CHARS = 2000
#: The API's integers are 32 bits wide, and so may the store's be.
MAX_INT32 = 2**31 - 1
#: Times of the years 1970 to 9998: any time zone can show them.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = NEVER
# Han characters: the basic block, extension A, compatibility ideographs, U+3007, and the supplementary planes 2 and 3.
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_NAME = re.compile(f"[A-Za-z0-9{_HAN}]{{1,20}}")
_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_STREAM_PART = re.compile(r"[A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-]+)*(?:\?[!-~]*)?")
_CALLBACK_SCHEMES = frozenset(("http", "https"))
_TASK_ID = re.compile(r"[0-9a-f]{32}")
# What ``media.watermark`` names in its errors.
_WATERMARK_FIELDS = {
    "watermark picture": "watermark.picture",
    "watermark position X": "watermark.x",
    "watermark position Y": "watermark.y",
    "watermark ratio": "watermark.ratio",
}


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What a deployment allows: why an address can never be used, as a predicate after its name, or an empty text.

    ``refuse_file``: of a ``file:`` address. ``refuse_peer``: of any other, of a source, a destination or a callback.
    """

    refuse_file: Callable[[MediaUrl], Reason | None]
    refuse_peer: Callable[[MediaUrl], Reason | None]


def check_task_id(text: str) -> str:
    """Anything that is not an id cannot be the id of a task: TaskNotFound."""
    if not _TASK_ID.fullmatch(text):
        raise TaskNotFound(text)
    return text


def check_placement(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels of the worker that a task needs, as ``name=value``."""
    with _refusing("placement"):
        return read_labels(labels)


def check_priority(priority: int) -> int:
    """-100 to 100; more is taken first."""
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        _refuse("priority", Code.FIELD_PRIORITY, lowest=LOWEST_PRIORITY, highest=HIGHEST_PRIORITY)
    return priority


def check_title(text: str) -> str:
    """1 to 20 Chinese characters, letters and digits."""
    if not _NAME.fullmatch(text):
        _refuse("title", Code.FIELD_NAME)
    return text


def check_text(field: str, text: str, rule: FreeText) -> str:
    """Within its rule, and with nothing that cannot be seen but the joiners of some scripts, tabs and ends of lines."""
    if len(text) > rule.max_chars:
        _refuse(field, Code.FIELD_TOO_LONG, count=rule.max_chars)
    unseen = "\u200c\u200d" if rule.is_one_line else "\n\r\t\u200c\u200d"
    if not all(one.isprintable() or one in unseen for one in text):
        _refuse(field, Code.FIELD_CONTROL_CHARACTERS)
    return text


def check_group_name(text: str, field: str = "group") -> str:
    """The same characters and length as a title's."""
    if not _NAME.fullmatch(text):
        _refuse(field, Code.FIELD_NAME)
    return text


def check_time(field: str, at: datetime) -> datetime:
    """The same time in UTC, to the second."""
    if not _EARLIEST < at <= _LATEST:
        _refuse(field, Code.FIELD_YEAR)
    return at.astimezone(UTC).replace(microsecond=0)


def check_window(start_at: datetime, end_at: datetime, now: datetime, *, is_endless: bool = False) -> None:
    """At most 7 days long, or endless; the end after the start and after ``now``. A start in the past means at once."""
    if end_at <= start_at:
        _refuse("end_at", Code.FIELD_NOT_AFTER, field="start_at")
    if end_at - start_at > MAX_WINDOW and not is_endless:
        _refuse("end_at", Code.FIELD_WINDOW_TOO_LONG, field="start_at")
    if end_at <= now:
        _refuse("end_at", Code.FIELD_IN_THE_PAST)


def read_source(field: str, text: str, kind: TaskKind, rules: AddressRules) -> MediaUrl:
    """An address to pull from."""
    schemes = LIVE_SCHEMES if kind is TaskKind.LIVE else VOD_SCHEMES
    url = _read_address(field, text, schemes)
    with _refusing(field):
        check_source(url, is_live=kind is TaskKind.LIVE)
    reason = rules.refuse_file(url) if url.scheme == "file" else rules.refuse_peer(url)
    if reason:
        _refuse(field, reason)
    return url


def _check_peer(field: str, url: MediaUrl, rules: AddressRules) -> MediaUrl:
    if reason := rules.refuse_peer(url):
        _refuse(field, reason)
    return url


def read_destination(text: str, rules: AddressRules) -> MediaUrl:
    """An address to push to."""
    return _check_peer("destination", _read_destination("destination", text), rules)


def read_server_and_key(server: str, key: str, rules: AddressRules) -> MediaUrl:
    """A server and a stream key as platforms show them; the key may be empty."""
    for field, text, hidden in (
        ("destination.server", server, Code.FIELD_REDACTED_ADDRESS),
        ("destination.key", key, Code.FIELD_HIDDEN_KEY),
    ):
        check_address_length(field, text)
        if REDACTED in text:
            _refuse(field, hidden, stars=REDACTED)
        if not text.isprintable():
            _refuse(field, Code.ADDRESS_UNPRINTABLE)
    with _refusing("destination.server"):
        url = MediaUrl.of_server(server, key)
    if not url.host.isascii():
        _refuse("destination.server", Code.FIELD_HOST_NOT_ASCII)
    if url.app_and_key == ("", ""):
        _refuse("destination.key", Code.FIELD_REQUIRED)
    return _check_peer("destination.server", url, rules)


def build_destination(host: str, app: str, stream: str, rules: AddressRules) -> MediaUrl:
    """The address that its three parts stand for: all of them are needed. ``host``: with a port if it is not 1935."""
    parts = {"host": host, "app": app, "stream": stream}
    for name, part in parts.items():
        if not part:
            _refuse(f"destination.{name}", Code.FIELD_REQUIRED_WITHOUT, field="destination")
    if not _HOST_AND_PORT.fullmatch(host):
        _refuse("destination.host", Code.FIELD_HOST_NAME)
    for name in ("app", "stream"):
        if not _STREAM_PART.fullmatch(parts[name]):
            _refuse(f"destination.{name}", Code.FIELD_STREAM_PART)
    url = _read_destination("destination.stream", f"rtmp://{host}/{app}/{stream}")
    return _check_peer("destination.host", url, rules)


def _read_destination(field: str, text: str) -> MediaUrl:
    url = _read_address(field, text, PUSH_SCHEMES)
    with _refusing(field):
        check_destination(url)
    return url


def check_callback_url(text: str, rules: AddressRules) -> str:
    """An http or https address."""
    if len(text) > MAX_CALLBACK_CHARS:
        _refuse("callback_url", Code.FIELD_TOO_LONG, count=MAX_CALLBACK_CHARS)
    _check_peer("callback_url", _parse("callback_url", text, _CALLBACK_SCHEMES), rules)
    return text


def check_address_length(field: str, text: str) -> None:
    """At most 1,000 characters."""
    if len(text) > MAX_ADDRESS_CHARS:
        _refuse(field, Code.FIELD_TOO_LONG, count=MAX_ADDRESS_CHARS)


def check_item_count(field: str, count: int) -> None:
    """1 to 30 addresses."""
    if not 1 <= count <= MAX_ITEMS:
        _refuse(field, Code.FIELD_ITEM_COUNT, count=MAX_ITEMS)


def check_item(url: MediaUrl, start_s: float, end_s: float, *, start_field: str, end_field: str) -> TaskItem:
    """One address with its offsets in seconds from the file's start; an end of 0 is the file's."""
    for field, seconds in ((start_field, start_s), (end_field, end_s)):
        if not math.isfinite(seconds) or not 0 <= seconds <= MAX_INT32:
            _refuse(field, Code.FIELD_SECONDS)
    if 0 < end_s <= start_s:
        _refuse(end_field, Code.FIELD_END_BEFORE_START)
    return TaskItem(url, start_s, end_s)


def decide_loops(loops: int, play_times: int | None) -> int:
    """Loops of the list, -1 endless: ``loops`` says how many, and 0 leaves it to ``play_times``."""
    if not ENDLESS <= loops <= MAX_INT32:
        _refuse("loops", Code.FIELD_LOOPS_OR_PLAY_TIMES, field="play_times")
    if play_times is not None and not 0 <= play_times <= MAX_INT32:
        _refuse("play_times", Code.FIELD_LOOP_COUNT)
    if loops != 0:
        return loops
    if not play_times:
        _refuse("play_times", Code.FIELD_PLAY_TIMES_NEEDED, field="loops")
    return play_times


def read_watermark(picture: str, relative_pos_x: float, relative_pos_y: float, ratio: float) -> Watermark:
    """A watermark from its data URL. The type is the one the bytes show, whatever the URL says."""
    try:
        return Watermark.from_data_url(picture, relative_pos_x, relative_pos_y, ratio)
    except InvalidPart as error:
        _refuse(_WATERMARK_FIELDS[error.name], error.why)


def place_watermark(
    mark: Watermark | StoredMark, relative_pos_x: float, relative_pos_y: float, ratio: float
) -> Watermark | StoredMark:
    """The same picture at another position."""
    try:
        return replace(mark, pos_x=relative_pos_x, pos_y=relative_pos_y, ratio=ratio)
    except InvalidPart as error:
        _refuse(_WATERMARK_FIELDS[error.name], error.why)


def _read_address(field: str, text: str, schemes: frozenset[str]) -> MediaUrl:
    check_address_length(field, text)
    return _parse(field, text, schemes)


def _parse(field: str, text: str, schemes: frozenset[str]) -> MediaUrl:
    # Nobody means an address with asterisks; a file's name may have them.
    if REDACTED in text and not text.startswith("file:"):
        _refuse(field, Code.FIELD_REDACTED_ADDRESS, stars=REDACTED)
    # Nobody sees what does not print, and half of a character (a lone surrogate) is no text.
    if not text.isprintable():
        _refuse(field, Code.ADDRESS_UNPRINTABLE)
    scheme = text.partition(":")[0].lower()
    if scheme not in schemes:
        _refuse(field, Code.FIELD_SCHEME, schemes=_spoken(schemes))
    with _refusing(field):
        url = MediaUrl.parse(text)
    if not url.host.isascii():
        _refuse(field, Code.FIELD_HOST_NOT_ASCII)
    if "\0" in url.path:
        _refuse(field, Code.ADDRESS_UNPRINTABLE)
    return url


def _spoken(schemes: frozenset[str]) -> tuple[str, ...]:
    return tuple(f"{scheme}:" if scheme == "file" else f"{scheme}://" for scheme in sorted(schemes))


@contextmanager
def _refusing(field: str) -> Iterator[None]:
    """Name the field of an InvalidValue."""
    try:
        yield
    except InvalidValue as error:
        _refuse(field, error.why)


def _refuse(field: str, what: ReasonCode | Reason, /, **params: Value) -> Never:
    raise InvalidField(field, what, **params)
