"""Headers of codecs become sample entries and names; the vectors are what ffmpeg 7 writes for 322 x 182 pixels."""

import pytest

from streamferry.wire.codecs import UnsupportedCodec, parse_audio_header, parse_video_header, split_audio, split_video

BASELINE = "17000000000142c00dffe100196742c00ddb05467889b011000003000100000300320f142ae001000568ca83cb20"
INTERLACED = (
    "1700000000017a0015ffe1001b677a0015b6cd941533c44d808800000300080000030190f8a14cb001000668faa3cb22c0fefafa00"
)
SCALED = "17000000000164000dffe1001a6764000dacd941519e226c0440000003004000000c83c50a658001000768eae3cb3002c0fdf8f800"
FULL_COLOUR = (
    "170000000001f4000dffe1001b67f4000d919b282a33c7c5e022000003000200000300641e28532c01000668eae3c44844fff8f800"
)
GRAY = "17000000000164000dffe1001b6764000df365054678f8bc05b2000003000200000300641e28532c01000668eae3cb22c0fcf8f800"
HEVC = (
    "90687663310101600000009000000000003cf000fcfdf8f800000f01"
    "210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf01680800000030080000"
    "00c84"
)
HEVC_LAYERS = (
    "90687663310104080000009c08000000003cf000fcfffafa00001b01"
    "210001002f4201040408000003009c0800000300003c000090014901739edb2caca5652b2c9265780b4040000003004000000642"
)


@pytest.mark.parametrize(
    ("header", "codecs"),
    [
        (BASELINE, "avc1.42C00D"),
        (INTERLACED, "avc1.7A0015"),
        (SCALED, "avc1.64000D"),
        (FULL_COLOUR, "avc1.F4000D"),
        (GRAY, "avc1.64000D"),
        (HEVC, "hvc1.1.6.L60.90"),
        (HEVC_LAYERS, "hvc1.4.10.L60.9C.8"),
    ],
)
def test_a_picture_is_named_and_measured(header, codecs):
    """Whatever the profile: cropped, interlaced, in other colours, with scaling lists, with temporal layers."""
    form = parse_video_header(bytes.fromhex(header))
    assert (form.codecs, form.width, form.height) == (codecs, 322, 182)
    assert bytes.fromhex(header)[5:] in form.entry


def test_hevc_as_chinese_networks_send_it_is_the_same():
    """Codec 12 of FLV's own form and ``hvc1`` of Enhanced RTMP carry the same header."""
    config = bytes.fromhex(HEVC)[5:]
    assert parse_video_header(b"\x1c\0\0\0\0" + config) == parse_video_header(bytes.fromhex(HEVC))


@pytest.mark.parametrize(
    ("header", "codecs", "channels_and_rate"),
    [
        ("af00120856e500", "mp4a.40.2", "0001 0010 0000 0000 ac44 0000"),
        ("906d7034611190", "mp4a.40.2", "0002 0010 0000 0000 bb80 0000"),
        ("904f7075734f707573486561640101380180bb0000000000", "opus", "0001 0010 0000 0000 bb80 0000"),
    ],
)
def test_sound_is_named(header, codecs, channels_and_rate):
    """AAC in both forms, and Opus."""
    form = parse_audio_header(bytes.fromhex(header))
    assert form.codecs == codecs
    assert bytes.fromhex(channels_and_rate) in form.entry


def test_numbers_of_opus_are_turned_round():
    """OpusHead has the low byte first, MP4 the high one: 312 samples to be skipped, 48,000 Hz."""
    entry = parse_audio_header(bytes.fromhex("904f7075734f707573486561640101380180bb0000000000")).entry
    assert entry.endswith(b"dOps\x00\x01" + (312).to_bytes(2, "big") + (48000).to_bytes(4, "big") + bytes(3))


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"\x27\x01\x00\x00\x50frame", (80, b"frame")),
        (b"\x27\x01\xff\xff\xd8frame", (-40, b"frame")),
        (b"\xa1hvc1\x00\x00\x28frame", (40, b"frame")),
        (b"\xa3hvc1frame", (0, b"frame")),
    ],
)
def test_a_picture_and_its_offset(body, wanted):
    """The time from decoding to showing has a sign, and a form of Enhanced RTMP leaves it out."""
    assert split_video(body) == wanted


def test_sounds():
    """In both forms."""
    assert split_audio(b"\xaf\x01sound") == split_audio(b"\x91Opussound") == b"sound"


@pytest.mark.parametrize(
    ("split", "body", "name"),
    [
        (split_video, b"\x22frame", "Sorenson H.263"),
        (split_video, b"\x2d\x01frame", "AV1"),
        (split_video, b"\x91av01frame", "AV1"),
        (split_video, b"\x91abcdframe", "abcd"),
        (split_video, b"\x96hvc1frame", "several tracks"),
        (split_audio, b"\x2fsound", "MP3"),
        (split_audio, b"\x6fsound", "Nellymoser"),
        (split_audio, b"\x91fLaCsound", "fLaC"),
        (parse_audio_header, b"\x90ec-3", "E-AC-3"),
        (parse_video_header, b"\x90vp09", "VP9"),
    ],
)
def test_other_codecs_are_refused_by_name(split, body, name):
    """So that the user knows what the matter is."""
    with pytest.raises(UnsupportedCodec, match=name):
        split(body)


@pytest.mark.parametrize("header", [BASELINE, INTERLACED, HEVC, HEVC_LAYERS])
def test_a_damaged_header_is_a_value_error(header):
    """Wherever it was cut off before the size of the picture, and with no parameter set at all."""
    whole = bytes.fromhex(header)
    for end in range(5, 18):
        with pytest.raises(ValueError):
            parse_video_header(whole[:end])
    with pytest.raises(ValueError):
        parse_audio_header(b"\xaf\x00\x12")
