"""Files that ffmpeg does not copy, or should not: they are encoded before they are given up, or built anew."""

from itertools import pairwise
from pathlib import Path

import pytest

from kit import probe
from kit.av_offset import av_offsets_ms
from kit.odd_files import FPS, SECONDS, film, joined, remuxed, run
from loopback.prepare.prepared import Outcome, assert_well_laid, prepare
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO
from streamferry.prepare.form import AudioForm, VideoForm
from streamferry.prepare.processing import FIRST, Processing
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags, serialize_flv_header, serialize_tag
from streamferry.wire.parameter_sets import SequenceHeader

STRICT = Processing.of_list(FIRST, form=None, silence=True, watermark=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    film(folder / "ordinary.mp4")
    return folder


def counts(outcome: Outcome) -> tuple[int, int]:
    kinds = [tag_type for tag_type, _, _ in outcome.frames]
    return kinds.count(VIDEO), kinds.count(AUDIO)


def headers_of(outcome: Outcome, tag_type: int) -> list[bytes]:
    """Of sound all that is said of it, of the picture its sequence headers."""
    told = [bytes(body) for kind, _, body in outcome.headers if kind == tag_type]
    return [body for body in told if tag_type == AUDIO or tag_kind(VIDEO, body) == SEQUENCE_HEADER]


@pytest.mark.parametrize("container", [".avi", ".h264"])
def test_packets_without_stamps_lost_the_whole_file(folder: Path, tmp_path: Path, container: str) -> None:
    """AVI has no PTS, bare H.264 no stamps at all; FLV's muxer refuses both. Every picture is there, in its order."""
    words = ("-an",) if container == ".h264" else ()
    outcome = prepare(remuxed(folder / "ordinary.mp4", tmp_path / f"film{container}", *words), tmp_path / "entry")
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    pictures, sounds = counts(outcome)
    assert pictures == SECONDS * FPS
    assert sounds == (pytest.approx(SECONDS * 48000 / 1024, abs=3) if container == ".avi" else 0)
    assert not outcome.summary.ended_early
    assert probe.decode_errors(outcome.flv) == ""


def test_a_transport_stream_whose_picture_comes_late(folder: Path, tmp_path: Path) -> None:
    """Two seconds of sound alone, then picture and sound: nothing of it was played."""
    sound = run("-i", folder / "ordinary.mp4", "-vn", "-c", "copy", path=tmp_path / "sound.ts")
    whole = remuxed(folder / "ordinary.mp4", tmp_path / "whole.ts")
    outcome = prepare(joined(tmp_path / "late.ts", sound, whole), tmp_path / "entry")
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    pictures, sounds = counts(outcome)
    assert pictures == SECONDS * FPS
    assert sounds == pytest.approx(2 * SECONDS * 48000 / 1024, abs=4)


def test_sound_with_a_layout_of_its_own_is_encoded(folder: Path, tmp_path: Path) -> None:
    """AAC with channelConfiguration 0: to two channels, with no header of Enhanced RTMP; the picture is copied."""
    clip = tmp_path / "pce.mp4"
    words = ("-c:v", "copy", "-af", "aformat=channel_layouts=5.1(side)", "-c:a", "aac")
    run("-i", folder / "ordinary.mp4", *words, path=clip)
    outcome = prepare(clip, tmp_path / "entry", processing=STRICT)
    assert outcome.summary.form.audio == AudioForm("aac", 48000, 2)
    (header,) = headers_of(outcome, AUDIO)
    assert header[:2] == b"\xaf\x00"
    assert int.from_bytes(header[2:4]) >> 3 & 15 == 2
    assert probe.coded_bytes(outcome.flv)["video"] == probe.coded_bytes(clip)["video"]


@pytest.mark.parametrize("container", [".mp4", ".ts"])
def test_plain_rtmp_got_a_tag_of_enhanced_rtmp(folder: Path, tmp_path: Path, container: str) -> None:
    """Six channels in the order that AAC numbers: they are copied, and MultichannelConfig stays away."""
    clip = tmp_path / f"surround{container}"
    run("-i", folder / "ordinary.mp4", "-c:v", "copy", "-af", "aformat=channel_layouts=5.1", "-c:a", "aac", path=clip)
    outcome = prepare(clip, tmp_path / "entry", processing=STRICT)
    assert outcome.summary.form.audio == AudioForm("aac", 48000, 6)
    assert [header[0] >> 4 for header in headers_of(outcome, AUDIO)] == [10]


@pytest.mark.parametrize(
    ("header", "channels"),
    [
        pytest.param("1308", 1, id="implicit"),
        pytest.param("2b118800", 1, id="HE-AAC told"),
        pytest.param("eb098800", 1, id="HE-AAC v2 told"),
    ],
)
def test_he_aac_keeps_its_header_and_its_pace(folder: Path, tmp_path: Path, header: str, channels: int) -> None:
    """A frame of HE-AAC lasts 1024 ticks of its core, not of what is heard: half speed was seen elsewhere (A05).

    No encoder of it is at hand: the frames are those of a core of 24 kHz, under each of the three headers.
    """
    words = ("-c:v", "copy", "-c:a", "aac", "-ar", "24000", "-ac", str(channels))
    clip = run("-i", folder / "ordinary.mp4", *words, path=tmp_path / "core.flv")
    data, tags = memoryview(clip.read_bytes()), []
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    asc = bytes.fromhex(header)
    film = tmp_path / "he.flv"
    at = next(at for at, (kind, _, body) in enumerate(tags) if kind == AUDIO and bytes(body[:2]) == b"\xaf\0")
    tags[at] = (AUDIO, tags[at][1], b"\xaf\0" + asc)
    film.write_bytes(serialize_flv_header(True, True) + b"".join(serialize_tag(*tag) for tag in tags))
    outcome = prepare(film, tmp_path / "entry")
    assert outcome.error == ""
    assert [body[2:] for body in headers_of(outcome, AUDIO)] == [asc]
    stamps = [ms for kind, ms, _ in outcome.frames if kind == AUDIO]
    assert {after - before for before, after in pairwise(stamps)} <= {42, 43}
    assert len(stamps) == sum(kind == AUDIO for kind, *_ in tags) - 1
    assert_well_laid(outcome.frames)


def emptied(path: Path) -> Path:
    """Without the parameter sets in its sample description: they stay in the pictures only, as in avc3 and hev1."""
    data = bytearray(path.read_bytes())
    for name, head in ((b"avcC", 6), (b"hvcC", 23)):
        at = data.find(name)
        if at >= 0:
            size = int.from_bytes(data[at - 4 : at])
            data[at + 4 + head - 1] = 0xE0 if name == b"avcC" else 0
            record = bytes(data[at + 4 : at + 4 + head]) + (b"\0" if name == b"avcC" else b"")
            rest = size - 8 - len(record)
            data[at - 4 : at] = (8 + len(record)).to_bytes(4)
            data[at + 4 : at - 4 + size] = record + rest.to_bytes(4) + b"free" + bytes(rest - 8)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_header_without_parameter_sets_was_sent(folder: Path, tmp_path: Path, codec: str) -> None:
    """It is built from the first picture, which brings them; the pictures are copied."""
    if codec == "h264":
        source = remuxed(folder / "ordinary.mp4", tmp_path / "sets.ts")
    else:
        encoder = ("-c:v", "libx265", "-preset", "ultrafast")
        encoder += ("-x265-params", "log-level=error:repeat-headers=1:keyint=25")
        source = run("-i", folder / "ordinary.mp4", *encoder, "-c:a", "copy", path=tmp_path / "sets.ts")
    words = ("-tag:v", "hev1") if codec == "hevc" else ()
    clip = emptied(remuxed(source, tmp_path / "emptied.mp4", *words))
    outcome = prepare(clip, tmp_path / "entry", processing=STRICT)
    assert outcome.error == ""
    assert outcome.summary.form.video == VideoForm(codec, 160, 96)
    (body,) = headers_of(outcome, VIDEO)
    header = SequenceHeader.parse(body)
    assert header is not None
    assert header.has_all
    assert counts(outcome)[0] == SECONDS * FPS
    assert probe.coded_bytes(outcome.flv)["video"] == probe.coded_bytes(clip)["video"]


def test_what_an_edit_list_hides_was_published(folder: Path, tmp_path: Path) -> None:
    """Cut to begin between keyframes: what its owner cut away stays away, and flashes and beeps are together."""
    long = film(tmp_path / "long.mp4", seconds=4, gop=100)
    cut = remuxed(long, tmp_path / "cut.mp4")
    run("-ss", "1.5", "-i", long, "-c", "copy", path=cut)
    outcome = prepare(cut, tmp_path / "entry", processing=STRICT)
    assert outcome.error == ""
    assert_well_laid(outcome.frames)
    assert outcome.summary.duration_ms == pytest.approx(2500, abs=100)
    offsets = av_offsets_ms(outcome.flv)
    assert len(offsets) == 2
    assert max(map(abs, offsets)) < 5 + 1000 / FPS / 2
    # What begins at a keyframe is copied.
    whole = prepare(long, tmp_path / "whole", processing=STRICT)
    assert probe.coded_bytes(whole.flv) == probe.coded_bytes(long)


def test_the_end_that_an_edit_list_hides_was_published(folder: Path, tmp_path: Path) -> None:
    """The list says one second of two: the rest is not sent."""
    data = bytearray(film(tmp_path / "film.mp4", gop=100).read_bytes())
    at = 0
    while (at := data.find(b"elst", at + 1)) > 0:
        data[at + 12 : at + 16] = (48000).to_bytes(4)
    (tmp_path / "film.mp4").write_bytes(data)
    outcome = prepare(tmp_path / "film.mp4", tmp_path / "entry", processing=STRICT)
    assert outcome.summary.duration_ms == pytest.approx(1000, abs=100)


def test_the_default_of_several_sounds_is_played(folder: Path, tmp_path: Path) -> None:
    """The second is marked: it is what players take. The first was played, and the others were not named."""
    clip = tmp_path / "two.mkv"
    sounds = ("-f", "lavfi", "-t", "2", "-i", "sine=sample_rate=44100")
    maps = ("-map", "0:v", "-map", "0:a", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    marks = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    run("-i", folder / "ordinary.mp4", *sounds, *maps, *marks, path=clip)
    assert prepare(clip, tmp_path / "entry", processing=STRICT).summary.form.audio == AudioForm("aac", 44100, 1)


def with_another_size(data: bytes) -> bytes:
    """An MP4 whose index is last, with a second sample description of another size in its picture's track."""
    at = data.index(b"avc1", data.index(b"stsd"))
    entry = bytearray(data[at - 4 : at - 4 + int.from_bytes(data[at - 4 : at])])
    entry[32:36] = (320).to_bytes(2) + (192).to_bytes(2)
    grown = bytearray(data[: at - 4 + len(entry)] + entry + data[at - 4 + len(entry) :])
    for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        box = data.rindex(name, 0, at) - 4
        grown[box : box + 4] = (int.from_bytes(data[box : box + 4]) + len(entry)).to_bytes(4)
    count = data.rindex(b"stsd", 0, at) + 8
    grown[count : count + 4] = (2).to_bytes(4)
    return bytes(grown)


def test_a_picture_of_two_sizes_in_one_track_is_brought_into_one(folder: Path, tmp_path: Path) -> None:
    """An MP4 with two sample descriptions: in a list the size changed in the midst of the stream."""
    clip = tmp_path / "two.mp4"
    clip.write_bytes(with_another_size((folder / "ordinary.mp4").read_bytes()))
    outcome = prepare(clip, tmp_path / "entry", processing=STRICT)
    assert outcome.summary.form.video == VideoForm("h264", 160, 96)
    assert probe.coded_bytes(outcome.flv)["video"] != probe.coded_bytes(clip)["video"]
    as_it_is = prepare(clip, tmp_path / "copy")
    assert probe.coded_bytes(as_it_is.flv)["video"] == probe.coded_bytes(clip)["video"]
