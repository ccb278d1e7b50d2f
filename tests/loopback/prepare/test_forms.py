"""Unlike files are brought into the form of the list's first, and only what differs is encoded."""

from itertools import pairwise
from pathlib import Path

import pytest

from kit import probe, programs
from kit.av_offset import av_offsets_ms
from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from kit.unlike import ORDINARY, UNLIKE, make
from loopback.prepare.prepared import Outcome, assert_well_laid, prepare
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.processing import FIRST, Normalize, Processing
from streamferry.prepare.store import PreparedStore
from streamferry.source.prepared import PreparedReader

FORM = Form(VideoForm("h264", 160, 96), AudioForm("aac", 48000, 2))
#: What differs in a file, and so is not what it was afterwards.
ENCODED = {
    "vp9.webm": "video and audio",
    "hevc.mp4": "video",
    "mpeg2.ts": "video and audio",
    "mp3.mp4": "audio",
    "ac3.mp4": "audio",
    "mono_22050.mp4": "audio",
    "portrait.mp4": "video",
    "interlaced.ts": "video",
    "anamorphic.mp4": "video",
    "ten_bits.mp4": "video",
    "rotated.mp4": "video",
    "audio_only.m4a": "video",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unlike")


def of_list(form: Form | None, normalize: Normalize = FIRST, *, silence: bool = True) -> Processing:
    return Processing.of_list(normalize, form=form, silence=silence, watermark=None)


def assert_is_of_form(outcome: Outcome, form: Form) -> None:
    """What was promised, what the decoder finds, and nothing it complains of."""
    assert outcome.summary.form == form
    assert_well_laid(outcome.frames)
    assert probe.form(outcome.flv) == form
    assert probe.decode_errors(outcome.flv) == ""


@pytest.mark.parametrize("name", [*UNLIKE, "rotated.mp4"])
def test_every_item_comes_out_in_the_form_of_the_list(folder: Path, tmp_path: Path, name: str) -> None:
    """The same codecs, size, pixels, rate and channels, whatever was in the file; what fitted was not touched."""
    clip = make(name, folder)
    outcome = prepare(clip, tmp_path / "entry", processing=of_list(FORM))
    assert_is_of_form(outcome, FORM)
    before, after = probe.coded_bytes(clip), probe.coded_bytes(outcome.flv)
    for kind in ("video", "audio"):
        if name != "no_audio.mp4" or kind == "video":
            assert (after.get(kind) == before.get(kind)) == (kind not in ENCODED.get(name, "")), kind
    assert abs(outcome.summary.duration_ms - 1000 * (1.5 if name == "audio_longer.mp4" else 1)) < 110


@pytest.mark.parametrize("ranges", [True, False])
def test_an_item_is_encoded_while_it_is_fetched(tmp_path: Path, folder: Path, ranges: bool) -> None:
    """Through the pipe, which is fed again from its start when it is clear that a copy will not do."""
    clip = make("vp9.webm", folder)
    with HttpFiles(folder) as files:
        files.ranges = ranges
        outcome = prepare(files.url(clip), tmp_path / "entry", processing=of_list(FORM))
    assert_is_of_form(outcome, FORM)
    assert abs(outcome.summary.duration_ms - 1000) < 110


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (ORDINARY, FORM),
        ("mono_22050.mp4", Form(FORM.video, AudioForm("aac", 22050, 1))),
        ("hevc.mp4", Form(VideoForm("hevc", 160, 96), FORM.audio)),
        ("vp9.webm", Form(FORM.video, AudioForm("aac", 48000, 1))),
        ("ac3.mp4", FORM),
        ("ten_bits.mp4", FORM),
        ("interlaced.ts", FORM),
        ("no_audio.mp4", FORM),
        ("rotated.mp4", Form(VideoForm("h264", 96, 160), FORM.audio)),
        ("audio_only.m4a", Form(None, FORM.audio)),
    ],
)
def test_the_first_item_gives_the_form(folder: Path, tmp_path: Path, name: str, form: Form) -> None:
    """Its own, if destinations commonly take it; else the nearest that they do."""
    assert_is_of_form(prepare(make(name, folder), tmp_path / "entry", processing=of_list(None)), form)


def test_anamorphic_pixels_are_a_form_too(folder: Path, tmp_path: Path) -> None:
    """A first item with wide pixels is copied, and an ordinary one gets them: the film looks as wide as before."""
    first = prepare(make("anamorphic.mp4", folder), tmp_path / "first", processing=of_list(None))
    second = prepare(make(ORDINARY, folder), tmp_path / "second", processing=of_list(first.summary.form))
    assert_is_of_form(second, first.summary.form)
    assert first.summary.form != FORM


def test_a_size_can_be_asked_for(folder: Path, tmp_path: Path) -> None:
    """The picture gets it; the sound is left alone. A film that has it already is copied."""
    clip = make(ORDINARY, folder)
    wide = prepare(clip, tmp_path / "wide", processing=of_list(None, Normalize.parse("256x96")))
    assert_is_of_form(wide, Form(VideoForm("h264", 256, 96), FORM.audio))
    assert probe.coded_bytes(wide.flv)["audio"] == probe.coded_bytes(clip)["audio"]
    same = prepare(clip, tmp_path / "same", processing=of_list(None, Normalize.parse("160x96")))
    assert probe.coded_bytes(same.flv) == probe.coded_bytes(clip)


@pytest.mark.parametrize("name", ["hevc.mp4", "vp9.webm", "mp3.mp4", "anamorphic.mp4", "ten_bits.mp4", "portrait.mp4"])
def test_copy_passes_on_what_flv_carries(folder: Path, tmp_path: Path, name: str) -> None:
    """Not a packet is changed, whatever the form of the list."""
    clip = make(name, folder)
    outcome = prepare(clip, tmp_path / "entry", processing=of_list(FORM, Normalize.parse("copy")))
    assert probe.coded_bytes(outcome.flv) == probe.coded_bytes(clip)


def test_copy_encodes_what_flv_does_not_carry(folder: Path, tmp_path: Path) -> None:
    """MPEG-2 and MP2 have no place in FLV."""
    outcome = prepare(make("mpeg2.ts", folder), tmp_path / "entry", processing=of_list(None, Normalize.parse("copy")))
    assert_is_of_form(outcome, Form(FORM.video, AudioForm("aac", 48000, 1)))


def test_silence_lasts_as_long_as_the_picture(folder: Path, tmp_path: Path) -> None:
    """A frame of AAC each 1,024 samples, none after the last picture; not one if it is turned off."""
    clip = make("no_audio.mp4", folder)
    stamps = [ms for kind, ms, _ in prepare(clip, tmp_path / "on", processing=of_list(None)).frames if kind == AUDIO]
    assert stamps == [round(i * 1024 / 48) for i in range(47)]
    off = prepare(clip, tmp_path / "off", processing=of_list(None, silence=False))
    assert {kind for kind, _, _ in off.frames} == {VIDEO}
    assert off.summary.form.audio is None


def test_keyframes_of_an_encode_are_at_most_two_seconds_apart(tmp_path: Path) -> None:
    """Also where nothing moves, at 60 frames a second."""
    clip = tmp_path / "grey.mkv"
    grey = ("-f", "lavfi", "-t", "5", "-i", "color=gray:size=64x64:rate=60")
    programs.run([programs.ffmpeg(), "-v", "error", *grey, "-c:v", "mpeg2video", clip])
    outcome = prepare(clip, tmp_path / "entry", processing=of_list(None))
    keys = [packet.dts_ms for packet in probe.packets(outcome.flv).video.packets if packet.is_key]
    assert len(keys) >= 3
    assert all(later - earlier <= 2000 for earlier, later in pairwise(keys))


def test_a_list_of_sound_refuses_a_silent_film(folder: Path, tmp_path: Path) -> None:
    """Nothing would be left of it."""
    processing = of_list(Form(None, FORM.audio))
    error = prepare(make("no_audio.mp4", folder), tmp_path / "entry", processing=processing).error
    assert error.startswith("SourceUnsupported")
    assert "the list is sound only" in error


@pytest.mark.parametrize(
    "form",
    [
        Form(VideoForm("h264", 160, 90), AudioForm("aac", 48000, 2)),
        Form(VideoForm("h264", 320, 180), AudioForm("aac", 44100, 1)),
        Form(VideoForm("hevc", 160, 90), AudioForm("aac", 44100, 1)),
    ],
)
def test_an_encode_keeps_sound_beside_the_picture(clips: ClipFactory, tmp_path: Path, form: Form) -> None:
    """Measured on flashes and beeps, where only the picture is encoded, only the sound, and both."""
    processing = of_list(form)
    clip = clips("flash_beep")
    prepared = av_offsets_ms(prepare(clip, tmp_path / "entry", processing=processing).flv)
    assert prepared == pytest.approx(av_offsets_ms(clip), abs=5)


async def test_a_two_hour_file_is_entered_at_its_end(tmp_path: Path) -> None:
    """A sparse file of a picture every 5 s, entered 6 s before its end: the player starts at the keyframe before."""
    clip = tmp_path / "sparse.mp4"
    slow = ("-f", "lavfi", "-t", "7200", "-i", "color=gray:size=64x64:rate=0.2", "-c:v", "libx264", "-g", "1")
    programs.run([programs.ffmpeg(), "-v", "error", *slow, "-preset", "ultrafast", "-pix_fmt", "yuv420p", clip])
    async with PreparedStore(tmp_path / "cache") as store:
        file = await store.open(MediaUrl.parse(str(clip)), None, 7_194_000, processing=of_list(None))
        reader = PreparedReader(file, 7_194_000)
        assert reader.start_dts_ms == 7_190_000
        reader.close()


async def test_what_is_not_kept_goes_with_its_holder(clips: ClipFactory, tmp_path: Path) -> None:
    """Each has its own; afterwards the cache holds no byte of any, not even a killed process's."""
    cache = tmp_path / "cache"
    left = cache / "unkept" / f"{'0' * 24}-{'1' * 40}"
    left.mkdir(parents=True)
    (left / "media.rtmp.part").write_bytes(bytes(100_000))
    async with PreparedStore(cache) as store:
        url = MediaUrl.parse(str(clips("two_seconds")))
        file = await store.open(url, keep=False)
        other = await store.open(url, keep=False)
        assert other is not file
        file.close()
        reader = PreparedReader(other)
        tags: list[Tag] = []
        start = reader.offset
        reader.advance(1 << 31)
        reader.tags(start, tags)
        assert tags
        tags.clear()
        reader.close()
    assert list((cache / "unkept").iterdir()) == []
