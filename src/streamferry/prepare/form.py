"""The form of media: what all items of one list have in common, so that a destination sees one unbroken stream.

The frame rate is no part of it: players and platforms take any, and a change of it needs no new header.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class VideoForm:
    """``codec`` as ffmpeg names it, size in pixels; a pixel is ``pixel_aspect`` times as wide as high."""

    codec: str
    width: int
    height: int
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class AudioForm:
    """``codec`` as ffmpeg names it."""

    codec: str
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class Form:
    """What a stream is made of; None for a track it does not have."""

    video: VideoForm | None = None
    audio: AudioForm | None = None

    def in_h264(self) -> "Form":
        """The same in H.264 and AAC."""
        video, audio = self.video, self.audio
        return Form(video and replace(video, codec="h264"), audio and replace(audio, codec="aac"))

    def to_json(self) -> dict[str, Any]:
        """As an object of a job, a journal or a summary."""
        video, audio = self.video, self.audio
        aspect = video.pixel_aspect.as_integer_ratio() if video else (1, 1)
        return {
            "video": [video.codec, video.width, video.height, *aspect] if video else None,
            "audio": [audio.codec, audio.rate_hz, audio.channels] if audio else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Form":
        """The form again."""
        video, audio = data["video"], data["audio"]
        if video is not None:
            codec, width, height, *aspect = video
            video = VideoForm(codec, width, height, Fraction(*aspect))
        return cls(video, AudioForm(*audio) if audio is not None else None)
