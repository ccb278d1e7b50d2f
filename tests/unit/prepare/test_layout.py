"""The prepared file's layout: order, first stamp, headers, and where a player may start."""

from itertools import pairwise

import pytest

from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import SourceUnsupported
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.prepare.layout import BadInterleave, ChunkLayout
from streamferry.wire.flv import parse_metadata, serialize_metadata
from streamferry.wire.rtmp.chunk_file import TagScan, read_headers

KEY = b"\x17\x01\x00\x00\x00key"
INTER = b"\x27\x01\x00\x00\x00inter"
SOUND = b"\xaf\x01sound"
AVC_HEADER = b"\x17\x00\x00\x00\x00avc"
AAC_HEADER = b"\xaf\x00\x12\x10"
BOTH = frozenset((AUDIO, VIDEO))
HEADERS: list[Tag] = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]


def tags_from(layout: ChunkLayout, place: int) -> list[Tag]:
    """What was laid, from a place of the index on."""
    tags: list[Tag] = []
    data = memoryview(bytes(layout.pending))
    scan = TagScan(layout.index, place)
    scan.read(data, layout.end_offset, tags)
    assert scan.offset == len(data) == layout.end_offset
    return [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in tags]


def tags_of(layout: ChunkLayout) -> list[Tag]:
    """All that was laid, headers first."""
    headers = read_headers(memoryview(bytes(layout.pending)), layout.first_offset)
    return headers + tags_from(layout, 0)


def laid(tags: list[Tag], promised: frozenset[int] = BOTH, *, drop_late: bool = False) -> ChunkLayout:
    layout = ChunkLayout(promised, drop_late)
    layout.feed(tags)
    layout.finish_stretch()
    return layout


def frames_of(layout: ChunkLayout) -> list[Tag]:
    return [tag for tag in tags_of(layout) if tag_kind(tag[0], tag[2]) <= KEYFRAME]


def test_it_begins_with_metadata_and_headers_then_the_first_frame_at_0() -> None:
    """FLV header, onMetaData without what is not true of a growing file, headers, frames from stamp 0 on."""
    metadata = serialize_metadata({"width": 320.0, "duration": 0.0, "filesize": 0.0, "encoder": "x"})
    layout = laid([(SCRIPT, 0, metadata), *HEADERS, (VIDEO, 1400, KEY), (AUDIO, 1410, SOUND)])
    tags = tags_of(layout)
    assert [tag[:2] for tag in tags] == [(SCRIPT, 0), (VIDEO, 0), (AUDIO, 0), (VIDEO, 0), (AUDIO, 10)]
    assert parse_metadata(tags[0][2]) == {"width": 320.0}
    assert bytes(layout.pending[layout.first_offset + 8 :]).startswith(KEY)


def test_the_offset_between_the_tracks_is_kept() -> None:
    """Sound that begins before the picture stays before it by as much."""
    layout = laid([*HEADERS, (AUDIO, 900, SOUND), (AUDIO, 923, SOUND), (VIDEO, 967, KEY)])
    assert [tag[:2] for tag in frames_of(layout)] == [(AUDIO, 0), (AUDIO, 23), (VIDEO, 67)]


def test_frames_wait_for_a_promised_track_and_are_then_put_in_order() -> None:
    """A track that comes late in the stream, but not in time, starts the file if it is first in time."""
    early: list[Tag] = [(VIDEO, 500 + 40 * n, INTER if n else KEY) for n in range(5)]
    layout = laid([*HEADERS, *early, (AUDIO, 480, SOUND), (AUDIO, 700, SOUND)])
    stamps = [tag[1] for tag in frames_of(layout)]
    assert stamps == [0, 20, 60, 100, 140, 180, 220]


def test_a_promised_track_that_never_comes_is_not_waited_for_longer_than_10_s() -> None:
    """The file starts with what there is."""
    layout = ChunkLayout(BOTH)
    layout.feed([*HEADERS, (VIDEO, 0, KEY)])
    assert not layout.started
    layout.feed([(VIDEO, 10_001, KEY)])
    assert layout.started
    assert [tag[1] for tag in frames_of(layout)] == [0, 10_001]


def test_stamps_rise_strictly_on_each_track_and_never_fall_across_them() -> None:
    """Equal and slightly late stamps are moved by as little as keeps the order."""
    layout = laid(
        [*HEADERS, (VIDEO, 0, KEY), (AUDIO, 0, SOUND), (VIDEO, 0, INTER), (AUDIO, 0, SOUND), (VIDEO, 40, KEY)]
    )
    frames = frames_of(layout)
    for kind in BOTH:
        stamps = [tag[1] for tag in frames if tag[0] == kind]
        assert all(later > earlier for earlier, later in pairwise(stamps))
    stamps = [tag[1] for tag in frames]
    assert stamps == sorted(stamps)
    assert stamps[-1] == 40


def test_a_source_interleaved_worse_than_ffmpeg_waits_for_is_refused() -> None:
    """Read from a pipe it cannot be put in order, and that is said at once."""
    with pytest.raises(BadInterleave):
        laid([*HEADERS, (AUDIO, 0, SOUND), (VIDEO, 0, KEY), (VIDEO, 20_000, KEY), (AUDIO, 23, SOUND)])


def test_late_tags_are_dropped_and_counted_where_order_cannot_be_better() -> None:
    """A whole file read with seeking gives the best order there is: what is late then is left out."""
    tags: list[Tag] = [*HEADERS, (AUDIO, 0, SOUND), (VIDEO, 0, KEY), (VIDEO, 20_000, KEY), (AUDIO, 23, SOUND)]
    layout = laid(tags, drop_late=True)
    assert [tag[:2] for tag in frames_of(layout)] == [(AUDIO, 0), (VIDEO, 0), (VIDEO, 20_000)]
    assert layout.dropped_tags == 1


def test_video_before_its_first_keyframe_is_left_out() -> None:
    """A player could not show it."""
    layout = laid(
        [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, INTER), (VIDEO, 40, INTER), (VIDEO, 80, KEY)], frozenset((VIDEO,))
    )
    assert [tag[1:] for tag in frames_of(layout)] == [(0, KEY)]


def test_the_index_names_each_keyframe() -> None:
    """Each entry of the index is the stamp and the offset of a keyframe's tag."""
    frames: list[Tag] = [(VIDEO, 40 * n, INTER if n % 3 else KEY) for n in range(7)]
    layout = laid([*HEADERS, *frames], frozenset((VIDEO,)))
    assert list(layout.index.place_stamps) == [0, 0, 120, 240]
    for place, stamp in enumerate(layout.index.place_stamps):
        assert tags_from(layout, place)[0] == (VIDEO, stamp, KEY)


def test_without_video_the_index_has_a_place_each_second() -> None:
    """A player of sound alone may start anywhere, and need not start at the beginning."""
    layout = laid([(AUDIO, 0, AAC_HEADER), *((AUDIO, 23 * n, SOUND) for n in range(100))], frozenset((AUDIO,)))
    assert list(layout.index.place_stamps) == [0, 0, 1012, 2024]


def test_a_header_that_changes_stands_where_it_changes_and_before_each_keyframe_from_then_on() -> None:
    """Whoever starts at a place of the index has the headers that are in force there."""
    other = b"\x17\x00\x00\x00\x00other"
    start: list[Tag] = [(VIDEO, 0, AVC_HEADER), (VIDEO, 0, KEY)]
    layout = laid(
        [*start, (VIDEO, 40, other), (VIDEO, 40, KEY), (VIDEO, 80, INTER), (VIDEO, 120, KEY)], frozenset((VIDEO,))
    )
    for place in (2, 3):
        tags = tags_from(layout, place)
        assert tag_kind(VIDEO, tags[0][2]) == SEQUENCE_HEADER
        assert tags[0][2] == other
        assert tags[1][2] == KEY


def test_an_end_of_sequence_is_left_out() -> None:
    """In the middle of a loop it would tell the player that the stream is over."""
    layout = laid([(VIDEO, 0, AVC_HEADER), (VIDEO, 0, KEY), (VIDEO, 40, b"\x17\x02\x00\x00\x00")], frozenset((VIDEO,)))
    assert [tag[2] for tag in tags_of(layout)][1:] == [AVC_HEADER, KEY]


def test_the_duration_is_the_latest_end_of_a_track() -> None:
    """Last DTS and the duration of the last frame, which is that of the frame before it."""
    layout = laid(
        [*HEADERS, (VIDEO, 0, KEY), (AUDIO, 0, SOUND), (AUDIO, 20, SOUND), (VIDEO, 50, INTER), (AUDIO, 70, SOUND)]
    )
    assert layout.duration_ms == 70 + 50


def test_a_file_without_a_frame_is_refused() -> None:
    """Headers alone cannot be played."""
    layout = ChunkLayout(BOTH)
    layout.feed(HEADERS)
    with pytest.raises(SourceUnsupported):
        layout.finish_stretch()


def test_a_command_is_left_out_and_side_data_stands_before_each_start() -> None:
    """A seek of who recorded the file is nothing to play; colours that changed are for who starts later, too."""
    colours = b"\x94hvc1colours"
    tags_in: list[Tag] = [(VIDEO, 0, b"\x90hvc1config"), (VIDEO, 0, b"\x57\x00"), (VIDEO, 0, b"\x91hvc1\0\0\0key")]
    tags_in += [(VIDEO, 40, colours), (VIDEO, 80, b"\x91hvc1\0\0\0key")]
    layout = laid(tags_in, frozenset((VIDEO,)))
    bodies = [body for tag_type, _, body in tags_of(layout) if tag_type == VIDEO]
    assert b"\x57\x00" not in bodies
    assert list(layout.index.place_stamps) == [0, 0, 80]
    assert [tag[2][0] for tag in tags_from(layout, 2)] == [0x90, 0x94, 0x91]


def test_two_spellings_of_one_header_are_one() -> None:
    """AAC-LC whose header says that there is no SBR, in a second stretch: nothing changes."""
    layout = ChunkLayout(BOTH)
    layout.feed([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, b"\xaf\x00\x11\x90"), (VIDEO, 0, KEY), (AUDIO, 0, SOUND)])
    layout.finish_stretch()
    layout.begin_stretch(BOTH, None)
    spelled = b"\xaf\x00\x11\x90\x56\xe5\x00"
    layout.feed([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, spelled), (VIDEO, 0, KEY), (AUDIO, 0, SOUND)])
    layout.finish_stretch()
    assert not layout.changes_headers
    assert [body for kind, _, body in tags_of(layout) if kind == AUDIO and body != SOUND] == [b"\xaf\x00\x11\x90"]


def test_a_second_stretch_begins_where_the_tracks_of_the_first_ended() -> None:
    """Its stamps mean nothing; the distance of its tracks is its own."""
    layout = ChunkLayout(BOTH)
    for begin_ms in (1000, 5, 90_000):
        layout.begin_stretch(BOTH, None)
        layout.feed(HEADERS)
        for number in range(10):
            layout.feed([(VIDEO, begin_ms + 40 * number, KEY), (AUDIO, begin_ms + 3 + 40 * number, SOUND)])
        layout.finish_stretch()
    frames = frames_of(layout)
    assert [stamp for kind, stamp, _ in frames if kind == VIDEO] == [40 * number for number in range(30)]
    assert [stamp for kind, stamp, _ in frames if kind == AUDIO] == [3 + 40 * number for number in range(30)]


def shown(lag_ms: int, kind: int = 2) -> bytes:
    """A picture that is shown so much after it is decoded."""
    return bytes((kind << 4 | 7, 1)) + lag_ms.to_bytes(3) + b"picture"


def test_a_varying_rate_left_a_hole_at_each_loop() -> None:
    """Pictures out of order at 10 and then 60 a second: where they end is told by when they are shown."""
    pictures = [(0, shown(100, kind=1)), (16, shown(134)), (32, shown(85)), (132, shown(1))]
    layout = laid([HEADERS[0], *[(VIDEO, stamp, body) for stamp, body in pictures]], frozenset((VIDEO,)))
    # Shown at 100, 150, 117 and 133: 17 ms each, and as long after the first decoding as the first is shown.
    assert layout.ends == {VIDEO: (132, 1)}
    assert layout.duration_ms == 133


def test_an_even_rate_ends_a_frame_after_its_last() -> None:
    """With B-frames and without."""
    for lags in ((0, 0, 0, 0), (80, 160, 40, 40)):
        tags = [(VIDEO, 40 * number, shown(lag, 1 + bool(number))) for number, lag in enumerate(lags)]
        assert laid([HEADERS[0], *tags], frozenset((VIDEO,))).duration_ms == 160
