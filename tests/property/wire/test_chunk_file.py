"""Files of RTMP chunks: whatever was written is read back, from any place, in any stretches, at any time."""

from array import array
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scripted.memory_file import MemoryFile
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.source.prepared import PreparedReader
from streamferry.wire.rtmp.chunk import ChunkReader, Message
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE, STEP_MS, Index, TagScan, read_headers

HEADERS: list[Tag] = [(VIDEO, 0, b"\x17\x00avc"), (AUDIO, 0, b"\xaf\x00\x12\x10")]
KEY, INTER, SOUND = b"\x17\x01\x00\x00\x00", b"\x27\x01\x00\x00\x00", b"\xaf\x01"
# A step to the next message, what it is, and its size: frames of one, two and three chunks among them, and pauses of
# which one is longer than a field of 24 bits can say.
steps = st.sampled_from((0, 1, 20, 20, 40, 40, 41, 700, 12_000, 0xFFFFFE, 0xFFFFFF, 0x1000000))
kinds = st.sampled_from((KEY, INTER, INTER, SOUND, SOUND))
sizes = st.sampled_from((0, 1, 100, CHUNK_SIZE - 5, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE + 7))
films = st.lists(st.tuples(steps, kinds, sizes), min_size=1, max_size=16)
# Where on the output clock of a session a pass begins: near to where stamps get an extension, a sign, and begin anew.
begins = st.sampled_from((0, 5, 2**24 - 100, 2**24 - 1, 2**31 - 50, 2**32 - 100, 2**32 - 1, 2**32 + 2**24))


def film(shape: list[tuple[int, bytes, int]]) -> MemoryFile:
    """A prepared file of such messages, a keyframe first; stamps rise on each track."""
    tags: list[Tag] = []
    last = {VIDEO: -1, AUDIO: -1}
    stamp_ms = 0
    for number, (step_ms, head, size) in enumerate([(0, KEY, 10), *shape]):
        tag_type = AUDIO if head == SOUND else VIDEO
        stamp_ms = max(stamp_ms + step_ms if number else 0, last[tag_type] + 1)
        last[tag_type] = stamp_ms
        tags.append((tag_type, stamp_ms, head + number.to_bytes(2, "big") + bytes(size)))
    return MemoryFile(headers=HEADERS, tags=tags, duration_ms=stamp_ms + 40)


def through_the_wire(data: bytes) -> list[Message]:
    """What a server reads, the payload copied."""
    reader, messages = ChunkReader(), list[Message]()
    reader.chunk_size = CHUNK_SIZE
    assert reader.scan(memoryview(data), 0, len(data), messages) == len(data)
    return [(type_id, stamp, stream_id, bytes(payload)) for type_id, stamp, stream_id, payload in messages]


@settings(deadline=None, max_examples=30)
@given(shape=films)
def test_a_file_is_read_back_from_each_of_its_places(shape: list[tuple[int, bytes, int]]) -> None:
    """Each tag with its stamp; and the index says the same once it has been to the disk."""
    file = film(shape)
    assert read_headers(file.view(), file.index.place_offsets[0]) == HEADERS
    for index in (file.index, Index.parse(memoryview(file.index.serialize()))):
        for place, stamp_ms in enumerate(index.place_stamps):
            tags: list[Tag] = []
            scan = TagScan(index, place)
            scan.read(file.view(), file.end_offset, tags)
            assert scan.offset == file.end_offset
            assert [(kind, stamp, bytes(body)) for kind, stamp, body in tags] == file.tags[len(file.tags) - len(tags) :]
            assert tags[0][1] == stamp_ms
            for tag_type in (AUDIO, VIDEO):
                first = index.first_of(tag_type, place)
                assert (first and first[0]) == next((stamp for kind, stamp, _ in tags if kind == tag_type), None)


@settings(deadline=None, max_examples=60)
@given(shape=films, at=st.integers(0, 1 << 26))
def test_a_moment_is_found_to_a_step(shape: list[tuple[int, bytes, int]], at: int) -> None:
    """What lies before it is not later than asked for, and what is missing is at most a step of it."""
    file = film(shape)
    offset = file.index.offset_until(at)
    stamps = [stamp for _, stamp, _ in file.tags]
    # All that is known is due when the index has no step after the moment.
    known = stamps[: file.message_ends.index(file.end_offset if offset is None else offset)]
    assert all(stamp <= at for stamp in known)
    assert all(stamp > at - STEP_MS for stamp in stamps[len(known) :])


@settings(deadline=None, max_examples=60)
@given(shape=films, moments=st.lists(st.integers(0, 1 << 26), min_size=2, max_size=2), before=st.integers(0, 100))
def test_a_moment_is_found_from_any_step_before_it(
    shape: list[tuple[int, bytes, int]], moments: list[int], before: int
) -> None:
    """As from the beginning: from the step of an earlier moment, and from those before that."""
    index = film(shape).index
    earlier_ms, later_ms = sorted(moments)
    after = max(0, index.step_until(earlier_ms) - before)
    assert index.step_until(later_ms, after) == index.step_until(later_ms)


@settings(deadline=None, max_examples=60)
@given(
    shape=films,
    place=st.integers(0, 30),
    begin_ms=begins,
    cuts=st.lists(st.one_of(st.integers(0, 3000), st.integers(0, 1 << 26)), max_size=8),
    message_stream_id=st.sampled_from((1, 255, 256, 0x01020304)),
)
def test_stretches_as_they_lie_are_the_media_on_the_clock_of_the_session(
    shape: list[tuple[int, bytes, int]], place: int, begin_ms: int, cuts: list[int], message_stream_id: int
) -> None:
    """From any place, in any stretches: same bodies, each stamp as in the file plus the same, modulo 2^32."""
    file = film(shape)
    places = file.index.place_stamps
    place_ms = places[min(place, len(places) - 1)]
    reader = PreparedReader(file, max(0, place_ms - file.index.origin_ms))
    add_ms = begin_ms - reader.start_dts_ms
    sent = bytearray()
    wanted = file.tags[file.message_ends.index(reader.offset) :]
    for until_ms in [*sorted(cuts), 1 << 40]:
        start = reader.offset
        end = reader.advance(until_ms)
        if end == start:
            continue
        if reader.unsent_tracks:
            sent += b"".join(reader.pieces(start, add_ms, message_stream_id))
        else:
            sent += file.view()[start:end]
    assert reader.at_end
    assert through_the_wire(bytes(sent)) == [
        (tag_type, to_wire_ms(stamp + add_ms), message_stream_id, bytes(body)) for tag_type, stamp, body in wanted
    ]


@settings(deadline=None, max_examples=25)
@given(shape=films)
def test_where_a_pass_ends_is_a_fact_of_what_was_given(shape: list[tuple[int, bytes, int]]) -> None:
    """Of each track the last stamp, whether the pass ended with the file or at an offset before."""
    file = film(shape)
    stamps = sorted({stamp for _, stamp, _ in file.tags})
    for earlier, later in pairwise(stamps):
        if earlier < file.index.origin_ms:
            continue
        reader = PreparedReader(file, 0, later - file.index.origin_ms)
        reader.advance(1 << 40)
        assert reader.at_end
        given_tags = [tag for tag in file.tags if tag[1] <= earlier]
        ends = reader.ends()
        assert set(ends) == {tag[0] for tag in given_tags}
        for tag_type, end_ms in ends.items():
            assert end_ms > max(stamp for kind, stamp, _ in given_tags if kind == tag_type)


@settings(deadline=None, max_examples=60)
@given(words=st.lists(st.integers(0, 50), max_size=40), tail=st.binary(max_size=7))
def test_a_damaged_index_is_refused(words: list[int], tail: bytes) -> None:
    """In words, and without an attempt to make room for what it claims."""
    try:
        index = Index.parse(memoryview(array("Q", words).tobytes() + tail))
    except ValueError:
        return
    assert len(words) == 2 + 6 * len(index.place_stamps) + 2 * len(index.step_stamps)
