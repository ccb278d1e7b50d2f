"""What users choose for a list, and what of a file it touches."""

import pytest

from streamferry.media.errors import SourceUnsupported
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.input_description import InputDescription, VideoDescription
from streamferry.prepare.plan import COPY_OUTPUT, decide_plan
from streamferry.prepare.processing import FIRST, Encoder, Normalize, Processing

VIDEO = VideoForm("h264", 1280, 720)
AUDIO = AudioForm("aac", 48000, 2)
PLAIN = VideoDescription(VIDEO, "yuv420p", frame_rate=30.0)


def of_list(form: Form | None = None, *, silence: bool = True, encoder: Encoder | None = None) -> Processing:
    return Processing.of_list(FIRST, form=form, silence=silence, watermark=None, encoder=encoder)


def in_h264(form: Form | None = None, normalize: str = "first") -> Processing:
    """For a destination that takes nothing else."""
    return Processing.of_list(Normalize.parse(normalize), form=form, silence=True, watermark=None, only_h264=True)


@pytest.mark.parametrize("text", ["first", "copy", "1280x720", "96x8192"])
def test_a_choice_is_written_as_it_was_read(text: str) -> None:
    """``str`` and ``parse`` are each other's inverse."""
    assert str(Normalize.parse(text)) == text


@pytest.mark.parametrize("text", ["", "First", "1280", "1280*720", "1279x720", "1280x0000", "12x720", "16384x720"])
def test_a_bad_choice_names_its_field(text: str) -> None:
    """Odd sides cannot be coded as 4:2:0, tiny and huge ones not by anyone."""
    with pytest.raises(ValueError, match=r"^normalize: "):
        Normalize.parse(text)


def test_a_film_that_fits_is_copied() -> None:
    """With or without a form to fit."""
    inside = InputDescription(PLAIN, AUDIO)
    for form in (None, Form(VIDEO, AUDIO)):
        plan = decide_plan(inside, of_list(form))
        assert plan.output == COPY_OUTPUT
        assert plan.form == Form(VIDEO, AUDIO)
        assert not plan.encodes_video


def test_missing_sound_is_no_reason_to_encode() -> None:
    """Silence is laid beside the copy, in the form of the list's sound."""
    mono = AudioForm("aac", 44100, 1)
    plan = decide_plan(InputDescription(PLAIN), of_list(Form(VIDEO, mono)))
    assert (plan.output, plan.silence) == (COPY_OUTPUT, mono)
    assert decide_plan(InputDescription(PLAIN), of_list(silence=False)).silence is None


def test_a_list_that_asks_for_no_silence_leaves_sound_as_it_is() -> None:
    """Where a first item without sound gives no form for it."""
    plan = decide_plan(InputDescription(PLAIN, AudioForm("aac", 22050, 1)), of_list(Form(VIDEO, None), silence=False))
    assert plan.form.audio == AudioForm("aac", 22050, 1)
    assert plan.output == COPY_OUTPUT


@pytest.mark.parametrize(
    "inside",
    [
        VideoDescription(VIDEO, "yuv420p10le"),
        VideoDescription(VIDEO, "yuv444p"),
        VideoDescription(VIDEO, "yuv420p", interlaced=True),
        VideoDescription(VIDEO, "yuv420p", rotation=90),
        VideoDescription(VideoForm("av1", 1280, 720), "yuv420p"),
    ],
)
def test_what_destinations_refuse_is_encoded_and_nothing_else(inside: VideoDescription) -> None:
    """The picture alone: the sound is copied."""
    plan = decide_plan(InputDescription(inside, AUDIO), of_list())
    assert plan.encodes_video
    words = " ".join(plan.output)
    assert "-c:v libx264" in words
    assert "-c:a copy" in words


@pytest.mark.parametrize(
    ("rate_hz", "channels", "rate_after", "channels_after"),
    [(44100, 2, 44100, 2), (96000, 6, 48000, 2), (22050, 1, 48000, 1), (0, 0, 48000, 2)],
)
def test_sound_is_encoded_to_what_is_common(rate_hz: int, channels: int, rate_after: int, channels_after: int) -> None:
    """At most stereo, 44.1 or 48 kHz, also where ffmpeg cannot tell."""
    plan = decide_plan(InputDescription(PLAIN, AudioForm("flac", rate_hz, channels)), of_list())
    assert plan.form.audio == AudioForm("aac", rate_after, channels_after)
    assert not plan.encodes_video
    assert "-c:v copy" in " ".join(plan.output)


@pytest.mark.parametrize(
    ("size", "rate", "kbps"), [((1280, 720), 30, 3226), ((1280, 720), 60, 4839), ((160, 90), 25, 1000)]
)
def test_quality_is_constant_up_to_a_limit(size: tuple[int, int], rate: float, kbps: int) -> None:
    """The limit grows with the picture; half as much again for high frame rates."""
    plan = decide_plan(
        InputDescription(VideoDescription(VideoForm("vp9", *size), "yuv420p", frame_rate=rate)), of_list()
    )
    words = " ".join(plan.output)
    assert f"-maxrate {kbps}k -bufsize {2 * kbps}k" in words
    assert "-preset veryfast -crf 20" in words


def test_encoder_settings_reach_the_encoder_and_the_key() -> None:
    """Another setting is another prepared file."""
    processing = of_list(encoder=Encoder("slow", 18))
    plan = decide_plan(InputDescription(VideoDescription(VideoForm("vp9", 64, 64), "yuv420p")), processing)
    assert "-preset slow -crf 18" in " ".join(plan.output)
    assert processing.key != of_list().key


@pytest.mark.parametrize("inside", [InputDescription(), InputDescription(VideoDescription(VideoForm("wmv3", 0, 0)))])
def test_what_cannot_be_used_is_refused(inside: InputDescription) -> None:
    """Nothing to play, or a picture of no size."""
    with pytest.raises(SourceUnsupported):
        decide_plan(inside, of_list())


@pytest.mark.parametrize("normalize", ["first", "copy", "640x360"])
@pytest.mark.parametrize("video", ["h264", "hevc", "av1", "vp9", "mpeg4"])
@pytest.mark.parametrize("audio", ["aac", "mp3", "opus"])
def test_where_only_h264_is_taken_all_else_is_encoded(normalize: str, video: str, audio: str) -> None:
    """The picture, the sound, or both; what is H.264 and AAC is copied as ever."""
    size = (640, 360)
    inside = InputDescription(VideoDescription(VideoForm(video, *size), "yuv420p"), AudioForm(audio, 48000, 2))
    plan = decide_plan(inside, in_h264(normalize=normalize))
    assert plan.form == Form(VideoForm("h264", *size), AUDIO)
    assert plan.encodes_video is (video != "h264")
    assert ("audio" in plan.copies) is (audio == "aac")
    if (video, audio) == ("h264", "aac"):
        assert plan.output == COPY_OUTPUT
    else:
        assert ("libx264" in plan.output, "aac" in plan.output) == (video != "h264", audio != "aac")


def test_a_list_that_began_in_hevc_goes_on_in_h264() -> None:
    """Once its destination takes nothing else: in the same size."""
    hevc = VideoForm("hevc", 1280, 720)
    form = Form(hevc, AUDIO)
    assert decide_plan(InputDescription(VideoDescription(hevc, "yuv420p"), AUDIO), in_h264(form)).form.video == VIDEO
    assert decide_plan(InputDescription(PLAIN, AUDIO), in_h264(form)).output == COPY_OUTPUT


def test_what_is_encoded_for_a_destination_is_kept_apart() -> None:
    """The same file is in the cache once for each, and a job says which it is."""
    plain, wanted = of_list(), in_h264()
    assert plain.key != wanted.key
    assert [Processing.from_json(one.to_json()) for one in (plain, wanted)] == [plain, wanted]
    # What was prepared before there was a choice keeps its place.
    assert set(plain.to_json()) == {"strict", "form", "size", "silence", "watermark", "encoder"}
