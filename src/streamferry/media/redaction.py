"""Which parts of an address may be shown: scheme and host, and of the path only what cannot be secret. Pure.

A path may contain secrets just as a query may: the token of a webhook, name and password of an IPTV line, the stream
key of an HLS push. They cannot be told from folders, so folders are never shown, and the last part only if it is a
plain name of a media file. Names of playlists and streams that anybody can watch are often the very key that is pushed
to: only common ones are shown.

A hidden part carries a *mark*, three hex digits of a keyed digest of the whole address: ``rtmp://host/live/***·a3f``.
It tells two hidden keys apart and reveals nothing of either. Without a key, as in a child process, there are no marks.
"""

import hashlib
import hmac
import re
from urllib.parse import unquote

REDACTED = "***"
_NAME = re.compile(r"(?P<stem>.+)\.(?P<ending>[A-Za-z0-9]{2,5})")
#: Extensions of files, whose names are titles.
_FILES = frozenset(
    ("mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "mpg", "mpeg", "mxf", "3gp", "m4a", "wav", "ogg", "flac")
)
#: Extensions that a live stream may also have; its name may be its key.
_STREAMS = frozenset(["m3u8", "m3u", "mpd", "flv", "ts", "m2ts", "mts", "aac", "mp3"])
_USUAL = re.compile(
    r"(?:index|master|main|playlist|live|stream|streams|video|audio|chunklist|manifest|prog_index|media|out|output|test)?"
    r"[-_]?[0-9]{0,6}p?",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^0-9A-Za-z]+")
_RUNS = re.compile(r"[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MAX_STEM = 60
# A token mixes letters, digits and case; a name changes rarely within a word, like s01e02 or MyHolidayFilm.
_MAX_RUNS = 4
_MAX_WORD = 20
_MIN_HEX = 12

#: Makes the marks, once the key is known.
_key: bytes | None = None


def use_marks(key: str) -> None:
    """Mark hidden parts from here on, in this process. Processes with the same key make the same marks."""
    global _key  # One for the process, so that it shows every address in the same way.
    _key = key.encode()


def mark_of(address: str) -> str:
    """What follows ``***`` in a whole address; empty as long as no key is known."""
    return "" if _key is None else "·" + hmac.new(_key, address.encode(), hashlib.sha256).hexdigest()[:3]


def redact_path(path: str) -> tuple[str, list[str]]:
    """The path as it may be shown, and its hidden parts."""
    folders, slash, name = path.rpartition("/")
    hidden = [part for part in folders.split("/") if part]
    shown = name
    if name and not _is_harmless(name):
        found = _NAME.fullmatch(name)
        is_media = found is not None and found["ending"].lower() in _FILES | _STREAMS
        hidden.append(found["stem"] if found and is_media else name)
        shown = f"{REDACTED}.{found['ending']}" if found and is_media else REDACTED
    # A single *** for all hidden parts: neither their number nor their length is revealed.
    if shown == REDACTED or not folders.strip("/"):
        return (f"/{shown}" if slash or name else ""), hidden
    if shown.startswith(REDACTED) or not shown:
        return f"/{REDACTED}{shown.removeprefix(REDACTED)}", hidden
    return f"/{REDACTED}/{shown}", hidden


def _is_harmless(name: str) -> bool:
    found = _NAME.fullmatch(unquote(name))
    if found is None:
        return False
    stem, ending = found["stem"], found["ending"].lower()
    if ending in _STREAMS:
        return _USUAL.fullmatch(stem) is not None
    return ending in _FILES and _is_plain(stem)


def _is_plain(stem: str) -> bool:
    """Whether a name looks like one that a person chose, not one that a program generated."""
    if len(stem) > _MAX_STEM:
        return False
    if any(ord(character) > 127 for character in stem):
        stem = "".join(character if ord(character) < 128 else " " for character in stem)
    joined = _WORDS.sub("", stem)
    if len(joined) >= _MIN_HEX and re.fullmatch(r"(?=.*[a-fA-F])[0-9a-fA-F]+", joined):
        return False
    for word in _WORDS.split(stem):
        runs = _RUNS.findall(word)
        is_number = word.isdecimal()
        if len(word) > (14 if is_number else _MAX_WORD) or len(runs) > _MAX_RUNS:
            return False
        if any(len(run) > 7 and not run.isdecimal() and not re.search(r"[aeiouyAEIOUY]", run) for run in runs):
            return False
    return True
