"""Which version of a file an address gives: the validator that makes a changed file another key of the cache.

For HTTP it is the ETag, else Last-Modified with the size (RFC 9110, section 8.8), else the size with a digest of the
first bytes, because a video without any of them must still not be taken for another one. For a local file it is size,
modification time and inode.
"""

import os
from dataclasses import dataclass

from streamferry.media.url import MediaUrl
from streamferry.net.folders import EVERYWHERE, Folders


@dataclass(frozen=True, slots=True)
class Version:
    """Validator of a file as one response (or one stat) showed it. Empty strings and None where it does not say."""

    etag: str = ""
    last_modified: str = ""
    size_bytes: int | None = None
    head_digest: str = ""

    @property
    def key(self) -> str:
        """The part of the cache key that changes when the file does."""
        if self.etag:
            return f"etag {self.etag}"
        return f"{self.last_modified} {self.size_bytes} {self.head_digest}"

    @property
    def if_range(self) -> str:
        """What an If-Range header may hold (RFC 9110, 13.1.5: no weak ETag), empty if nothing."""
        return self.last_modified if self.etag.startswith("W/") or not self.etag else self.etag

    def contradicts(self, other: "Version") -> bool:
        """True if the two cannot be the same file; what only one of them knows does not count."""
        if self.etag and other.etag:
            return self.etag != other.etag
        if self.last_modified and other.last_modified and self.last_modified != other.last_modified:
            return True
        return None not in (self.size_bytes, other.size_bytes) and self.size_bytes != other.size_bytes


def version_of_file(url: MediaUrl, folders: Folders = EVERYWHERE) -> Version:
    """Version of a local file. Raises SourceForbidden, SourceMissing where there is none, and SourceRejected."""
    file = folders.open(url.path, url.redacted)
    try:
        status = os.fstat(file)
    finally:
        os.close(file)
    return Version(last_modified=f"{status.st_mtime_ns} {status.st_ino}", size_bytes=status.st_size)
