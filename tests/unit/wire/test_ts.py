"""Transport streams cut into segments: where, how long, and whatever pieces they come in."""

import random

import pytest

from streamferry.wire.ts import (
    LONGEST_TARGET_S,
    SEGMENT_S,
    SOUND_SEGMENT_S,
    TARGET_S,
    TS_PACKET_BYTES,
    TsSegmenter,
    target_s,
)

_WRAP = 1 << 33
VIDEO_PID, AUDIO_PID = 0x100, 0x101


def packet(pid: int, payload: bytes = b"", *, starts: bool = False, is_key: bool = False) -> bytes:
    """One packet, filled up by its adaptation field."""
    room = TS_PACKET_BYTES - 4 - 2 - len(payload)
    field = bytes([room + 1, 0x40 if is_key else 0]) + b"\xff" * room
    return bytes([0x47, (0x40 if starts else 0) | pid >> 8, pid & 0xFF, 0x30]) + field + payload


def frame(pid: int, stamp: float, *, is_key: bool = False) -> bytes:
    """A frame of two packets at a time in seconds."""
    pts = round(stamp * 90_000) % _WRAP
    coded = bytes((0x21 | pts >> 29 & 14, pts >> 22 & 255, pts >> 14 & 254 | 1, pts >> 7 & 255, pts << 1 & 254 | 1))
    head = b"\0\0\1" + (b"\xe0" if pid == VIDEO_PID else b"\xc0") + b"\0\0\x80\x80\5" + coded
    return packet(pid, head, starts=True, is_key=is_key) + packet(pid, b"more")


TABLES = packet(0, b"pat") + packet(0x1000, b"pmt")


def film(seconds: float, gop_s: float = 1.0, start: float = 0.0) -> bytes:
    """Ten pictures a second and sound beside each."""
    data = TABLES
    for number in range(round(seconds * 10)):
        stamp = start + number / 10
        data += frame(VIDEO_PID, stamp, is_key=number % round(gop_s * 10) == 0) + frame(AUDIO_PID, stamp)
    return data


@pytest.mark.parametrize(("gop_s", "expected"), [(1.0, SEGMENT_S), (1.5, 3.0), (8.0, 8.0), (10.0, 10.0)])
def test_segments_end_at_keyframes(gop_s: float, expected: float) -> None:
    """At the first one after the least length; each begins with the tables and a keyframe, and nothing is lost."""
    segmenter, data = TsSegmenter(), film(21, gop_s)
    segments = segmenter.feed(data) + segmenter.finish()
    assert [segment.duration_s for segment in segments[:-1]] == pytest.approx([expected] * (len(segments) - 1))
    assert sum(segment.duration_s for segment in segments) == pytest.approx(20.9)
    for segment in segments:
        assert segment.data.startswith(TABLES)
        first = segment.data[len(TABLES) :]
        assert (first[1] & 0x1F) << 8 | first[2] == VIDEO_PID
        assert first[5] & 0x40
    assert b"".join(segment.data[len(TABLES) :] for segment in segments) == data[len(TABLES) :]


@pytest.mark.parametrize("seed", range(20))
def test_no_segment_is_longer_than_the_first_one_announced(seed: int) -> None:
    """Keyframes anywhere, holes anywhere, sound with or without a picture: lengths fit, and nothing is lost."""
    chance = random.Random(seed)
    first_gop_s = chance.choice((0.5, 2.0, 4.0, 5.0, 9.0, 30.0))
    data, stamp, next_key = bytearray(TABLES), 0.0, 0.0
    while stamp < 120:
        is_key = stamp >= next_key
        data += frame(VIDEO_PID, stamp, is_key=is_key) + frame(AUDIO_PID, stamp)
        if is_key:
            next_key = stamp + (first_gop_s if not stamp else chance.choice((0.5, 1.0, 2.0, 6.0, 25.0)))
        stamp += 0.1 + (chance.random() < 0.005) * chance.choice((3, 8, 40))
    segmenter = TsSegmenter()
    segments = segmenter.feed(bytes(data)) + segmenter.finish()
    longest_s = target_s(segments[0].duration_s)
    assert TARGET_S <= longest_s <= LONGEST_TARGET_S
    # RFC 8216, 4.3.3.1: rounded to the nearest whole second.
    assert max(int(segment.duration_s + 0.5) for segment in segments) <= longest_s
    assert min(segment.duration_s for segment in segments) > 0
    assert b"".join(segment.data[len(TABLES) :] for segment in segments) == bytes(data[len(TABLES) :])


@pytest.mark.parametrize("size", [1, 100, 188, 1000])
def test_pieces_make_no_difference(size: int) -> None:
    """Split anywhere, the segments are the same."""
    data = film(5)
    whole, pieces = TsSegmenter(), TsSegmenter()
    found = [segment for at in range(0, len(data), size) for segment in pieces.feed(data[at : at + size])]
    assert found == whole.feed(data)
    assert pieces.finish() == whole.finish()


def test_time_that_wraps() -> None:
    """The 33 bits of a PTS are over after 26.5 hours: the lengths go on."""
    segments = TsSegmenter().feed(film(9, start=_WRAP / 90_000 - 3))
    assert [segment.duration_s for segment in segments] == pytest.approx([SEGMENT_S] * 4)


def test_sound_alone_is_cut_by_time() -> None:
    """There are no keyframes to wait for."""
    data = TABLES + b"".join(frame(AUDIO_PID, number / 10) for number in range(120))
    segments = TsSegmenter().feed(data)
    assert [segment.duration_s for segment in segments] == pytest.approx([SOUND_SEGMENT_S] * 2)


def test_sound_goes_on_where_the_picture_stops() -> None:
    """A camera that hangs: the sound is cut by time after a while, and at keyframes again when the picture is back."""
    sound = b"".join(frame(AUDIO_PID, 6 + number / 10) for number in range(300))
    segments = TsSegmenter().feed(film(6) + sound + film(6, start=36)[len(TABLES) :])
    lengths = [segment.duration_s for segment in segments]
    assert max(lengths) <= 2 * SOUND_SEGMENT_S
    assert sum(lengths) >= 40
    assert lengths[-1] == pytest.approx(SEGMENT_S)


def test_nothing_ends_as_nothing() -> None:
    """A stream that never began has no last segment."""
    segmenter = TsSegmenter()
    assert segmenter.feed(TABLES) + segmenter.finish() == []
