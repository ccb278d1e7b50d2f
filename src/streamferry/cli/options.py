"""What several commands share: options for addresses and files, and the exit status."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.prepare.processing import FIRST, Normalize


class ExitStatus(IntEnum):
    """The exit status of every command."""

    DONE = 0
    USAGE = 2
    SOURCE = 3
    DESTINATION = 4
    SERVICE = 5


STATUS_OF_FAULT = {
    None: ExitStatus.DONE,
    Fault.USER_SOURCE: ExitStatus.SOURCE,
    Fault.USER_DESTINATION: ExitStatus.DESTINATION,
    Fault.SERVICE: ExitStatus.SERVICE,
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NormalizeOption = Annotated[
    str,
    typer.Option(
        "--normalize",
        metavar="first|copy|WxH",
        help="Form of the files of a list: like the first one, copy (each as it is), or that size.",
    ),
]
SilenceOption = Annotated[bool, typer.Option(help="Add a silent track where there is no sound.")]
WatermarkOption = Annotated[Path | None, typer.Option(show_default=False, help="PNG or JPEG to lay over the picture.")]
WatermarkPositionOption = Annotated[
    str, typer.Option(metavar="X,Y", help="Its top left corner, as fractions of the picture's width and height.")
]
WatermarkRatioOption = Annotated[float, typer.Option(help="Its width as a fraction of the picture's.")]
DEFAULT_POSITION = "0.05,0.05"
DEFAULT_RATIO = 0.1


@dataclass(frozen=True)
class FileChoices:
    """The choices that apply to all files of a list."""

    normalize: Normalize = FIRST
    silence: bool = True
    watermark: Watermark | None = None
    pre_download: bool = True

    @classmethod
    def parse(
        cls,
        normalize: str,
        silence: bool,
        watermark: Path | None,
        position: str,
        ratio: float,
        pre_download: bool = True,
    ) -> "FileChoices":
        """The choices from the options. Raises ValueError naming the option or its field."""
        return cls(Normalize.parse(normalize), silence, _parse_watermark(watermark, position, ratio), pre_download)


def parse_address(name: str, text: str) -> MediaUrl:
    """The address. Raises ValueError naming the option or argument."""
    try:
        return MediaUrl.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_position(text: str) -> tuple[float, float]:
    """``X,Y`` of a watermark. Raises ValueError naming the option."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("--watermark-pos: must be two numbers, X,Y") from None
    return x, y


def _parse_watermark(path: Path | None, position: str, ratio: float) -> Watermark | None:
    if path is None:
        return None
    pos_x, pos_y = parse_position(position)
    return Watermark.from_file(path, pos_x, pos_y, ratio)
