"""A file of RTMP chunks: media as it goes over the wire, and the index of where the media of a moment lies.

    headers, each with a type 0 header and stamp 0 | messages with type 1 headers, in the order of their stamps

A type 1 header has no stamp, only the distance to the message before it on its chunk stream (5.3.1.2.2). So the bytes
of a file depend on nothing outside it, and any stretch of it can be sent as it lies, to any session, in any loop: only
the first message of each track of a stretch needs a type 0 header, which tells the stamp and the message stream.
Sound and picture have a chunk stream each; the chunk size is that of all our publish sessions.

Pure: bytes and numbers. Not here: how a file is made (``prepare``) and when its media is due (``source.prepared``).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from struct import Struct

from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.wire.rtmp.chunk import EXTENDED, ChunkReader, Message, append_message
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG

#: Announced by each publish session that sends such a file. One message in 10,000 is larger.
CHUNK_SIZE = 65536
#: Distance of the index's steps, unless frames are further apart: how exactly a moment is found.
STEP_MS = 40
TRACKS = (AUDIO, VIDEO)
# What a visit goes on is about 8 steps; twice that after a late one.
_NEAR_STEPS = 16
_NONE = (1 << 64) - 1

_read_two_words = Struct(">II").unpack_from
_read_word = Struct(">I").unpack_from
_pack_two_words = Struct(">II").pack
_pack_word = Struct(">I").pack


def serialize_header(tag_type: int, body: "bytes | memoryview") -> bytes:
    """A message of the file's head, stamped 0."""
    pieces: list[bytes | memoryview] = []
    append_message(pieces, CHUNK_STREAM_OF_TAG[tag_type], tag_type, 0, 0, body, CHUNK_SIZE)
    return b"".join(pieces)


def serialize_message(tag_type: int, delta_ms: int, body: "bytes | memoryview") -> bytes:
    """A message ``delta_ms`` after the one before it on its track; before the first are the headers, at 0."""
    chunk_stream_id = CHUNK_STREAM_OF_TAG[tag_type]
    size, field, extended = len(body), delta_ms, b""
    if delta_ms >= EXTENDED:  # A track that pauses for 4.66 hours.
        field, extended = EXTENDED, _pack_word(delta_ms)
    head = _pack_two_words((0x40 | chunk_stream_id) << 24 | field, size << 8 | tag_type) + extended
    if size <= CHUNK_SIZE:
        return head + body
    continuation = bytes((0xC0 | chunk_stream_id,)) + extended
    view = memoryview(body)
    chunks = (view[at : at + CHUNK_SIZE] for at in range(0, size, CHUNK_SIZE))
    return head + continuation.join(chunks)


def restamped(
    view: memoryview, offset: int, stamp_ms: int, message_stream_id: int
) -> "tuple[list[bytes | memoryview], int]":
    """The message at ``offset`` with a type 0 header of that stamp, as pieces; and where the next one lies."""
    first, second = _read_two_words(view, offset)
    chunk_stream_id, size, tag_type = first >> 24 & 0x3F, second >> 8, second & 0xFF
    extended_bytes = 4 if first & EXTENDED == EXTENDED else 0
    body = offset + 8 + extended_bytes
    end = end_of_message(view, offset)
    chunk_bytes = CHUNK_SIZE + 1 + extended_bytes
    chunks = [view[at : min(at + CHUNK_SIZE, end)] for at in range(body, end, chunk_bytes)]
    pieces: list[bytes | memoryview] = []
    append_message(
        pieces,
        chunk_stream_id,
        tag_type,
        stamp_ms,
        message_stream_id,
        chunks[0] if size <= CHUNK_SIZE and size else b"".join(chunks),
        CHUNK_SIZE,
    )
    return pieces, end


def end_of_message(view: memoryview, offset: int) -> int:
    """Where the message at ``offset`` ends."""
    first, second = _read_two_words(view, offset)
    extended_bytes = 4 if first & EXTENDED == EXTENDED else 0
    size: int = second >> 8
    continuations = max(0, size - 1) // CHUNK_SIZE
    return offset + 8 + extended_bytes + size + continuations * (1 + extended_bytes)


def _delta_at(view: memoryview, offset: int) -> int:
    field: int = _read_two_words(view, offset)[0] & EXTENDED
    return field if field < EXTENDED else int(_read_word(view, offset + 8)[0])


class Index:
    """What is known of a file, from its beginning on; it grows with the file.

    A *place* is where playing can start. Place 0 is the beginning of the media, at stamp 0; a viewer can start at all
    others. For each place and track there is the first message from there on. A *step* is a message at least
    ``STEP_MS`` after the last one: its stamp and offset. Stamps and offsets rise.
    """

    def __init__(self, first_offset: int = 0) -> None:
        self.place_stamps: Sequence[int] = array("Q", (0,))
        self.place_offsets: Sequence[int] = array("Q", (first_offset,))
        #: By track: stamps and offsets of the first messages of the places. What is missing at the end is not known.
        self.firsts: dict[int, tuple[Sequence[int], Sequence[int]]] = {
            tag_type: (array("Q"), array("Q")) for tag_type in TRACKS
        }
        self.step_stamps: Sequence[int] = array("Q")
        self.step_offsets: Sequence[int] = array("Q")

    # What readers ask.

    @property
    def has_places(self) -> bool:
        """Whether there is a place at which a viewer can start."""
        return len(self.place_stamps) > 1

    @property
    def origin_ms(self) -> int:
        """Stamp of the first place at which a viewer can start."""
        return self.place_stamps[1] if self.has_places else 0

    def place_at_or_before(self, ms: int) -> int:
        """Number of the last place that is not after ``ms``."""
        return max(0, bisect_right(self.place_stamps, ms, 1) - 1)

    def place_behind(self, offset: int) -> int:
        """Number of the last place for viewers that lies before ``offset`` or there; 0 if there is none."""
        return max(0, bisect_right(self.place_offsets, offset, 1) - 1)

    def place_from(self, offset: int) -> int | None:
        """Number of the first place for viewers at ``offset`` or after it; None if none is known."""
        place = bisect_left(self.place_offsets, offset, 1)
        return place if place < len(self.place_offsets) else None

    def first_of(self, tag_type: int, place: int) -> tuple[int, int] | None:
        """Stamp and offset of the first message of a track from a place on; None if none is known."""
        stamps, offsets = self.firsts[tag_type]
        if place >= len(stamps) or stamps[place] == _NONE:
            return None
        return stamps[place], offsets[place]

    def step_until(self, ms: int, after: int = 0) -> int:
        """Number of the step where media ends that is not after ``ms``: all before it is not, and at most ``STEP_MS``
        of it is missing. As many as there are: not before the end of what is known.

        ``after``: number of a step at or before it. If that is near, no more of the index is touched than is between.
        """
        stamps, last_ms = self.step_stamps, ms - STEP_MS + 1
        near = after + _NEAR_STEPS
        if near < len(stamps) and stamps[near] > last_ms:
            return bisect_right(stamps, last_ms, after, near)
        return bisect_right(stamps, last_ms, after)

    def offset_until(self, ms: int) -> int | None:
        """Where that step lies; None: not before the end of what is known."""
        step = self.step_until(ms)
        return self.step_offsets[step] if step < len(self.step_offsets) else None

    def step_before(self, offset: int) -> int:
        """Stamp of the last step before an offset: all that is stamped up to there lies before the offset, too."""
        step = bisect_left(self.step_offsets, offset)
        return self.step_stamps[step - 1] if step else 0

    # What grows it.

    def add_place(self, stamp_ms: int, offset: int) -> None:
        """Another place; its messages follow."""
        self.place_stamps.append(stamp_ms)  # type: ignore[attr-defined]
        self.place_offsets.append(offset)  # type: ignore[attr-defined]

    def add_first(self, tag_type: int, stamp_ms: int, offset: int) -> None:
        """The first message of a track from the first place on of which none is known yet."""
        stamps, offsets = self.firsts[tag_type]
        stamps.append(stamp_ms)  # type: ignore[attr-defined]
        offsets.append(offset)  # type: ignore[attr-defined]

    def add_steps(self, pairs: "array[int]") -> None:
        """More steps, as stamps and offsets in turn."""
        self.step_stamps.extend(pairs[0::2])  # type: ignore[attr-defined]
        self.step_offsets.extend(pairs[1::2])  # type: ignore[attr-defined]

    # The index of a whole file, as bytes: two counts, then the columns one after the other.

    def serialize(self) -> bytes:
        """All of it."""
        places = len(self.place_stamps)
        columns: list[Iterable[int]] = [(places, len(self.step_stamps)), self.place_stamps, self.place_offsets]
        for tag_type in TRACKS:
            for known in self.firsts[tag_type]:
                columns += (known, [_NONE] * (places - len(known)))
        columns += (self.step_stamps, self.step_offsets)
        words = array("Q")
        for column in columns:
            words.extend(column)
        return words.tobytes()

    @classmethod
    def parse(cls, data: memoryview) -> "Index":
        """The index again, as views of ``data``. Raises ValueError for what is none."""
        try:
            words = data.cast("Q")
            places, steps = words[0], words[1]
        except (TypeError, IndexError):
            raise ValueError("an index without its counts") from None
        if places < 1 or len(words) != 2 + 6 * places + 2 * steps:
            raise ValueError("an index of another length than it says")
        columns = [words[2 + n * places : 2 + (n + 1) * places] for n in range(6)]
        index = cls()
        index.place_stamps, index.place_offsets = columns[0], columns[1]
        index.firsts = {AUDIO: (columns[2], columns[3]), VIDEO: (columns[4], columns[5])}
        at = 2 + 6 * places
        index.step_stamps, index.step_offsets = words[at : at + steps], words[at + steps :]
        return index


class IndexWriter:
    """Makes the index of a file while its messages are written."""

    def __init__(self, first_offset: int) -> None:
        self.index = Index(first_offset)
        #: Steps since these were last taken, as stamps and offsets in turn.
        self.new_steps: array[int] = array("Q")
        self._last_step_ms = -STEP_MS

    def note_place(self, stamp_ms: int, offset: int) -> None:
        """A viewer can start with the message that is written next, or with the headers before it."""
        self.index.add_place(stamp_ms, offset)

    def note_message(self, tag_type: int, stamp_ms: int, offset: int) -> None:
        """A message is written there."""
        index = self.index
        while len(index.firsts[tag_type][0]) < len(index.place_stamps):
            index.add_first(tag_type, stamp_ms, offset)
        if stamp_ms - self._last_step_ms >= STEP_MS:
            self._last_step_ms = stamp_ms
            step = array("Q", (stamp_ms, offset))
            index.add_steps(step)
            self.new_steps += step


class TagScan:
    """Reads a file's messages as tags, with their stamps in the file, from a place on. Through the chunk reader."""

    __slots__ = ("_index", "_place", "_reader", "_unread", "offset")

    def __init__(self, index: Index, place: int) -> None:
        self._index = index
        self._place = place
        self._reader = ChunkReader()
        self._reader.chunk_size = CHUNK_SIZE
        self._unread = set(TRACKS)
        #: What lies before it has been read.
        self.offset = index.place_offsets[place]

    def read(self, view: memoryview, end: int, out: list[Tag]) -> None:
        """Append the messages up to the offset ``end``, where one ends. Bodies may be views."""
        for tag_type in tuple(self._unread):
            first = self._index.first_of(tag_type, self._place)
            if first is not None and first[1] < end:
                self._unread.discard(tag_type)
                before_ms = first[0] - _delta_at(view, first[1])
                self._reader.resume(CHUNK_STREAM_OF_TAG[tag_type], before_ms)
        messages: list[Message] = []
        self.offset = self._reader.scan(view, self.offset, end, messages)
        out += [(type_id, stamp_ms, payload) for type_id, stamp_ms, _, payload in messages]


def read_headers(view: memoryview, first_offset: int) -> list[Tag]:
    """The tags of the file's head, copied."""
    reader = ChunkReader()
    reader.chunk_size = CHUNK_SIZE
    messages: list[Message] = []
    reader.scan(view, 0, first_offset, messages)
    return [(type_id, stamp_ms, bytes(payload)) for type_id, stamp_ms, _, payload in messages]
