"""The cache on disk: a directory per key, what is in it, who may write, use and remove it.

    <root>/<address digest>-<key digest>/
        media.rtmp        the prepared file       }  whole only when
        index.bin         its index               }  summary.json is there:
        summary.json      what is true of it      }  it is written last
        media.rtmp.part   the same while it grows, with the steps of its index in steps.part, and the journal of what
                          its writer has reported
        source.part       the download, and source.json what it is a download of
        watermark         its picture, while it is being laid
        address           where it came from, as it may be shown
        prepare.lock      held by the one process that prepares
        use.lock          held shared by all who read, exclusively by who removes

    <root>/unkept/        the same for files that nobody wants kept: what is not in use there goes

Locks are ``flock``: the kernel drops them with the process, so that a kill -9 leaves nothing to clean up.
Each directory is 0700, because what is cached may be private, and its name holds only digests of the address.
"""

import fcntl
import hashlib
import json
import mmap
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamferry.net.disk import Disk
from streamferry.prepare.form import Form
from streamferry.wire.rtmp.chunk_file import Index

#: Part of each key: another number where files prepared by an older release are not good enough any more.
_FORMAT = "4"

#: Folder in the root of files prepared without being kept.
UNKEPT = "unkept"

_ADDRESS_DIGEST_CHARS = 24
_KEY_DIGEST_CHARS = 40
# What has another name is not ours: the root may be a directory that holds other things too.
_ENTRY_NAME = re.compile(rf"[0-9a-f]{{{_ADDRESS_DIGEST_CHARS}}}-[0-9a-f]{{{_KEY_DIGEST_CHARS}}}")


def default_root() -> Path:
    """``$STREAMFERRY_CACHE_DIR``, else ``$XDG_CACHE_HOME/streamferry``, else ``~/.cache/streamferry``."""
    if own := os.environ.get("STREAMFERRY_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamferry"


@dataclass(frozen=True, slots=True)
class Summary:
    """What is true of a whole prepared file. ``ended_early``: the source broke off before its own end.

    ``duration_ms`` is that of the frames, ``claimed_ms`` the file's own word for it, 0 if it has none. ``ends``: stamp
    and length of the last frame of each track, by tag type. ``changes_headers``: in its midst.
    """

    end_offset: int
    duration_ms: int
    claimed_ms: int
    ended_early: bool
    dropped_tags: int
    ends: dict[int, tuple[int, int]]
    changes_headers: bool
    form: Form

    def to_json(self) -> dict[str, Any]:
        """As an object of the journal and of the cache."""
        return {name: getattr(self, name) for name in self.__slots__} | {"form": self.form.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Summary":
        """The summary again. Raises TypeError, KeyError or ValueError for what is none."""
        ends = {int(tag_type): (int(last_ms), int(frame_ms)) for tag_type, (last_ms, frame_ms) in data["ends"].items()}
        return cls(**(data | {"form": Form.from_json(data["form"]), "ends": ends}))


class Entry:
    """One key's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.media = path / "media.rtmp"
        self.media_part = path / "media.rtmp.part"
        self.index = path / "index.bin"
        self.steps_part = path / "steps.part"
        self.summary = path / "summary.json"
        self.journal = path / "journal"
        self.source = path / "source.part"
        self.source_state = path / "source.json"
        self.watermark = path / "watermark"
        self.address = path / "address"

    def lock_for_use(self) -> int:
        """Make the directory if need be and hold it against removal; the file descriptor releases it when closed."""
        while True:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                lock = os.open(self.path / "use.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(lock, fcntl.LOCK_SH)
                # Between open and lock the directory may have been removed: then the lock is on a file without a name.
                if os.fstat(lock).st_nlink:
                    os.utime(lock)
                    return lock
                os.close(lock)

    def lock_for_preparing(self) -> int | None:
        """Become the one who prepares, or None while another process does. Released when the descriptor is closed."""
        lock = os.open(self.path / "prepare.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def read_summary(self) -> Summary | None:
        """The summary of a whole file, None if the file is not there or not whole."""
        try:
            summary = Summary.from_json(json.loads(self.summary.read_bytes()))
            is_whole = self.media.stat().st_size == summary.end_offset and self.index.exists()
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return summary if is_whole else None

    def read_index(self) -> Index:
        """The index of a whole file, which stays on the disk: it is mapped. Raises OSError, ValueError."""
        with self.index.open("rb") as file:
            return Index.parse(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))

    def note_address(self, redacted: str) -> None:
        """Note the address for display. It is not part of the file: if there is no room for it, it is left out."""
        with suppress(OSError):
            self.address.write_text(redacted, encoding="utf-8")

    def read_address(self) -> str:
        """Where it came from, as it may be shown; empty if nobody has noted it."""
        try:
            return self.address.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def begin(self) -> None:
        """Remove what an attempt that died has left, except the download, which is resumed."""
        for path in (self.summary, self.media, self.media_part, self.index, self.steps_part, self.journal):
            path.unlink(missing_ok=True)

    def commit(self, summary: Summary, index: Index) -> None:
        """Turn the part files, written and synced, into the prepared file; the summary makes it whole."""
        os.replace(self.media_part, self.media)
        _write_synced(self.index, index.serialize())
        part = self.path / "summary.part"
        _write_synced(part, json.dumps(summary.to_json()).encode())
        os.replace(part, self.summary)
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        for path in (self.source, self.source_state, self.steps_part, self.journal, self.watermark):
            path.unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_blocks * 512 for path in self.path.iterdir())

    def last_used(self) -> float:
        """When it was last opened, as seconds of the file system's clock."""
        try:
            return (self.path / "use.lock").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def is_in_use(self) -> bool:
        """Whether somebody reads it, or prepares it to be read."""
        with self._alone() as is_alone:
            return not is_alone

    def remove(self) -> bool:
        """Remove all of it, unless it is in use: then False."""
        with self._alone() as is_alone:
            if is_alone:
                shutil.rmtree(self.path)
            return is_alone

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Lock it against all other users; False if somebody uses it."""
        lock = os.open(self.path / "use.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            is_alone = True
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_alone = False
            yield is_alone
        finally:
            os.close(lock)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def entry_of(root: Path, address: str, validator: str, processing: str = "") -> Entry:
    """The place of one version of one address, processed in one way. Of the revealed address it keeps a digest."""
    key = hashlib.sha256("\0".join((address, validator, processing, _FORMAT)).encode()).hexdigest()[:_KEY_DIGEST_CHARS]
    return Entry(root / f"{_address_digest(address, processing)}-{key}")


def newest_whole_entry(root: Path, address: str, processing: str = "") -> Entry | None:
    """The last used whole copy of an address processed in one way, of whatever version; None if there is none."""
    entries = [Entry(path) for path in root.glob(f"{_address_digest(address, processing)}-*")]
    whole = [entry for entry in entries if entry.read_summary() is not None]
    return max(whole, key=Entry.last_used, default=None)


def _address_digest(address: str, processing: str) -> str:
    return hashlib.sha256("\0".join((address, processing, _FORMAT)).encode()).hexdigest()[:_ADDRESS_DIGEST_CHARS]


def all_entries(root: Path) -> list[Entry]:
    """All entries of the cache, least recently used first."""
    try:
        entries = [Entry(path) for path in root.iterdir() if _ENTRY_NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(entries, key=Entry.last_used)


def evict(root: Path, max_bytes: int | None, disk: Disk | None = None, needed_bytes: int = 0) -> int:
    """Remove the least recently used entries, none that is in use, until the cache is no larger than it may be.

    Afterwards it has at most ``max_bytes`` (None: no limit), and ``disk`` has room for ``needed_bytes`` more, unless
    everything removable is gone. Returns the number of bytes removed.
    """
    entries = []
    for entry in all_entries(root):
        with suppress(OSError):
            entries.append((entry.size_bytes(), entry))
    total_bytes = before = sum(size_bytes for size_bytes, _ in entries)
    for size_bytes, entry in entries:
        is_small = max_bytes is None or total_bytes <= max_bytes
        if is_small and (disk is None or disk.room_bytes >= needed_bytes):
            break
        with suppress(OSError):
            if entry.remove():
                total_bytes -= size_bytes
    return before - total_bytes


def unused_bytes(root: Path) -> int:
    """What :func:`evict` could remove."""
    found = 0
    for entry in all_entries(root):
        with suppress(OSError):
            if not entry.is_in_use():
                found += entry.size_bytes()
    return found
