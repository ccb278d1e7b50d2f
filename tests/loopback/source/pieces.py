"""Bytes as a source gives them, without a source."""


class Pieces:
    """A feed that gives these bytes each time it is asked."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def receive_into(self, view: memoryview) -> int | None:
        view[: len(self._data)] = self._data
        return len(self._data)

    def close(self) -> None:
        pass
