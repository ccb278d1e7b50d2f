"""The reader of prepared files: what is given when, from where to where, while the file grows and when it is whole."""

from itertools import pairwise

import pytest

from scripted.memory_file import MemoryFile
from streamferry.media.errors import SourceEnded, SourceUnsupported
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag
from streamferry.source.prepared import PreparedReader

KEY = b"\x17\x01\x00\x00\x00key"
INTER = b"\x27\x01\x00\x00\x00inter"
SOUND = b"\xaf\x01sound"
HEADERS: list[Tag] = [(SCRIPT, 0, b"meta"), (VIDEO, 0, b"\x17\x00avc"), (AUDIO, 0, b"\xaf\x00\x12\x10")]
FOREVER = 1 << 31


def film(seconds: float, body_bytes: int = 0) -> MemoryFile:
    """A prepared file in memory: 25 fps with a keyframe a second, sound each 20 ms, frames of ``body_bytes``."""
    tags: list[Tag] = []
    for ms in range(0, int(seconds * 1000), 20):
        if ms % 40 == 0:
            tags.append((VIDEO, ms, (INTER if ms % 1000 else KEY) + bytes(body_bytes)))
        tags.append((AUDIO, ms, SOUND))
    return MemoryFile(headers=HEADERS, tags=tags, duration_ms=int(seconds * 1000))


def pulled(reader: PreparedReader, until_ms: int = FOREVER) -> list[Tag]:
    """All that one visit gives, as tags, copied."""
    out: list[Tag] = []
    start = reader.offset
    if reader.advance(until_ms) > start:
        reader.tags(start, out)
    return [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in out]


def test_what_is_due_is_given_once() -> None:
    """Up to the stamp asked for, or to the step before it."""
    reader = PreparedReader(film(3))
    tags = pulled(reader, 99)
    assert [tag[:2] for tag in tags] == [(VIDEO, 0), (AUDIO, 0), (AUDIO, 20), (VIDEO, 40), (AUDIO, 40), (AUDIO, 60)]
    assert [tag[:2] for tag in pulled(reader, 119)] == [(VIDEO, 80), (AUDIO, 80), (AUDIO, 100)]
    assert pulled(reader, 119) == []
    assert 60 < reader.position_ms <= 100
    assert not reader.at_end


def test_it_starts_at_the_keyframe_at_or_before_the_start_offset() -> None:
    """A start between keyframes goes back to the one before, and says so."""
    reader = PreparedReader(film(3), start_ms=1999)
    assert reader.start_dts_ms == 1000
    tags = pulled(reader)
    assert tags[0] == (VIDEO, 1000, KEY)


def test_it_is_at_the_end_when_a_whole_file_has_been_given() -> None:
    """With the last tag, not one pull later."""
    reader = PreparedReader(film(2))
    tags = pulled(reader)
    assert reader.at_end
    assert not reader.starved
    assert tags[-1][:2] == (AUDIO, 1980)
    assert pulled(reader) == []


def test_the_end_offset_leaves_out_the_tag_it_names() -> None:
    """The last tag lies before it; that is known when the stamp before it has been asked for, not earlier."""
    reader = PreparedReader(film(3), end_ms=1000)
    assert pulled(reader, 960)[-1][1] < 960
    assert not reader.at_end
    assert [tag[:2] for tag in pulled(reader, 5000)][-2:] == [(AUDIO, 960), (AUDIO, 980)]
    assert reader.at_end


def test_an_end_offset_behind_the_file_is_the_end_of_the_file() -> None:
    """A list may give the same end to files of all lengths."""
    reader = PreparedReader(film(2), end_ms=60_000)
    assert pulled(reader)[-1][:2] == (AUDIO, 1980)
    assert reader.at_end


def test_a_growing_file_starves_and_goes_on() -> None:
    """Out of tags is not at the end, as long as the file is not whole."""
    file = film(3)
    file.grow_to(500)
    reader = PreparedReader(file)
    assert pulled(reader)[-1][1] == 500
    assert reader.starved
    assert not reader.at_end
    file.grow_to(600)
    assert [tag[1] for tag in pulled(reader)] == [520, 520, 540, 560, 560, 580, 600, 600]
    file.become_whole()
    assert pulled(reader)[-1][1] == 2980
    assert reader.at_end
    assert not reader.starved


def test_a_failed_preparation_is_played_to_its_last_tag() -> None:
    """The failure shows when there is nothing left to give."""
    file = film(3)
    file.grow_to(500)
    file.failed = SourceEnded("the origin went away")
    reader = PreparedReader(file)
    pulled(reader, 100)
    assert reader.failed is None
    pulled(reader)
    assert reader.failed is file.failed


def test_a_large_tag_is_given_whole() -> None:
    """A keyframe of 6 MiB may exist in intra-only files."""
    reader = PreparedReader(film(0.08, body_bytes=6 << 20))
    tags = []
    while not reader.at_end:
        tags += pulled(reader)
    assert [tag[1] for tag in tags if tag[0] == VIDEO] == [0, 40]


def test_the_kernel_is_told_ahead_of_the_reader() -> None:
    """Where it starts, before the first pull, and then again before it has gone through the 4 MiB it asked for."""
    file = film(8, body_bytes=40_000)
    reader = PreparedReader(file, start_ms=1000)
    assert file.advised == [file.index.place_offsets[2]]
    due_ms = 1000
    while not reader.at_end:
        due_ms += 320
        pulled(reader, due_ms)
    assert all(later - earlier <= 3 << 20 for earlier, later in pairwise([*file.advised, file.end_offset]))


def test_a_reader_reopened_after_a_break_goes_back_to_a_keyframe_and_keeps_the_end() -> None:
    """It holds the file for itself, and ends where the first would have."""
    file = film(5)
    first = PreparedReader(file, start_ms=1000, end_ms=4000)
    pulled(first, 2500)
    second = first.reopen_at_keyframe(first.position_ms)
    first.close()
    assert file.holders == 1
    assert second.start_dts_ms == 2000
    assert pulled(second)[0] == (VIDEO, 2000, KEY)
    assert second.position_ms == 4000
    assert second.at_end
    second.close()
    assert file.holders == 0


@pytest.mark.parametrize(("start_ms", "end_ms"), [(2000, None), (9000, None), (500, 500), (900, 100)])
def test_a_stretch_without_anything_in_it_is_refused(start_ms: int, end_ms: int | None) -> None:
    """An item that gives nothing would make an endless list spin."""
    with pytest.raises(SourceUnsupported, match="offset"):
        PreparedReader(film(2), start_ms, end_ms)


def test_offsets_count_from_the_first_picture() -> None:
    """Sound that primes its decoder comes before it: a start offset of a second is the keyframe a second after it."""
    tags: list[Tag] = [(AUDIO, ms, SOUND) for ms in range(0, 1000, 20)]
    tags += [(kind, 1000 + ms, body) for kind, ms, body in film(3).tags]
    file = MemoryFile(headers=HEADERS, tags=tags, duration_ms=4000)
    reader = PreparedReader(file, 1000, 1500)
    tags = pulled(reader)
    assert [stamp for tag_type, stamp, _ in tags if tag_type == VIDEO][-1] == 2480
    assert reader.start_dts_ms == 2000
    assert reader.position_ms == 1500


@pytest.mark.parametrize(("end_ms", "expected"), [(None, 3000), (2000, 2000), (9000, 3000)])
def test_the_end_is_known_once_the_file_is_whole(end_ms: int | None, expected: int) -> None:
    """Whichever comes first: the end asked for or the file's; nothing is promised while it grows."""
    file = film(3)
    reader = PreparedReader(file, 0, end_ms)
    assert reader.end_ms == expected
    file.grow_to(1000)
    assert reader.end_ms is None
