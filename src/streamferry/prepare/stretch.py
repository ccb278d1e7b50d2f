"""A part of a file that one ffmpeg reads: recordings that were put into one file are read one after the other."""

from collections.abc import Callable

from streamferry.prepare.container import Container
from streamferry.wire.stretches import FlvStretches, Stretches, TsStretches

#: Programs of a day have some hundreds; what has more is damaged, or made to keep us busy.
MAX_STRETCHES = 1000

#: Kinds of files that may be several put together, and that are read from front to back.
STRETCHED = (Container.TS, Container.FLV)


class Stretch:
    """The file from ``begin`` on, up to where another one begins; ``prefix`` is read before it.

    It may be read more than once. ``next_at`` is where the next begins, once this one was read to its end. The last of
    very many is all that is left.
    """

    def __init__(self, kind: Container, begin: int = 0, prefix: bytes = b"", number: int = 1) -> None:
        self._kind = kind
        self.begin = begin
        self._prefix = prefix
        self._number = number
        self.next_at: int | None = None
        self._next_prefix = b""

    def following(self) -> "Stretch | None":
        """The next one, if there is one."""
        if self.next_at is None:
            return None
        return Stretch(self._kind, self.next_at, self._next_prefix, self._number + 1)

    def copy(self, read: Callable[[int], bytes], write: Callable[[bytes], bool], note: Callable[[int], object]) -> None:
        """Read it, and write what is certain to belong to it; what may belong to the next one is held back.

        ``read`` gives a piece at an offset, empty at the end. ``write`` gives whether it was taken: if not, the reader
        is gone. ``note`` is called with the offset that will not be read any more.
        """
        self.next_at = None
        stretches = Stretches(self.begin)
        if self._number < MAX_STRETCHES:
            stretches = FlvStretches(self.begin) if self._kind is Container.FLV else TsStretches(self.begin)
        offset = written = self.begin
        held = bytearray()
        if not write(self._prefix):
            return
        while stretches.cut is None and (piece := read(offset)):
            offset += len(piece)
            held += piece
            stretches.feed(piece)
            until = stretches.safe if stretches.cut is None else stretches.cut
            size = min(len(held), max(0, until - written))
            if not write(bytes(held[:size])):
                return
            del held[:size]
            written += size
            note(written)
        if stretches.cut is None:
            write(bytes(held))
        self.next_at, self._next_prefix = stretches.cut, stretches.prefix
