"""What a destination must have before the next frame: metadata, sequence headers and side data, by track."""

from streamferry.media.enhanced import HeaderKey, codec_of
from streamferry.media.tag import EX_SIDE_DATA, METADATA, SCRIPT, SEQUENCE_HEADER, SIDE_DATA, LaidTag

# Metadata comes before all else.
_METADATA_KEY: HeaderKey = (SCRIPT, 0, 0)


class HeadersInForce:
    """Headers of the present segment, in the order in which they came.

    A segment begins with those of the last one. What it does not repeat by its first keyframe is no longer in force:
    it may belong to another codec, or to a track that is gone.
    """

    __slots__ = ("_bodies", "_unrepeated")

    def __init__(self) -> None:
        self._bodies: dict[HeaderKey, bytes] = {}
        self._unrepeated: set[HeaderKey] = set()

    def begin(self) -> None:
        """A new segment begins."""
        self._unrepeated = set(self._bodies)

    def forget_unrepeated(self) -> None:
        """The segment's media begins: drop what it has not repeated."""
        for key in self._unrepeated:
            self._bodies.pop(key, None)
        self._unrepeated.clear()

    def put(self, key: HeaderKey, body: bytes) -> bytes | None:
        """Put a header in force. Returns the one it replaces, which may be equal; None if there was none.

        With another codec the track's side data is dropped.
        """
        before = self._bodies.get(key)
        self._unrepeated.discard(key)
        if before == body:
            return before
        tag_type, track_id, packet_type = key
        if (
            before is not None
            and packet_type != EX_SIDE_DATA
            and codec_of(tag_type, before) != codec_of(tag_type, body)
        ):
            self._bodies.pop((tag_type, track_id, EX_SIDE_DATA), None)
        self._bodies[key] = body
        return before

    def put_metadata(self, body: "bytes | memoryview") -> bool:
        """Put metadata in force; returns whether it is new. It may be long, and is copied only then."""
        if self._bodies.get(_METADATA_KEY) == body:
            self._unrepeated.discard(_METADATA_KEY)
            return False
        self.put(_METADATA_KEY, bytes(body))
        return True

    def tags(self, dts_ms: int) -> list[LaidTag]:
        """All headers in force, metadata first, stamped with ``dts_ms``."""
        metadata = self._bodies.get(_METADATA_KEY)
        tags: list[LaidTag] = [] if metadata is None else [(SCRIPT, dts_ms, metadata, METADATA)]
        for key, body in self._bodies.items():
            if key != _METADATA_KEY:
                tags.append((key[0], dts_ms, body, SIDE_DATA if key[2] == EX_SIDE_DATA else SEQUENCE_HEADER))
        return tags
