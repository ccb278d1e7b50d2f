"""The form of media by its headers: what is taken as it is, and what is to be encoded."""

import random
from contextlib import suppress
from fractions import Fraction

import pytest

from streamferry.media.errors import SourceNeedsEncoding
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.processing import Normalize
from streamferry.relay.header_forms import audio_form, check_form, check_h264, form_of, video_form
from streamferry.relay.inputs.run_form import RunForm
from streamferry.timeline import Timeline
from streamferry.wire.aac import silent_header

#: 1280x720 of H.264 as x264 writes it, in square pixels; and what comes before a sequence parameter set.
SPS = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")
STEREO, MONO = silent_header(44100, 2), silent_header(48000, 1)
ON_AIR = Form(VideoForm("h264", 1280, 720), AudioForm("aac", 44100, 2))


def avc_header(sps: bytes = SPS) -> bytes:
    """The body of a sequence header with that parameter set."""
    return b"\x17\0\0\0\0" + b"\1" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2) + sps + b"\1\0\4\x68\xeb\xe3\xcb"


def test_a_form_is_read_from_headers() -> None:
    """Codec, size and sound; a header that is damaged has none."""
    assert form_of([(VIDEO, avc_header()), (AUDIO, STEREO)]) == ON_AIR
    assert video_form(avc_header()[:13]) is None
    assert audio_form(b"\xaf") is None
    assert audio_form(b"\x2f\0") is None


@pytest.mark.parametrize(
    "tag",
    [
        (VIDEO, 0, b"\x1c\0\0\0\0" + bytes(30)),
        (VIDEO, 0, b"\x90av01" + bytes(20)),
        (VIDEO, 0, avc_header()[:13]),
        (AUDIO, 0, MONO),
        (AUDIO, 0, b"\x2f" + bytes(100)),
    ],
)
def test_what_differs_is_to_be_encoded(tag: Tag) -> None:
    """Another codec, channel count or rate, a header that cannot be read, sound without headers."""
    with pytest.raises(SourceNeedsEncoding):
        check_form([tag], ON_AIR)


def test_what_has_the_form_is_taken_and_a_track_that_the_form_has_not_is_free() -> None:
    """Frames are not looked into; nor is what carries nothing."""
    frames: list[Tag] = [(VIDEO, 0, b"\x17\1" + bytes(9)), (AUDIO, 0, b"\xaf\1\0"), (VIDEO, 0, b""), (AUDIO, 0, b"")]
    check_form([(VIDEO, 0, avc_header()), (AUDIO, 0, STEREO), (SCRIPT, 0, b""), *frames], ON_AIR)
    check_form([(AUDIO, 0, MONO), *frames], Form(ON_AIR.video))


def test_no_bytes_of_a_source_raise_anything_else() -> None:
    """Whatever a source sends, checks take it or say that it is to be encoded."""
    chance = random.Random(11)
    for _ in range(3000):
        head = chance.choice((avc_header(), STEREO, b"\x90hvc1", b"\x86", b"\x95", b""))
        body = bytearray(head[: chance.randrange(len(head) + 1)] + chance.randbytes(chance.randrange(12)))
        if body:
            body[chance.randrange(len(body))] = chance.randrange(256)
        for check in (check_h264, lambda tags: check_form(tags, ON_AIR)):
            with suppress(SourceNeedsEncoding):
                check([(chance.choice((AUDIO, VIDEO, SCRIPT)), 0, bytes(body))])


def test_the_form_of_a_run_is_that_of_its_first_input_and_stays() -> None:
    """A track that comes later is added to it; one that changes is not."""
    form, timeline = RunForm(), Timeline()
    form.follow(Normalize())
    timeline.begin_live()
    assert not form.learn(timeline)
    timeline.lay([(VIDEO, 0, avc_header()), (VIDEO, 0, b"\x17\1" + bytes(30))], [])
    assert form.learn(timeline)
    assert form.form == Form(ON_AIR.video)
    timeline.lay([(AUDIO, 40, STEREO), (AUDIO, 40, b"\xaf\1\0\0")], [])
    assert form.learn(timeline)
    assert form.form == ON_AIR
    timeline.lay([(AUDIO, 80, MONO), (AUDIO, 80, b"\xaf\1\0\0")], [])
    assert not form.learn(timeline)
    assert form.form == ON_AIR


def test_a_size_is_known_before_anything_is_on_air() -> None:
    """The sound is that of the first input."""
    form, timeline = RunForm(), Timeline()
    form.follow(Normalize.parse("640x360"))
    assert form.form == Form(VideoForm("h264", 640, 360))
    timeline.begin_live()
    timeline.lay([(VIDEO, 0, avc_header()), (AUDIO, 0, STEREO), (VIDEO, 0, b"\x17\1" + bytes(30))], [])
    assert form.learn(timeline)
    assert form.form == Form(VideoForm("h264", 640, 360), ON_AIR.audio)
    form.follow(Normalize(copies=True))
    assert form.form is None


@pytest.mark.parametrize(
    ("vui", "aspect"),
    [
        ("0", Fraction(1)),
        ("1 0", Fraction(1)),
        ("1 1 00001110", Fraction(4, 3)),
        ("1 1 00010001", Fraction(1)),
        ("1 1 11111111 0000000001000000 0000000000101101", Fraction(64, 45)),
        ("1 1 11111111 0000000000000000 0000000000101101", Fraction(1)),
    ],
)
def test_the_shape_of_pixels_is_part_of_the_form(vui: str, aspect: Fraction) -> None:
    """By number, by two numbers, or square where nothing is told that could be."""
    # Id, frame number, order, references, gaps, 20x15 macroblocks, progressive, 8x8, no cropping; then the VUI.
    bits = f"1 1 1 1 010 0 000010100 0001111 1 1 0 {vui} 1".replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    sps = b"\x67\x42\0\x1f" + int(bits, 2).to_bytes(len(bits) // 8)
    assert video_form(avc_header(sps)) == VideoForm("h264", 320, 240, aspect)
