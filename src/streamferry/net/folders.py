"""Files of this machine that may be read: opened once, and checked by where they really are.

A path proves nothing until it is opened: any part of it may be a symbolic link, or may become one between a check and
the opening. So the path is first opened as a descriptor that cannot read yet (open(2), O_PATH, which does not touch a
device, a FIFO or a socket), the kernel tells where that is, and if it is allowed it is reopened by its descriptor.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from errno import ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceRejected
from streamferry.reasons import Code, Reason, system_reason

_NOT_THERE = frozenset((ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG))
# Their files show the state of the kernel and of other processes.
_PSEUDO = (Path("/proc"), Path("/sys"))


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files may be read: in ``roots`` (None: everywhere), but not in a ``private`` folder within them.

    If a file is in several of them, the innermost decides; a folder that is both is private. Build it with :meth:`of`.
    """

    roots: tuple[Path, ...] | None = None
    private: tuple[Path, ...] = ()

    @classmethod
    def of(cls, roots: Iterable[Path], private: Iterable[Path] = ()) -> "Folders":
        """Folders, with symbolic links in their own names resolved."""
        return cls(tuple(root.resolve() for root in roots), tuple(folder.resolve() for folder in private))

    def to_json(self) -> dict[str, Any]:
        """The folders as JSON, for a job."""
        roots = None if self.roots is None else [str(root) for root in self.roots]
        return {"roots": roots, "private": [str(folder) for folder in self.private]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Folders":
        """The folders from JSON."""
        roots = data["roots"]
        return cls(None if roots is None else tuple(map(Path, roots)), tuple(map(Path, data["private"])))

    def open(self, path: str, name: str | Reason) -> int:
        """A descriptor to read the file from; ``name`` is what an error calls it.

        Raises SourceForbidden, SourceMissing where there is no file, and SourceRejected where it cannot be read.
        """
        found = self._find(path, name)
        try:
            return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unread(name, error) from None
        finally:
            os.close(found)

    def check(self, path: str, name: str | Reason) -> None:
        """Raises what :meth:`open` would, except errors that only reading can find."""
        os.close(self._find(path, name))

    def are_here_for(self, path: str) -> bool:
        """Whether this machine has the folder of a path; a service may have fewer folders than its workers."""
        real = Path(os.path.realpath(self._plain(path)))
        return any(root.is_dir() for root in self.roots or () if real.is_relative_to(root))

    def _plain(self, path: str) -> str:
        """The path without ``..``, as in URLs (RFC 3986, 5.2.4): a detour through another folder reveals nothing."""
        return path if self.roots is None else os.path.normpath(path)

    def _find(self, path: str, name: str | Reason) -> int:
        path = self._plain(path)
        try:
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except ValueError:  # A NUL in it.
            raise SourceMissing(Code.FILE_MISSING, name=name) from None
        except OSError as error:
            # Do not reveal what exists outside the folders.
            if not self._allows(Path(os.path.realpath(path))):
                raise _forbidden(name) from None
            if error.errno in _NOT_THERE:
                raise self._missing(path, name) from None
            raise _unread(name, error) from None
        try:
            if not self._allows(Path(os.readlink(f"/proc/self/fd/{found}"))):
                raise _forbidden(name)
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise SourceMissing(Code.FILE_NOT_A_FILE, name=name)
        except BaseException:
            os.close(found)
            raise
        return found

    def _missing(self, path: str, name: str | Reason) -> SourceMissing:
        """The file may be on another machine: so the error names the machine and the folder that were searched."""
        if self.roots is None:
            return SourceMissing(Code.FILE_MISSING, name=name)
        folder = Path(os.path.realpath(path)).parent
        if folder.is_dir():
            return SourceMissing(Code.FILE_MISSING_IN_FOLDER, name=name, folder=str(folder), machine=_here())
        return SourceMissing(Code.FILE_FOLDER_MISSING, name=name, folder=str(folder), machine=_here())

    def _allows(self, real: Path) -> bool:
        if any(real.is_relative_to(folder) for folder in _PSEUDO):
            return False
        if self.roots is None:
            return True
        holding = [folder for folder in (*self.roots, *self.private) if real.is_relative_to(folder)]
        inner = max(holding, key=lambda folder: len(folder.parts), default=None)
        return inner is not None and inner not in self.private


def _unread(name: str | Reason, error: OSError) -> SourceRejected:
    refusal = SourceRejected(Code.FILE_UNREADABLE, name=name, why=system_reason(error.errno))
    # An unreadable file is the fault of whoever named it; too many open files are not.
    return refusal if isinstance(error, PermissionError) else refusal.because_of(error)


def _forbidden(name: str | Reason) -> SourceForbidden:
    return SourceForbidden(Code.FILE_OUTSIDE_FOLDERS, name=name, machine=_here())


def _here() -> str:
    return os.uname().nodename


#: No file may be read.
NOWHERE = Folders(())
#: A command's user may read whatever the command may.
EVERYWHERE = Folders()
