"""Mp4Demuxer: tags of fragmented MP4, against what ffmpeg makes of the same file, and whatever happens to the bytes."""

import random
import re
from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import programs
from kit.clips import ClipFactory
from streamferry.media.tag import AUDIO, VIDEO, kind_of_audio, kind_of_video
from streamferry.wire.codecs import box
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.mp4 import Mp4Demuxer
from streamferry.wire.mp4.boxes import boxes, find
from streamferry.wire.parameter_sets import SequenceHeader

PLAIN = "frag_keyframe+empty_moov+default_base_moof"
#: As of ffmpeg's HLS; of files whose offsets count from the file's start; with edit lists; with negative offsets.
FLAGS = (PLAIN, "frag_keyframe+empty_moov", "cmaf+delay_moov", "dash+frag_keyframe+delay_moov+negative_cts_offsets")
FRAMES = (1, 2)


def demuxed(data, pieces=(65536,)):
    demuxer, out, at, number = Mp4Demuxer(), [], 0, 0
    while at < len(data):
        size = pieces[number % len(pieces)]
        demuxer.feed(memoryview(bytearray(data[at : at + size])), out)
        at, number = at + size, number + 1
    return out, demuxer


def fragmented(clip, *options, flags=PLAIN):
    made = clip.with_name(f"fragmented-{clip.stem}.mp4")
    copying = ("-c", "copy", "-movflags", flags, *options)
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", clip, "-map", "0", *copying, made])
    return made


def remuxed(path):
    """Tags of the FLV that ffmpeg makes of it."""
    flv = path.with_suffix(".flv")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", "-copyts", "-i", path, "-c", "copy", flv])
    data, out = memoryview(flv.read_bytes()), []
    scan_tags(data, FLV_HEADER_BYTES, len(data), out)
    return [(kind, stamp, bytes(body)) for kind, stamp, body in out]


def frames(tags, tag_type):
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == tag_type and kind_of(body) in FRAMES]


def headers(tags, tag_type):
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    found = [bytes(body) for kind, _, body in tags if kind == tag_type and kind_of(body) == 3]
    return [body for body in found if len(body) > 5 or tag_type == AUDIO]


def sample_of(body):
    """Of a picture: ffmpeg leaves out an offset of showing that is 0, where Enhanced RTMP lets it."""
    return body[5:] if body[0] == 0xA3 or not body[0] & 0x80 else body[8:]


def shown(tags):
    """When the first picture is shown, counted from the first sound."""
    picture = min(stamp + int.from_bytes(body[2:5], signed=True) for stamp, body in frames(tags, VIDEO))
    return picture - frames(tags, AUDIO)[0][0]


@pytest.mark.parametrize("name", ["h264_bframes", "h264_no_bframes", "aac_44100_mono", "hevc"])
@pytest.mark.parametrize("flags", FLAGS[:3])
def test_the_same_frames_as_ffmpeg_reads(clips, name, flags):
    """Equal byte for byte, and the same stamps, but for where they begin."""
    path = fragmented(clips(name), flags=flags)
    wanted, (got, demuxer) = remuxed(path), demuxed(path.read_bytes())
    shifts = set()
    for tag_type in (VIDEO, AUDIO):
        theirs, ours = frames(wanted, tag_type), frames(got, tag_type)
        if name == "hevc" and tag_type == VIDEO:
            assert [sample_of(body) for _, body in ours] == [sample_of(body) for _, body in theirs]
        else:
            assert [body for _, body in ours] == [body for _, body in theirs]
            assert headers(got, tag_type) == headers(wanted, tag_type)
        shifts |= {one[0] - other[0] for one, other in zip(ours, theirs, strict=True)}
        assert len(headers(got, tag_type)) == 1
    assert len(shifts) == 1
    assert (demuxer.is_known, demuxer.has_sound, demuxer.unsupported, demuxer.encrypted) == (True, True, "", "")
    assert demuxer.pending_ms is None


def test_negative_offsets_and_edit_lists_show_the_same(clips):
    """What is written with offsets below 0 is shown when it was with an edit list, and decoded before."""
    listed, _ = demuxed(fragmented(clips("h264_bframes"), flags=FLAGS[2]).read_bytes())
    negative, _ = demuxed(fragmented(clips("h264_bframes"), flags=FLAGS[3]).read_bytes())
    assert shown(negative) == shown(listed)
    assert all(int.from_bytes(body[2:5], signed=True) >= 0 for _, body in frames(negative, VIDEO))


def test_one_track_alone(clips):
    for name, tag_type in (("audio_only", AUDIO), ("video_only", VIDEO)):
        path = fragmented(clips(name))
        got, demuxer = demuxed(path.read_bytes())
        assert frames(got, tag_type) == frames(remuxed(path), tag_type)
        assert demuxer.has_sound == (tag_type == AUDIO)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mp4")
    return fragmented(ClipFactory(folder, folder / "made")("h264_bframes"), flags=FLAGS[2])


@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_any_cuts_give_the_same_tags(made, pieces):
    data = made.read_bytes()[:120_000]
    assert demuxed(data, pieces)[0] == demuxed(data)[0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_mutated_bytes_raise_nothing_and_end(made, seed):
    """Most of the changes are made in boxes, where each is one of a size, a count or a flag."""
    chance = random.Random(seed)
    data = bytearray(made.read_bytes()[:60_000])
    heads = [found.start() for found in re.finditer(b"moof|moov|trun|tfhd|stsd|esds|avcC", data)]
    for _ in range(chance.randrange(1, 40)):
        at = chance.choice((chance.randrange(len(data)), chance.choice(heads) + chance.randrange(-8, 40)))
        data[at : at + chance.choice((0, 1, 1, 4))] = chance.choice((b"\xff\xff\xff\xff", chance.randbytes(1), b"\0"))
    tags, _ = demuxed(bytes(data), (chance.randrange(1, 5000),))
    assert sum(len(body) for _, _, body in tags) <= 2 * len(data)


def parts(path):
    """The top-level boxes: (name, bytes)."""
    data = path.read_bytes()
    return [(name, box(name, bytes(content))) for name, content in boxes(memoryview(data))]


def test_boxes_that_are_of_no_use_are_passed_by(made):
    """Also one that is longer than what is held of any, and those that tell their size with 64 bits, or not at all."""
    more = [box(name, bytes(300)) for name in (b"styp", b"sidx", b"emsg", b"prft", b"free", b"uuid", b"what")]
    more.append(box(b"free", bytes(3 << 20)))
    told = [(name, one) for name, one in parts(made) if name != b"mfra"]
    rebuilt = b""
    for name, one in told:
        rebuilt += b"".join(more) if name in (b"moof", b"moov") else b""
        rebuilt += one
    assert demuxed(rebuilt, (4099,))[0] == demuxed(made.read_bytes())[0]
    # The last media box: a size of 1, and a size of 0. The offsets of the first count from its fragment.
    last = b"\0\0\0\0" + told[-1][1][4:]
    assert demuxed(b"".join(one for _, one in told[:-1]) + last)[0] == demuxed(made.read_bytes())[0]


def test_a_long_size(made):
    """Eight bytes more lie before the media; the fragment says so."""
    told = [(name, one) for name, one in parts(made) if name in (b"moov", b"moof", b"mdat")][:3]
    assert [name for name, _ in told] == [b"moov", b"moof", b"mdat"]
    moof = bytearray(told[1][1])
    at = 0
    while (at := moof.find(b"trun", at) + 4) > 3:
        moof[at + 8 : at + 12] = (int.from_bytes(moof[at + 8 : at + 12]) + 8).to_bytes(4)
    media = told[2][1]
    long = b"\0\0\0\1mdat" + (len(media) + 8).to_bytes(8) + media[8:]
    assert demuxed(told[0][1] + moof + long)[0] == demuxed(b"".join(one for _, one in told))[0]


def test_segments_apart_from_their_header(made):
    """As HLS has them, each segment fed after its beginning is told; a segment cut short costs what is missing."""
    told = parts(made)
    moov = next(one for name, one in told if name == b"moov")
    fragments = [one + two for (name, one), (_, two) in pairwise(told) if name == b"moof"]
    demuxer, out = Mp4Demuxer(), []
    for data in (moov, *fragments):
        demuxer.begin_segment()
        demuxer.feed(data, out)
    assert out == demuxed(made.read_bytes())[0]
    cut = []
    demuxer = Mp4Demuxer()
    for data in (moov, fragments[0][: len(fragments[0]) // 2], moov, fragments[1], fragments[2]):
        demuxer.begin_segment()
        demuxer.feed(data, cut)
    for tag_type in (VIDEO, AUDIO):
        whole, come = frames(out, tag_type), frames(cut, tag_type)
        assert [frame for frame in whole if frame in come] == come
        assert len(whole) > len(come) >= len(whole) * 2 // 3
        assert headers(cut, tag_type) == headers(out, tag_type)


def test_what_is_to_come_is_told(made):
    """Pictures of a fragment come before its sound: until that is there nothing is complete."""
    told = parts(made)
    head = b"".join(one for name, one in told[: [name for name, _ in told].index(b"mdat")])
    demuxer, out = Mp4Demuxer(), []
    demuxer.feed(head + told[3][1][:1000] if told[3][0] == b"mdat" else head, out)
    assert demuxer.pending_ms is not None
    assert demuxer.pending_ms < 100


def replaced(path, *names):
    data = path.read_bytes()
    for old, new in names:
        data = data.replace(old, new)
    return data


@pytest.mark.parametrize("name", ["ac-3", "Opus", "alac", "ec-3"])
def test_a_codec_that_is_not_read_is_told_by_its_name(made, name):
    tags, demuxer = demuxed(replaced(made, (b"mp4a", name.encode())))
    assert demuxer.unsupported.replace("E-AC", "ec").lower() == name.lower()
    assert frames(tags, VIDEO)


def test_what_is_encrypted_is_told_by_its_scheme(made):
    found = replaced(made, (b"avc1", b"encv"))
    assert demuxed(found)[1].encrypted == "cenc"
    assert not frames(demuxed(found)[0], VIDEO)


def test_media_that_is_not_in_fragments_is_told(clips):
    assert demuxed(clips("h264_bframes").read_bytes())[1].unsupported == "MP4 that is not fragmented"


@pytest.mark.parametrize(("name", "entry"), [("h264_bframes", "avc3"), ("hevc", "hev1")])
def test_parameter_sets_in_the_pictures_only(clips, name, entry):
    """The header has none: one with those of the first picture comes before it."""
    path = fragmented(clips(name, ".ts"), "-bsf:a", "aac_adtstoasc")
    tags, _ = demuxed(path.read_bytes())
    own, config = (b"avc1", b"avcC") if entry == "avc3" else (b"hvc1", b"hvcC")
    bare = bytearray(replaced(path, (own, entry.encode())))
    bare[bare.find(config) + (9 if entry == "avc3" else 26)] &= 0xE0
    again, _ = demuxed(bytes(bare))
    assert [sample for _, sample in frames(again, VIDEO)] == [sample for _, sample in frames(tags, VIDEO)]
    (header,) = headers(again, VIDEO)
    assert SequenceHeader.parse(header).has_all


def fields(name, version, flags, *numbers):
    return box(name, pack(f">{1 + len(numbers)}I", version << 24 | flags, *(n & 0xFFFFFFFF for n in numbers)))


def sound(moov):
    """Number and rate of the sound's track."""
    for name, trak in boxes(find(moov, b"moov")):
        if name == b"trak" and bytes(find(trak, b"mdia", b"hdlr")[8:12]) == b"soun":
            return int.from_bytes(find(trak, b"tkhd")[12:16])
    raise AssertionError


@pytest.fixture
def header(made):
    return next(one for name, one in parts(made) if name == b"moov")


def stamps_of(header, traf, media=bytes(64), offset=0):
    """Of the sound in a fragment by hand."""
    moof = box(b"moof", fields(b"mfhd", 0, 0, 1), traf)
    tags, _ = demuxed(header + moof + box(b"mdat", bytes(offset), media))
    return [stamp for stamp, _ in frames(tags, AUDIO)]


def test_defaults_of_the_track_and_of_the_fragment(header):
    number = sound(memoryview(header))
    tfdt = fields(b"tfdt", 0, 0, 48_000)
    edit_ms = -21
    # Duration and size of all in tfhd; no data offset; a fragment that does not say where it begins.
    tfhd = fields(b"tfhd", 0, 0x20018, number, 480, 16)
    first = stamps_of(header, box(b"traf", tfhd, tfdt, fields(b"trun", 0, 0, 4)))
    assert first == [1000 + edit_ms + 10 * n for n in range(4)]
    # Duration of each, in two runs, of which the second follows the first.
    own = fields(b"trun", 0, 0x101, 2, 0, 960, 480)
    moof_bytes = 8 + 16 + 8 + len(tfhd) + len(tfdt) + 2 * len(own) - 4
    own = fields(b"trun", 0, 0x101, 2, moof_bytes + 8, 960, 480)
    runs = box(b"traf", tfhd, tfdt, own, fields(b"trun", 0, 0x100, 2, 480, 480))
    assert stamps_of(header, runs) == [stamp + edit_ms for stamp in (1000, 1020, 1030, 1040)]
    # 64 bits.
    late = box(b"traf", tfhd, fields(b"tfdt", 1, 0, 100, 0), fields(b"trun", 0, 0, 1))
    assert stamps_of(header, late) == [round((100 << 32) / 48) + edit_ms]


@pytest.mark.parametrize("count", [5, 1 << 14, (1 << 32) - 1])
@pytest.mark.parametrize("size", [0, 1, 16, (1 << 32) - 1])
def test_counts_and_sizes_that_cannot_be(header, count, size):
    """Nothing is made of them but what is there, in no time; frames do not share bytes."""
    number = sound(memoryview(header))
    tfhd = fields(b"tfhd", 0, 0x20018, number, 480, size)
    found = stamps_of(header, box(b"traf", tfhd, *(fields(b"trun", 0, 1, count, 60) for _ in range(50))))
    assert len(found) <= 64


def test_a_box_that_is_smaller_than_its_head_ends_the_segment(made):
    told = parts(made)
    demuxer, out = Mp4Demuxer(), []
    for data in (told[1][1], b"\0\0\0\4moof" + told[2][1], told[2][1] + told[3][1]):
        demuxer.begin_segment()
        demuxer.feed(data, out)
    assert frames(out, VIDEO)
