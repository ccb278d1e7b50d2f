"""A bucket as the home of prepared files: its objects, those of one entry of the cache each. See ``sharing``."""

import json
import logging
import os
import struct
import time
from dataclasses import asdict, dataclass, field
from secrets import token_hex
from typing import Any

from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.s3 import Buckets, split_place
from streamferry.prepare.cache import Entry
from streamferry.reasons import Reason

_log = logging.getLogger("streamferry.prepare")

#: Of a piece: how long what was said, the media, and the steps of the index are, which follow.
PIECE_HEAD = struct.Struct(">III")
#: For how long a bucket that cannot be used is not asked again, in s.
_ALONE_S = 30.0
#: None of our objects is longer.
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Home:
    """A bucket, and the prefix of its keys in it.

    ``patience_s``: for how long it may be silent while a stream may be waiting.
    """

    bucket: str
    prefix: str
    buckets: Buckets = field(repr=False)
    patience_s: float = 3.0

    @classmethod
    def parse(cls, text: str, buckets: Buckets) -> "Home":
        """Of ``s3://BUCKET/PREFIX``, with or without the prefix. Raises ValueError."""
        return cls(*split_place(text), buckets)

    @classmethod
    def of_environment(cls) -> "Home | None":
        """For commands that read no settings. Raises ValueError."""
        text = os.environ.get("STREAMFERRY_SHARED_CACHE", "")
        return cls.parse(text, Buckets.of_environment()) if text else None

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        return asdict(self) | {"buckets": self.buckets.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Home":
        """The same again."""
        return cls(**data | {"buckets": Buckets.from_json(data["buckets"])})


class SharedHome:
    """A home as the relay process uses it: one that cannot be used is not asked again for a while."""

    def __init__(self, home: Home | None) -> None:
        self._home = home
        self._alone_until = 0.0

    def of(self, url: MediaUrl, *, is_kept: bool) -> dict[str, Any] | None:
        """Where a file is shared, as part of a job: not one of this machine's disks, nor one that is not kept."""
        if self._home is None or not is_kept or url.scheme == "file" or time.monotonic() < self._alone_until:
            return None
        return self._home.to_json()

    def note_away(self, why: Reason) -> None:
        """It cannot be used."""
        if time.monotonic() >= self._alone_until:
            _log.warning("%s; it is asked again after %.0f s", why, _ALONE_S)
        self._alone_until = time.monotonic() + _ALONE_S


class Away(Exception):
    """The bucket cannot be used now, or what is in it cannot be read."""


class Objects:
    """The objects of one entry."""

    def __init__(self, home: Home, entry: Entry, authorities: str = "") -> None:
        try:
            self._store = home.buckets.store(home.bucket, authorities, patience_s=home.patience_s)
            # A long body takes its time, and only then is it answered.
            self._puts_of_pieces = home.buckets.store(home.bucket, authorities)
        except MediaError as error:
            raise Away from error
        self._place = "/".join(filter(None, (home.prefix, entry.path.name)))

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Content and version; None if it is not there. Raises Away."""
        import obstore

        try:
            found = obstore.get(self._store, f"{self._place}/{name}")
            if found.meta["size"] > _MOST_BYTES:
                raise ValueError
            return bytes(found.bytes()), found.meta["e_tag"] or ""
        except FileNotFoundError:
            return None
        except Exception as error:  # Of obstore there are more than it names.
            raise Away from error

    def put(self, name: str, data: bytes, mode: Any = None) -> str | None:
        """Its version; None if another was there first, or is there now. ``mode``: of obstore. Raises Away."""
        import obstore

        store = self._store if name == "claim" else self._puts_of_pieces
        try:
            put = obstore.put(store, f"{self._place}/{name}", data, mode=mode, use_multipart=False)
            return put["e_tag"] or ""
        except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
            return None
        except Exception as error:
            raise Away from error


def claim_of(who: str) -> bytes:
    """A claim; empty: nobody's. Each is another version."""
    return json.dumps({"by": who, "at": token_hex(4)}).encode()
