"""How much of a source is read in one go: bytes of some cost a thousand times what others do, and all streams wait."""

import time

#: Most and least of it.
MOST_BYTES, _LEAST_BYTES = 256 << 10, 4 << 10
# So much of the processor's time one go may take.
_SLOW_S = 0.005


class Stretch:
    """Of one source: ``with`` it a stretch is read, and the next is half as long if that took long, or longer again."""

    __slots__ = ("_began_at", "_most_bytes", "size_bytes")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.size_bytes = self._most_bytes = most_bytes
        self._began_at = 0.0

    def __enter__(self) -> None:
        self._began_at = time.thread_time()

    def __exit__(self, *_: object) -> None:
        if time.thread_time() - self._began_at > _SLOW_S:
            self.size_bytes = max(self.size_bytes // 2, _LEAST_BYTES)
        elif self.size_bytes < self._most_bytes:
            self.size_bytes *= 2
