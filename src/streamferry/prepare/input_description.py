"""Parses ffmpeg's description of its input.

pip installs ffmpeg without ffprobe, so these lines are the only source. Their format has not changed from ffmpeg 4
to 9; values that a line does not give are set so that the track is not trusted (size 0, rate 0).
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from streamferry.net.ffmpeg_log import StreamLine, parse_stream
from streamferry.prepare.form import AudioForm, VideoForm

_SIZE = re.compile(r", (\d+)x(\d+)")
_PIXEL_ASPECT = re.compile(r"\bSAR (\d+):(\d+)")
_PIXELS = re.compile(r", (yuv\w+|gray\w*|rgb\w*|bgr\w*|gbr\w*|nv\w+|pal8|p0\w+)(?:\(([^)]*)\))?")
_RATE = re.compile(r", (\d+) Hz, ([^,]+)")
_FRAMES = re.compile(r", (\d+(?:\.\d+)?)(k?) fps")
_ROTATION = re.compile(r"rotation of (-?\d+)")
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_NOT_PLAYED = re.compile(r"Stream #\d+:\d+.*?: (?:Subtitle|Data): ")
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
    """The tracks that are played with their numbers in the file, and the length that it claims (0: it does not say).

    ``left_out``: further tracks, as people may read them. ``encodes``: of ``video`` and ``audio`` those that no copy
    will do for, whatever their codec. ``is_all``: it has nothing else that lasts, so that the claimed length is theirs.
    """

    video: VideoDescription | None = None
    audio: AudioForm | None = None
    claimed_seconds: float = 0.0
    codecs: tuple[str, ...] = ()
    video_number: int = -1
    audio_number: int = -1
    left_out: tuple[str, ...] = ()
    encodes: frozenset[str] = frozenset()
    is_all: bool = True

    @property
    def video_specifier(self) -> str:
        """The picture as ffmpeg's options name it, with that of its input."""
        return f"0:{self.video_number}" if self.left_out else "0:V:0"

    @property
    def audio_specifier(self) -> str:
        """The same of the sound."""
        return f"0:{self.audio_number}" if self.left_out else "0:a:0"


def parse_input_description(lines: list[str]) -> InputDescription:
    """Read ffmpeg's description of its only input. Of several tracks of a kind the default one is played, or the first.

    A cover picture is none of them.
    """
    tracks: list[StreamLine] = []
    rotations: dict[int, int] = {}
    seconds, has_others = 0.0, False
    for line in lines:
        has_others = has_others or _NOT_PLAYED.search(line) is not None
        if stream := parse_stream(line):
            tracks.append(stream)
        elif tracks and (found := _ROTATION.search(line)):
            rotations.setdefault(tracks[-1].number, int(found[1]))
        elif found := _DURATION.search(line):
            seconds = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    pictures = [one for one in tracks if one.kind == "Video" and "(attached pic)" not in one.rest]
    sounds = [one for one in tracks if one.kind == "Audio"]
    picture, sound = _choose(pictures), _choose(sounds)
    others = [one for one in (*pictures, *sounds) if one not in (picture, sound)]
    return InputDescription(
        _parse_video(picture, rotations.get(picture.number, 0)) if picture else None,
        _parse_audio(sound.codec, sound.rest) if sound else None,
        seconds,
        tuple(one.codec for one in tracks),
        picture.number if picture else -1,
        sound.number if sound else -1,
        tuple(f"{one.kind.lower()} {one.number} ({one.codec})" for one in others),
        is_all=not others and not has_others,
    )


def _choose(tracks: list[StreamLine]) -> StreamLine | None:
    return next((one for one in tracks if "(default)" in one.rest), tracks[0] if tracks else None)


def _parse_video(track: StreamLine, rotation: int) -> VideoDescription:
    rest = track.rest
    size = _SIZE.search(rest)
    aspect = _PIXEL_ASPECT.search(rest)
    pixels = _PIXELS.search(rest)
    frames = _FRAMES.search(rest)
    notes = pixels[2] or "" if pixels else ""
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    return VideoDescription(
        VideoForm(
            track.codec,
            width,
            height,
            Fraction(int(aspect[1]), int(aspect[2])) if aspect and "0" not in aspect.groups() else Fraction(1),
        ),
        pixels=pixels[1] if pixels else "",
        matrix=next((name for name in ("bt709", "bt2020nc", "bt470bg", "smpte170m") if name in notes), ""),
        # "top first", "bottom coded first (swapped)" and their like.
        interlaced=" first" in notes,
        rotation=rotation,
        frame_rate=float(frames[1]) * (1000 if frames[2] else 1) if frames else 0.0,
    )


def _parse_audio(codec: str, rest: str) -> AudioForm:
    found = _RATE.search(rest)
    if found is None:
        return AudioForm(codec, 0, 0)
    layout = found[2].strip()
    numbered = _NUMBERED.match(layout)
    return AudioForm(codec, int(found[1]), int(numbered[1]) if numbered else _CHANNELS.get(layout, 0))
