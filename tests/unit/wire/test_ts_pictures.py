"""Pictures of byte streams as encoders pad and divide them: the tags are those of the tidy stream."""

import random

import pytest

from kit.odd_files import film, remuxed
from streamferry.media.tag import VIDEO, kind_of_video
from streamferry.wire.codecs import may_have_fields
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.mpegts import TsDemuxer
from streamferry.wire.mpegts.pictures import Pictures, units_of
from streamferry.wire.parameter_sets import SequenceHeader

KEYFRAME, HEADER = 2, 3
SLICES, SPS = (1, 5), 7
CODES = (b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\0\1")
TAILS = (b"", b"\0", b"\0\0", b"\0\0\0\0\0")


def video_of(flv):
    data, tags = memoryview(flv.read_bytes()), []
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == VIDEO]


def units_in(body):
    """The NAL units of a frame, each after its length."""
    units, at = [], 5
    while at < len(body):
        size = int.from_bytes(body[at : at + 4])
        units.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return units


def slices_in(body):
    """What is not a slice may be left out."""
    return [unit for unit in units_in(body) if unit[0] & 0x1F in SLICES]


def written(units, randoms):
    return b"".join(randoms.choice(CODES) + unit + randoms.choice(TAILS) for unit in units)


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory):
    """A transport stream of pictures of two fields, and the same packets as ffmpeg writes them to FLV."""
    folder = tmp_path_factory.mktemp("interlaced")
    words = ("-x264-params", "interlaced=1:b-adapt=0")
    ts = film(folder / "interlaced.ts", *words)
    return ts.read_bytes(), video_of(remuxed(ts, folder / "interlaced.flv"))


def test_mixed_start_codes_and_padding_made_empty_units(clips):
    """Codes of three and four bytes, zeros before and after (R12): no empty unit, no zero that was not coded."""
    tidy = video_of(clips("h264_bframes", ".flv"))
    header = next(body for _, body in tidy if kind_of_video(body) == HEADER)
    sets = list(SequenceHeader.parse(header).sets)
    randoms = random.Random(12)
    for _ in range(30):
        pictures, out = Pictures("h264"), []
        frames = [(stamp, body) for stamp, body in tidy if kind_of_video(body) != HEADER][:10]
        for number, (stamp, body) in enumerate(frames):
            units = [b"\x09\xf0", *(sets if number == 0 else []), *units_in(body)]
            ahead_ms = int.from_bytes(body[2:5], signed=True)
            pictures.put_units(units_of(written(units, randoms)), 90 * (stamp + ahead_ms), 90 * stamp, out)
        assert [(stamp, body) for _, stamp, body in out][1:] == frames
        assert SequenceHeader.parse(out[0][2]).sets == tuple(sets)


def test_pictures_of_two_fields_in_one_slice_are_copied(interlaced):
    """Interlaced transport streams (R13): every picture arrives as ffmpeg copies it."""
    data, expected = interlaced
    frames = [body for _, body in expected if kind_of_video(body) <= KEYFRAME]
    demuxer, out = TsDemuxer(), []
    demuxer.feed(data, out)
    demuxer.finish(out)
    found = [bytes(body) for kind, _, body in out if kind == VIDEO]
    assert may_have_fields(next(one for one in SequenceHeader.parse(found[0]).sets if one[0] & 0x1F == SPS))
    assert [slices_in(body) for body in found[1:]] == [slices_in(body) for body in frames]
    assert [body[:5] for body in found[1:]] == [body[:5] for body in frames]


@pytest.mark.parametrize("packets", [1, 2])
def test_the_fields_of_a_picture_apart(interlaced, packets):
    """Two access units (R13, PAFF), in one packet or in one each: all of them, in order.

    The second field of the first picture was one of its own, with the time of the next picture."""
    _, expected = interlaced
    header = next(body for _, body in expected if kind_of_video(body) == HEADER)
    sets = SequenceHeader.parse(header).sets
    pictures, out = Pictures("h264"), []
    sent = []
    for number in range(6):
        # first_mb_in_slice 0 in both; the second field of the first picture needs the first.
        fields = [bytes((0x65 if number == 0 else 0x41, 0x88)), bytes((0x41, 0x9A))]
        fields = [field + bytes((number + 1, place + 1)) for place, field in enumerate(fields)]
        sent += fields
        parts = [fields] if packets == 1 else [[field] for field in fields]
        for place, part in enumerate(parts):
            at = 90_000 + number * 3600 + place * 1800
            pictures.put_units([b"\x09\xf0", *(sets if number == place == 0 else ()), *part], at, at, out)
    frames = [(stamp, bytes(body)) for _, stamp, body in out[1:]]
    assert [unit for _, body in frames for unit in units_in(body)] == sent
    assert len(frames) == 6 * packets
    assert [stamp for stamp, _ in frames] == sorted({stamp for stamp, _ in frames})
    assert kind_of_video(frames[0][1]) == KEYFRAME
