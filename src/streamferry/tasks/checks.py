"""Every rule on a task's values, in one place for every front end: what passes here may be stored.

Pure, but for a look whether a file is there.

Not here: rules that need the store (a group that exists, a destination in use), which are the actions', and JSON types,
which are the front end's. The limits are those of the cloud API's own pages. A broken one raises InvalidField with the
field as the API names it; the reason never repeats an address.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Never

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceRejected
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.net.folders import NOWHERE, Folders
from streamferry.net.listening import NO_PORTS, ListenPorts, opens_port
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
from streamferry.tasks.model import ContinueStrategy, StoredMark, TaskItem, TaskKind

MAX_WINDOW = timedelta(days=7)
MAX_ADDRESS_CHARS = 1000
MAX_CALLBACK_CHARS = 2000
#: The API's integers are 32 bits wide, and so may the store's be.
MAX_INT32 = 2**31 - 1
#: Whole seconds that a datetime can hold: to the end of the year 9998, so that any time zone can show them.
_MAX_UNIX_SECONDS = 253_370_764_799
# Han characters: the basic block, extension A, compatibility ideographs, U+3007, and the supplementary planes 2 and 3.
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_NAME = re.compile(f"[A-Za-z0-9{_HAN}]{{1,20}}")
_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_STREAM_PART = re.compile(r"[A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-]+)*(?:\?[!-~]*)?")
_CALLBACK_SCHEMES = frozenset(("http", "https"))
_TASK_ID = re.compile(r"[0-9a-f]{32}")
# The API's names of what ``media.watermark`` names in its errors.
_WATERMARK_FIELDS = {
    "watermark picture": "Watermark.Picture",
    "watermark position X": "Watermark.RelativePosX",
    "watermark position Y": "Watermark.RelativePosY",
    "watermark ratio": "Watermark.Ratio",
}


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What a deployment allows. ``folders``: from which ``file:`` addresses may be read. ``refuse``: why the host of an
    address, of a source, a destination or a callback, can never be reached; empty for one that may be. ``ports``: which
    of a worker may be opened to wait for media.

    What passes here is judged again by whoever opens it: links may change meanwhile.
    """

    folders: Folders = NOWHERE
    refuse: Callable[[str], str] = lambda _: ""
    ports: ListenPorts = NO_PORTS


def check_task_id(text: str) -> str:
    """What does not look like an id is the id of no task: TaskNotFound."""
    if not _TASK_ID.fullmatch(text):
        raise TaskNotFound(text)
    return text


def check_title(text: str) -> str:
    """1 to 20 Chinese characters, letters and digits."""
    if not _NAME.fullmatch(text):
        _refuse("Title", "must be 1 to 20 Chinese characters, letters and digits")
    return text


def check_group_name(text: str, field: str = "GroupName") -> str:
    """The same characters and length as a title's."""
    if not _NAME.fullmatch(text):
        _refuse(field, "must be 1 to 20 Chinese characters, letters and digits")
    return text


def read_unix_time(field: str, seconds: int) -> datetime:
    """An aware UTC time from whole Unix seconds."""
    if not 0 < seconds <= _MAX_UNIX_SECONDS:
        _refuse(field, "must be a Unix time in seconds")
    return datetime.fromtimestamp(seconds, UTC)


def check_window(start_at: datetime, end_at: datetime, now: datetime) -> None:
    """At most 7 days long, the end after the start and after ``now``. A start in the past means at once."""
    if end_at <= start_at:
        _refuse("EndTime", "must be later than StartTime")
    if end_at - start_at > MAX_WINDOW:
        _refuse("EndTime", "must be at most 7 days after StartTime")
    if end_at <= now:
        _refuse("EndTime", "must be later than now")


def read_source(field: str, text: str, kind: TaskKind, rules: SourceRules) -> MediaUrl:
    """An address to pull from."""
    schemes = LIVE_SCHEMES if kind is TaskKind.LIVE else VOD_SCHEMES
    url = _read_address(field, text, schemes)
    with _refusing(field):
        check_source(url, is_live=kind is TaskKind.LIVE)
    if url.scheme == "file":
        _check_file(field, url, rules.folders)
    else:
        _check_reach(field, url, rules)
    return url


def _check_reach(field: str, url: MediaUrl, rules: SourceRules) -> None:
    """No port of ours that may not be opened, and no host that the egress policy forbids, as far as that is known.

    Names are judged when they are resolved.
    """
    reason = rules.ports.refuse(url) if opens_port(url) else rules.refuse(url.host)
    if reason:
        _refuse(field, reason)


def _check_file(field: str, url: MediaUrl, folders: Folders) -> None:
    """In one of the folders, and there; of a folder that only workers have, nobody here can say what is in it."""
    try:
        folders.check(url.path, "it")
    except SourceForbidden:
        if not folders.roots:
            _refuse(field, "no files may be read: no folder is set for them (setting files)")
        known = ", ".join(map(str, folders.roots))
        _refuse(field, f"is not in a folder from which files may be read: {known} (setting files)")
    except SourceMissing as error:
        if folders.are_here_for(url.path):
            _refuse(field, "there is no such file" if "exist" in str(error) else "is not a file")
    except SourceRejected as error:
        _refuse(field, str(error))


def read_destination(text: str, rules: SourceRules, field: str = "DstAddr") -> MediaUrl:
    """An address to push to."""
    url = _read_address(field, text, PUSH_SCHEMES)
    with _refusing(field):
        check_destination(url)
    _check_reach(field, url, rules)
    return url


def build_destination(domain: str, app: str, stream: str, rules: SourceRules) -> MediaUrl:
    """The address that Domain, App and Stream stand for when DstAddr is empty: all three are needed then."""
    for field, part in (("Domain", domain), ("App", app), ("Stream", stream)):
        if not part:
            _refuse(field, "is required when DstAddr is empty")
    if not _HOST_AND_PORT.fullmatch(domain):
        _refuse("Domain", "must be a host name, with a port if it is not 1935")
    for field, part in (("App", app), ("Stream", stream)):
        if not _STREAM_PART.fullmatch(part):
            _refuse(field, "must be made of letters, digits and _ . - /")
    url = read_destination(f"rtmp://{domain}/{app}/{stream}", SourceRules(), field="Stream")
    _check_reach("Domain", url, rules)
    return url


def check_callback_url(text: str, rules: SourceRules) -> str:
    """An http or https address."""
    if len(text) > MAX_CALLBACK_CHARS:
        _refuse("CallbackURL", f"must be at most {MAX_CALLBACK_CHARS} characters")
    _check_reach("CallbackURL", _parse("CallbackURL", text, _CALLBACK_SCHEMES), rules)
    return text


def check_address_length(field: str, text: str) -> None:
    """At most 1,000 characters."""
    if len(text) > MAX_ADDRESS_CHARS:
        _refuse(field, f"must be at most {MAX_ADDRESS_CHARS} characters")


def check_item_count(field: str, count: int) -> None:
    """1 to 30 addresses."""
    if not 1 <= count <= MAX_ITEMS:
        _refuse(field, f"must hold 1 to {MAX_ITEMS} addresses")


def check_item(url: MediaUrl, start_s: float, end_s: float, *, start_field: str, end_field: str) -> TaskItem:
    """One address with its offsets in seconds from the file's start; an end of 0 is the file's."""
    for field, seconds in ((start_field, start_s), (end_field, end_s)):
        if not math.isfinite(seconds) or not 0 <= seconds <= MAX_INT32:
            _refuse(field, "must be a number of seconds, 0 or more")
    if 0 < end_s <= start_s:
        _refuse(end_field, "must be greater than the start offset, or 0 for the file's end")
    return TaskItem(url, start_s, end_s)


def decide_loops(cycle_mode: int, play_times: int | None) -> int:
    """Loops of the list, -1 endless: CycleMode -1 is endless, above 0 the count, and 0 leaves it to PlayTimes."""
    if not ENDLESS <= cycle_mode <= MAX_INT32:
        _refuse("CycleMode", "must be -1 (endless), 0 (as PlayTimes says) or the number of loops")
    if play_times is not None and not 0 <= play_times <= MAX_INT32:
        _refuse("PlayTimes", "must be a number of loops, 1 or more")
    if cycle_mode != 0:
        return cycle_mode
    if not play_times:
        _refuse("PlayTimes", "must be 1 or more when CycleMode is 0")
    return play_times


def read_continue_strategy(number: int) -> ContinueStrategy:
    """0 or 1."""
    try:
        return ContinueStrategy(number)
    except ValueError:
        _refuse("ContinueStrategy", "must be 0 (from the break) or 1 (from the break plus the time that passed)")


def read_kind(number: int) -> TaskKind:
    """0 or 1."""
    try:
        return TaskKind(number)
    except ValueError:
        _refuse("Type", "must be 0 (live) or 1 (VOD)")


def read_switch(field: str, number: int) -> bool:
    """0 or 1."""
    if number not in (0, 1):
        _refuse(field, "must be 0 or 1")
    return number == 1


def read_watermark(picture: str, relative_pos_x: float, relative_pos_y: float, ratio: float) -> Watermark:
    """A watermark from its data URL. The type is the one the bytes show, whatever the URL says."""
    try:
        return Watermark.from_data_url(picture, relative_pos_x, relative_pos_y, ratio)
    except ValueError as error:
        name, _, reason = str(error).partition(": ")
        _refuse(_WATERMARK_FIELDS[name], reason)


def place_watermark(mark: StoredMark, relative_pos_x: float, relative_pos_y: float, ratio: float) -> StoredMark:
    """The same picture in another place."""
    try:
        return replace(mark, pos_x=relative_pos_x, pos_y=relative_pos_y, ratio=ratio)
    except ValueError as error:
        name, _, reason = str(error).partition(": ")
        _refuse(_WATERMARK_FIELDS[name], reason)


def _read_address(field: str, text: str, schemes: frozenset[str]) -> MediaUrl:
    check_address_length(field, text)
    return _parse(field, text, schemes)


def _parse(field: str, text: str, schemes: frozenset[str]) -> MediaUrl:
    # Stars are no part of an address that anybody means; of a file's name they may be.
    if REDACTED in text and not text.startswith("file:"):
        _refuse(field, f"is an address as lists show it, with {REDACTED} for its secrets: give the whole address")
    # Nobody sees what does not print, and half of a character (a lone surrogate) is no text.
    if not text.isprintable():
        _refuse(field, "the address holds white space or control characters")
    scheme = text.partition(":")[0].lower()
    if scheme not in schemes:
        _refuse(field, "must start with " + _spoken(schemes))
    with _refusing(field):
        url = MediaUrl.parse(text)
    if not url.host.isascii():
        _refuse(field, "the host must be written in ASCII (xn--...)")
    if "\0" in url.path:
        _refuse(field, "the address holds white space or control characters")
    return url


def _spoken(schemes: frozenset[str]) -> str:
    words = [f"{scheme}:" if scheme == "file" else f"{scheme}://" for scheme in sorted(schemes)]
    return " or ".join((", ".join(words[:-1]), words[-1]))


@contextmanager
def _refusing(field: str) -> Iterator[None]:
    """Name the field of a ValueError."""
    try:
        yield
    except ValueError as error:
        _refuse(field, str(error))


def _refuse(field: str, reason: str) -> Never:
    raise InvalidField(field, reason)
