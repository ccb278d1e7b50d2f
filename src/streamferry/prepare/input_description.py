"""Parses ffmpeg's description of its input.

pip installs ffmpeg without ffprobe, so these lines are the only source. Their format has not changed from ffmpeg 4
to 9; values that a line does not give are set so that the track is not trusted (size 0, rate 0).
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from streamferry.net.ffmpeg_log import parse_stream
from streamferry.prepare.form import AudioForm, VideoForm

_SIZE = re.compile(r", (\d+)x(\d+)")
_PIXEL_ASPECT = re.compile(r"\bSAR (\d+):(\d+)")
_PIXELS = re.compile(r", (yuv\w+|gray\w*|rgb\w*|bgr\w*|gbr\w*|nv\w+|pal8|p0\w+)(?:\(([^)]*)\))?")
_RATE = re.compile(r", (\d+) Hz, ([^,]+)")
_FRAMES = re.compile(r", (\d+(?:\.\d+)?)(k?) fps")
_ROTATION = re.compile(r"rotation of (-?\d+)")
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_NUMBERED = re.compile(r"(\d+) channels")
# Names of libavutil's channel layouts. Others come as "N channels".
_CHANNELS = {
    "mono": 1, "stereo": 2, "downmix": 2, "2.1": 3, "3.0": 3, "3.0(back)": 3, "4.0": 4, "quad": 4, "quad(side)": 4,
    "3.1": 4, "5.0": 5, "5.0(side)": 5, "4.1": 5, "5.1": 6, "5.1(side)": 6, "6.0": 6, "6.0(front)": 6, "6.1": 7,
    "7.0": 7, "7.1": 8, "7.1(wide)": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VideoDescription:
    """The first video track that is no cover picture. ``rotation`` in degrees, as the container wants it shown."""

    form: VideoForm
    pixels: str = ""
    matrix: str = ""
    interlaced: bool = False
    rotation: int = 0
    frame_rate: float = 0.0

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height after rotation, in square pixels, both even."""
        width, height = round(self.form.width * self.form.pixel_aspect), self.form.height
        if self.rotation % 180:
            width, height = height, width
        return max(2, width // 2 * 2), max(2, height // 2 * 2)


@dataclass(frozen=True, slots=True)
class InputDescription:
    """The tracks that are played with their numbers in the file, and the length that it claims (0: it does not say)."""

    video: VideoDescription | None = None
    audio: AudioForm | None = None
    claimed_seconds: float = 0.0
    codecs: tuple[str, ...] = ()
    video_number: int = -1
    audio_number: int = -1


def parse_input_description(lines: list[str]) -> InputDescription:
    """Read ffmpeg's description of its only input."""
    video: VideoDescription | None = None
    audio: AudioForm | None = None
    codecs = []
    seconds = 0.0
    video_number = audio_number = -1
    last_is_video = False
    rotation = 0
    for line in lines:
        if stream := parse_stream(line):
            number, kind, codec, rest = stream
            codecs.append(codec)
            last_is_video = False
            if kind == "Video" and video is None and "(attached pic)" not in rest:
                video, video_number = _parse_video(codec, rest), number
                last_is_video = True
            elif kind == "Audio" and audio is None:
                audio, audio_number = _parse_audio(codec, rest), number
        elif last_is_video and (found := _ROTATION.search(line)):
            rotation = int(found[1])
        elif found := _DURATION.search(line):
            seconds = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    if video is not None and rotation:
        video = VideoDescription(video.form, video.pixels, video.matrix, video.interlaced, rotation, video.frame_rate)
    return InputDescription(video, audio, seconds, tuple(codecs), video_number, audio_number)


def _parse_video(codec: str, rest: str) -> VideoDescription:
    size = _SIZE.search(rest)
    aspect = _PIXEL_ASPECT.search(rest)
    pixels = _PIXELS.search(rest)
    frames = _FRAMES.search(rest)
    notes = pixels[2] or "" if pixels else ""
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    return VideoDescription(
        VideoForm(
            codec,
            width,
            height,
            Fraction(int(aspect[1]), int(aspect[2])) if aspect and "0" not in aspect.groups() else Fraction(1),
        ),
        pixels=pixels[1] if pixels else "",
        matrix=next((name for name in ("bt709", "bt2020nc", "bt470bg", "smpte170m") if name in notes), ""),
        # "top first", "bottom coded first (swapped)" and their like.
        interlaced=" first" in notes,
        frame_rate=float(frames[1]) * (1000 if frames[2] else 1) if frames else 0.0,
    )


def _parse_audio(codec: str, rest: str) -> AudioForm:
    found = _RATE.search(rest)
    if found is None:
        return AudioForm(codec, 0, 0)
    layout = found[2].strip()
    numbered = _NUMBERED.match(layout)
    return AudioForm(codec, int(found[1]), int(numbered[1]) if numbered else _CHANNELS.get(layout, 0))
