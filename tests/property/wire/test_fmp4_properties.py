"""Fragmented MP4 of any stream: how its tags are batched changes nothing of the media, and time is what it was."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from struct import unpack_from

from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.enhanced import tag_kind
from streamferry.media.starts import Starts
from streamferry.media.tag import AUDIO, KEYFRAME, START, VIDEO, LaidTag
from streamferry.wire.fmp4 import Fragmenter, Piece, end_of_fragment

AVC = "1700000000{}64000dffe1001a6764000dacd941519e226c0440000003004000000c83c50a658001000768eae3cb3002c0fdf8f800"
AVC_HEADERS = [bytes.fromhex(AVC.format("01")), bytes.fromhex(AVC.format("02"))]
AAC_HEADERS = [bytes.fromhex("af0012085" + "6e500"), bytes.fromhex("af0011900000")]


@dataclass(frozen=True)
class Sample:
    """``header`` counts the init segments before it; times in ms."""

    track: int
    header: int
    dts_ms: int
    duration_ms: int
    offset_ms: int
    is_key: bool
    data: bytes


def boxes(data: bytes) -> dict[bytes, list[bytes]]:
    """Contents of the boxes of one level, by name."""
    found: dict[bytes, list[bytes]] = defaultdict(list)
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8
        found[data[at + 4 : at + 8]].append(data[at + 8 : at + size])
        at += size
    assert at == len(data)
    return found


def samples_of(pieces: list[Piece]) -> list[Sample]:
    """Read the fragments as a player does."""
    found: list[Sample] = []
    header = 0
    sequence = 0
    for piece in pieces:
        if piece.mime:
            header += 1
            assert boxes(piece.data)[b"free"] == [piece.mime.encode()]
            continue
        assert end_of_fragment(piece.data) == len(piece.data)
        assert end_of_fragment(piece.data[:-1]) == 0
        (moof,) = boxes(piece.data)[b"moof"]
        assert unpack_from(">I", boxes(moof)[b"mfhd"][0], 4)[0] == sequence + 1
        sequence += 1
        first = len(found)
        for traf in boxes(moof)[b"traf"]:
            parts = boxes(traf)
            _, track, _ = unpack_from(">III", parts[b"tfhd"][0])
            _, dts_ms = unpack_from(">IQ", parts[b"tfdt"][0])
            flags, count, at = unpack_from(">IIi", parts[b"trun"][0])
            fields = ">IIIi" if flags & 0xC00 else ">II"
            for number in range(count):
                values = unpack_from(fields, parts[b"trun"][0], 12 + number * (16 if flags & 0xC00 else 8))
                duration_ms, size, sample_flags, offset_ms = (*values, 0x02000000, 0)[:4]
                is_key = sample_flags == 0x02000000
                data = piece.data[at : at + size]
                found.append(Sample(track, header, dts_ms, duration_ms, offset_ms, is_key, data))
                dts_ms += duration_ms
                at += size
        assert at == len(piece.data)
        if piece.is_start:
            pictures = [sample for sample in found[first:] if sample.track == 1]
            assert not pictures or pictures[0].is_key
    return found


@st.composite
def streams(draw: st.DrawFn) -> list[LaidTag]:
    """Laid tags: DTS rise in each track, tracks interleaved somehow, headers that come again and change."""
    clocks = {VIDEO: draw(st.integers(0, 1 << 34)), AUDIO: 0}
    clocks[AUDIO] = max(0, clocks[VIDEO] + draw(st.integers(-200, 200)))
    tags: list[LaidTag] = []
    starts = Starts()
    starts.begin(has_picture=draw(st.booleans()))

    def put(tag_type: int, body: bytes) -> None:
        kind = tag_kind(tag_type, body)
        if kind <= KEYFRAME:
            kind = starts.mark_picture(kind) if tag_type == VIDEO else starts.sound
        tags.append((tag_type, clocks[tag_type], body, kind))

    if draw(st.booleans()):
        put(AUDIO, AAC_HEADERS[0])
    if draw(st.booleans()):
        put(VIDEO, AVC_HEADERS[0])
    for number in range(draw(st.integers(0, 40))):
        what = draw(st.sampled_from("VVVVAAAAAAvak"))
        tail = number.to_bytes(2, "big")
        if what == "v":
            put(VIDEO, draw(st.sampled_from(AVC_HEADERS)))
        elif what == "a":
            put(AUDIO, draw(st.sampled_from(AAC_HEADERS)))
        elif what == "A":
            clocks[AUDIO] += draw(st.integers(1, 60))
            put(AUDIO, b"\xaf\x01" + tail)
        else:
            clocks[VIDEO] += draw(st.integers(1, 2000))
            offset = draw(st.integers(-100, 500)).to_bytes(3, "big", signed=True)
            put(VIDEO, (b"\x17" if what == "k" else b"\x27") + b"\x01" + offset + tail)
    return tags


def in_batches(tags: list[LaidTag], cuts: list[int]) -> list[Piece]:
    """What a fragmenter gives when the tags come in several batches, as views of a buffer that is used again."""
    places = sorted({0, len(tags), *(cut % (len(tags) + 1) for cut in cuts)})
    fragmenter = Fragmenter()
    pieces: list[Piece] = []
    for start, end in pairwise(places):
        buffers = [bytearray(tag[2]) for tag in tags[start:end]]
        views = [
            (tag[0], tag[1], memoryview(buffer), tag[3]) for tag, buffer in zip(tags[start:end], buffers, strict=True)
        ]
        pieces += fragmenter.put(views)
        for buffer in buffers:
            buffer[:] = b"\xee" * len(buffer)
    return pieces


@given(streams(), st.lists(st.integers(0, 60), max_size=10))
def test_any_batching_gives_the_same_media(tags: list[LaidTag], cuts: list[int]) -> None:
    """Each sample with its time, duration and header; only where fragments end differs."""

    def by_track(pieces: list[Piece]) -> list[Sample]:
        return sorted(samples_of(pieces), key=lambda sample: (sample.track, sample.dts_ms))

    assert by_track(in_batches(tags, cuts)) == by_track(in_batches(tags, []))


@given(streams())
def test_time_is_what_it_was(tags: list[LaidTag]) -> None:
    """Samples are those of the stream; one shift for both tracks, nothing shown before 0, no holes within a header."""
    found = samples_of(in_batches(tags, list(range(len(tags)))))
    sent = {(tag[0], tag[2][5:] if tag[0] == VIDEO else tag[2][2:]): tag for tag in tags if tag[3] <= KEYFRAME}
    shifts = set()
    for sample in found:
        tag = sent[VIDEO if sample.track == 1 else AUDIO, sample.data]
        shifts.add(tag[1] - sample.dts_ms)
        if sample.track == 1:
            assert sample.is_key == (tag[3] == START)
            assert sample.offset_ms == int.from_bytes(tag[2][2:5], "big", signed=True)
    assert len(shifts) <= 1
    for track in (1, 2):
        of_track = [sample for sample in found if sample.track == track]
        for before, after in pairwise(of_track):
            if before.header == after.header and (track == 2 or not after.is_key):
                assert before.dts_ms + before.duration_ms == after.dts_ms
        begun = {sample.header: sample for sample in reversed(of_track)}
        assert track == 2 or all(sample.is_key for sample in begun.values())
    if found:
        first = min(found, key=lambda sample: sample.header)
        assert first.dts_ms + first.offset_ms >= 0
