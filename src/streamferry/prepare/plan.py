"""What has to be done to a file, from its content and the wanted result: pure decisions, as ffmpeg arguments.

A track is copied when it can be, and only what cannot is encoded:

                  copied if                                              else encoded to
    video, copy   H.264, HEVC, AV1, VP9                                  H.264, its own size in square pixels
    video, strict H.264 or HEVC, 8 bits 4:2:0, progressive, not rotated  the same
           + form it has that form as well                               that form, letterboxed
    watermark     never                                                  the same or that form
    audio, copy   AAC, MP3, Opus                                         AAC, at most stereo, 44.1 or 48 kHz
    audio, strict AAC                                                    the same
           + form it has that form as well                               that form

With ``only_h264`` no picture is copied but H.264, and no sound but AAC. Nothing of a track is copied that
``InputDescription.encodes`` names. A track that is missing: silence (see ``silence``) where it is asked for, black
pictures where the form has a picture.
"""

from dataclasses import dataclass
from fractions import Fraction

from streamferry.media.errors import SourceUnsupported
from streamferry.media.watermark import Watermark
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.input_description import InputDescription, VideoDescription
from streamferry.prepare.processing import Encoder, Processing
from streamferry.reasons import Code
from streamferry.wire.aac import SILENT_CHANNELS, SILENT_RATES

#: Keyframes of encoded video are at most this far apart: what platforms ask for, and where lists can be entered.
KEYFRAME_SECONDS = 2

_CARRIED_VIDEO = frozenset(("h264", "hevc", "av1", "vp9"))
_CARRIED_AUDIO = frozenset(("aac", "mp3", "opus"))
_COMMON_VIDEO = frozenset(("h264", "hevc"))
_COMMON_PIXELS = frozenset(("yuv420p", "yuvj420p"))
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_COMMON_RATES = (44100, 48000)
_MAX_CHANNELS = 2
_SILENCE = AudioForm("aac", 48000, 2)
_BLACK_FPS = 25
# The most that constant quality may take, so that noise and confetti do not burst a destination's limit: 720p 3.2,
# 1080p 7.3 Mbps, where platforms ask for 3-6 and 4-9. High frame rates get half as much again.
_MAX_KBPS_PER_PIXEL = 0.0035
_MIN_MAX_KBPS = 1000
_HIGH_FRAME_RATE = 40
# How long sound waits for pictures, in us of media. ffmpeg's own 10 s are less than libx264 looks ahead (40 frames) at
# one frame a second; without a limit a file with all sound after all pictures would be held in memory.
_INTERLEAVE_US = "60000000"
_AAC_KBPS_PER_CHANNEL = 64
_AAC_KBPS_BESIDES = 32


_TRACKS = frozenset(("video", "audio"))


@dataclass(frozen=True, slots=True)
class Plan:
    """``reading``: options of the first input. ``inputs``: arguments of further inputs. ``output``: what follows all
    inputs, but for the FLV muxer.

    ``form`` is what comes out. ``silence`` has to be laid beside it. ``encodes_video``: it takes long and many cores.
    ``copies``: of ``video`` and ``audio`` those that are copied if they are there.
    """

    inputs: tuple[str, ...]
    output: tuple[str, ...]
    form: Form
    silence: AudioForm | None = None
    encodes_video: bool = False
    reading: tuple[str, ...] = ()
    copies: frozenset[str] = _TRACKS


#: Copies the first picture and the first sound: every preparation begins with this, before the content is known.
COPY_OUTPUT = ("-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy")


def decide_plan(inside: InputDescription, processing: Processing, mark_path: str = "") -> Plan:
    """What to do. ``mark_path`` is the file of the watermark's picture. Raises SourceUnsupported."""
    if inside.video is None and inside.audio is None:
        raise SourceUnsupported(Code.FILE_NO_TRACKS)
    video = _video_form(inside, processing)
    audio = _audio_form(inside, processing)
    silence = audio if inside.audio is None else None
    form = Form(video, audio)
    copies_video = video is None or _is_copied_video(inside, video, processing)
    copies_audio = audio == inside.audio and "audio" not in inside.encodes
    if copies_video and copies_audio and (video is None) == (inside.video is None):
        return Plan((), _copy(inside), form)
    if copies_video and silence and video is not None:
        return Plan((), _copy(inside), form, silence)
    inputs: list[str] = []
    output: list[str] = []
    if video is not None and copies_video:
        output += ["-map", inside.video_specifier, "-c:v", "copy"]
    elif video is not None:
        graph = _graph(inside, video, processing.watermark, inputs, mark_path)
        rate = inside.video.frame_rate if inside.video else _BLACK_FPS
        output += ["-filter_complex", graph, "-map", "[picture]", *_encode_video(video, rate, processing.encoder)]
    if inside.audio is not None and audio is not None:
        sound = ("-c:a", "copy") if copies_audio else _encode_audio(audio)
        output += ["-map", inside.audio_specifier, *sound]
    elif video is None:
        raise SourceUnsupported(Code.FILE_NO_SOUND)
    if inside.video is None and video is not None:
        output.append("-shortest")
    output += ["-max_interleave_delta", _INTERLEAVE_US]
    # A picture that changes its size is fitted by the filters as they are: new ones would be without the mark, whose
    # only frame has passed.
    reading = ("-reinit_filter", "0") if processing.watermark is not None else ()
    copied = ("video",) * (copies_video and video is not None) + ("audio",) * (copies_audio and audio is not None)
    return Plan(
        tuple(inputs),
        tuple(output),
        form,
        silence,
        encodes_video=not copies_video,
        reading=reading,
        copies=frozenset(copied),
    )


def _copy(inside: InputDescription) -> tuple[str, ...]:
    """Copies the tracks that are played."""
    if not inside.left_out:
        return COPY_OUTPUT
    numbers = (number for number in (inside.video_number, inside.audio_number) if number >= 0)
    return (*(word for number in numbers for word in ("-map", f"0:{number}")), "-c", "copy")


def _video_form(inside: InputDescription, processing: Processing) -> VideoForm | None:
    """What the picture has to become."""
    found = inside.video
    forced = processing.forced_video
    if processing.form is not None or found is None:
        return forced
    if forced is not None and (found.form.width, found.form.height) != processing.size:
        return forced
    if _is_carried(inside, found, processing) and processing.watermark is None:
        return found.form
    if not found.form.width:
        raise SourceUnsupported(Code.FILE_NO_PICTURE_SIZE)
    return forced or VideoForm("h264", *found.shown_size)


def _is_copied_video(inside: InputDescription, wanted: VideoForm, processing: Processing) -> bool:
    found = inside.video
    return (
        found is not None
        and processing.watermark is None
        and found.form == wanted
        and _is_carried(inside, found, processing)
    )


def _is_carried(inside: InputDescription, found: VideoDescription, processing: Processing) -> bool:
    if "video" in inside.encodes or (processing.only_h264 and found.form.codec != "h264"):
        return False
    if not processing.strict:
        return found.form.codec in _CARRIED_VIDEO
    return (
        found.form.codec in _COMMON_VIDEO
        and found.form.width > 0
        and found.pixels in _COMMON_PIXELS
        and not found.interlaced
        and found.rotation == 0
    )


def _audio_form(inside: InputDescription, processing: Processing) -> AudioForm | None:
    """What the sound has to become, or the silence to be."""
    found = inside.audio
    wanted = processing.form.audio if processing.form is not None else None
    if found is None:
        return (wanted or _SILENCE) if processing.silence else None
    if wanted is not None:
        return wanted
    carried = found.codec == "aac" and found.rate_hz in SILENT_RATES and found.channels in SILENT_CHANNELS
    passes = found.codec == "aac" if processing.only_h264 else found.codec in _CARRIED_AUDIO
    if "audio" not in inside.encodes and (carried or (passes and not processing.strict)):
        return found
    rate = found.rate_hz if found.rate_hz in _COMMON_RATES else _COMMON_RATES[-1]
    return AudioForm("aac", rate, min(found.channels, _MAX_CHANNELS) or _MAX_CHANNELS)


def _graph(
    inside: InputDescription, video: VideoForm, mark: Watermark | None, inputs: list[str], mark_path: str
) -> str:
    """The filter graph from the input's picture to ``[picture]``."""
    found = inside.video
    size = f"{video.width}:{video.height}"
    aspect = f"{video.pixel_aspect.numerator}/{video.pixel_aspect.denominator}"
    if found is None:
        inputs += ["-f", "lavfi", "-i", f"color=c=black:s={video.width}x{video.height}:r={_BLACK_FPS}"]
        steps = ["[1:v]null"]
    else:
        steps = [f"[{inside.video_specifier}]null"]
        if found.interlaced:
            steps.append("bwdif=mode=send_frame")
        # As large as fits, in this picture's own proportions; the rest is black. The expressions see every frame's
        # own size, so that a file which changes its size in the middle keeps its proportions.
        fit_width = f"trunc(min({video.width}\\,{video.height}*dar/({aspect}))/2)*2"
        fit_height = f"trunc(min({video.height}\\,{video.width}*({aspect})/dar)/2)*2"
        steps.append(f"scale=w={fit_width}:h={fit_height}:flags=bicubic:out_range=tv:eval=frame")
        steps.append(f"pad={size}:(ow-iw)/2:(oh-ih)/2:eval=frame")
    steps += [f"setsar={aspect}", "format=yuv420p"]
    graph = ",".join(steps)
    if mark is None:
        return f"{graph}[picture]"
    number = len([word for word in inputs if word == "-i"]) + 1
    inputs += ["-i", f"file:{mark_path}"]
    return f"{graph}[plain];[{number}:v]{_mark_filter(mark, video, found)}[mark];[plain][mark]{_overlay(mark, video)}"


def mark_size(mark: Watermark, video: VideoForm) -> tuple[int, int]:
    """Width and height of a watermark on a picture, in the picture's pixels; square in what is shown."""
    picture = mark.inspect()
    width = max(1, round(mark.ratio * video.width))
    height = width * video.pixel_aspect * Fraction(picture.height, picture.width)
    return width, max(1, round(height))


def _mark_filter(mark: Watermark, video: VideoForm, found: VideoDescription | None) -> str:
    """Scale the picture, and put its colours into the video's own matrix: a wrong one would shift reds and greens."""
    width, height = mark_size(mark, video)
    named = {"bt709": "bt709", "bt2020nc": "bt2020", "bt470bg": "bt601", "smpte170m": "bt601"}
    matrix = named.get(found.matrix if found else "", "bt709" if video.height >= 720 else "bt601")
    return f"scale={width}:{height}:flags=bicubic:out_color_matrix={matrix}:out_range=tv,format=yuva420p"


def _overlay(mark: Watermark, video: VideoForm) -> str:
    return f"overlay=x={round(mark.pos_x * video.width)}:y={round(mark.pos_y * video.height)}:format=yuv420[picture]"


def _encode_video(video: VideoForm, frame_rate: float, encoder: Encoder) -> list[str]:
    # Stamps to the millisecond, as FLV has them: on the grid of the frame rate pictures were up to 10 ms off the sound.
    kbps = max(_MIN_MAX_KBPS, round(video.width * video.height * _MAX_KBPS_PER_PIXEL))
    if frame_rate > _HIGH_FRAME_RATE:
        kbps = kbps * 3 // 2
    return [
        *("-c:v", _ENCODERS[video.codec], "-preset", encoder.preset, "-crf", str(encoder.crf)),
        *(("-tune", "zerolatency") if encoder.is_live else ()),
        *(
            "-maxrate",
            f"{kbps}k",
            "-bufsize",
            f"{2 * kbps}k",
            "-pix_fmt",
            "yuv420p",
            "-fps_mode",
            "vfr",
            "-enc_time_base",
            "1:1000",
        ),
        *("-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_SECONDS})"),
    ]


def _encode_audio(audio: AudioForm) -> list[str]:
    kbps = audio.channels * _AAC_KBPS_PER_CHANNEL + _AAC_KBPS_BESIDES
    # Holes in the stamps are filled with silence: sound laid end to end would run ahead of the picture.
    fill = ("-af", "aresample=async=1")
    return ["-c:a", "aac", "-b:a", f"{kbps}k", "-ar", str(audio.rate_hz), "-ac", str(audio.channels), *fill]
