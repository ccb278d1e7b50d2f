"""What a destination must have before the next frame: metadata, sequence headers and side data, by track."""

from streamferry.media.enhanced import HeaderKey, codec_of, same_meaning
from streamferry.media.tag import EX_SIDE_DATA, METADATA, SCRIPT, SEQUENCE_HEADER, SIDE_DATA, VIDEO, LaidTag
from streamferry.wire.on_metadata import on_metadata
from streamferry.wire.parameter_sets import SequenceHeader, needs_sets

_PICTURE: HeaderKey = (VIDEO, 0, 0)


class HeadersInForce:
    """Headers of the present segment, in the order in which they came, and the metadata that we make of them.

    A segment begins with those of the last one. What it does not repeat by its first keyframe is no longer in force:
    it may belong to another codec, or to a track that is gone.

    A picture whose parameter sets are in its keyframes alone gets a header that is made of those.
    """

    __slots__ = ("_bare", "_bodies", "_laid", "_laid_metadata", "_made", "_metadata", "_unrepeated", "changes")

    def __init__(self) -> None:
        self._bodies: dict[HeaderKey, bytes] = {}
        self._unrepeated: set[HeaderKey] = set()
        # Of tracks whose codec has no header: what a frame begins with.
        self._bare: dict[int, bytes] = {}
        # What a destination that was there throughout has got. Metadata is made when it is asked for.
        self._laid: dict[HeaderKey, bytes] = {}
        self._laid_metadata = b""
        self._metadata: bytes | None = b""
        self._made: SequenceHeader | None = None
        #: How often one became another.
        self.changes = 0

    def begin(self) -> None:
        """A new segment begins."""
        self._unrepeated = set(self._bodies)
        self._bare.clear()

    def forget_unrepeated(self) -> None:
        """The segment's media begins: drop what it has not repeated."""
        for key in self._unrepeated:
            self._bodies.pop(key, None)
        self.changes += bool(self._unrepeated)
        self._unrepeated.clear()
        self._metadata = None

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
        self._metadata = None
        self.changes += 1
        return before

    def lacks_sets(self, body: "bytes | memoryview") -> bool:
        """Whether the picture that begins with this keyframe needs a header, and the segment has brought none."""
        return (_PICTURE not in self._bodies or _PICTURE in self._unrepeated) and needs_sets(body)

    def read_sets(self, body: "bytes | memoryview") -> bool:
        """Put a header in force by the parameter sets of a keyframe. Gives whether it is another than before."""
        made = SequenceHeader.of_picture(body)
        if made is None and self._made is not None:
            made = self._made.with_sets_of(body)
        if made is None:
            return False
        self._made = made
        return self.put(_PICTURE, made.body) != made.body

    def note_codec(self, tag_type: int, body: "bytes | memoryview") -> None:
        """A track begins with this frame: if it has no header, that is how its codec is known."""
        if not any(key[0] == tag_type for key in self._bodies):
            self._bare[tag_type] = bytes(body[:5])
            self._metadata = None

    def take_new(self, dts_ms: int, *, described: bool = True) -> list[LaidTag]:
        """Those that have not been laid yet, stamped with ``dts_ms``; metadata that is new before them.

        ``described`` False: without metadata, which costs 0.2 ms to make, for a source that changes all the time.
        """
        tags: list[LaidTag] = []
        if described and self.metadata and self.metadata != self._laid_metadata:
            self._laid_metadata = self.metadata
            tags.append((SCRIPT, dts_ms, self.metadata, METADATA))
        for key, body in self._bodies.items():
            laid = self._laid.get(key)
            if laid is None or not same_meaning(key[0], laid, body):
                tags.append(_laid_tag(key, dts_ms, body))
        self._laid = self._bodies.copy()
        return tags

    @property
    def metadata(self) -> bytes:
        """``onMetaData`` by the headers in force; empty if nothing is known."""
        if self._metadata is None:
            # The picture first, and of several the one with the lowest number.
            leading = sorted((key for key in self._bodies if key[2] != EX_SIDE_DATA), key=lambda key: (-key[0], key[1]))
            self._metadata = on_metadata([(key[0], self._bodies[key]) for key in leading], self._bare.items())
        return self._metadata

    def tags(self, dts_ms: int) -> list[LaidTag]:
        """All headers in force, metadata first, stamped with ``dts_ms``."""
        tags: list[LaidTag] = [(SCRIPT, dts_ms, self.metadata, METADATA)] if self.metadata else []
        return tags + [_laid_tag(key, dts_ms, body) for key, body in self._bodies.items()]


def _laid_tag(key: HeaderKey, dts_ms: int, body: bytes) -> LaidTag:
    return key[0], dts_ms, body, SIDE_DATA if key[2] == EX_SIDE_DATA else SEQUENCE_HEADER
