"""Options that several commands share. What those of media mean is in ``media_options``."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NormalizeOption = Annotated[
    str,
    typer.Option(
        "--normalize",
        metavar="first|copy|WxH",
        help="Form of the files of a list: like the first one, copy (each as it is), or that size.",
    ),
]
CodecsOption = Annotated[
    str,
    typer.Option(
        "--codecs",
        metavar="any|h264|h264_if_needed",
        help="What the destination is sent: any is what the source has, h264 only H.264 and AAC, h264_if_needed what "
        "the destination says that it takes; all else is encoded to H.264 and AAC.",
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


def check_codecs(text: str | None) -> str | None:
    """What a destination is sent, by its name. Raises ValueError naming the option."""
    if text not in (None, "any", "h264", "h264_if_needed"):
        raise ValueError("--codecs: must be any, h264 or h264_if_needed")
    return text


def parse_position(text: str) -> tuple[float, float]:
    """``X,Y`` of a watermark. Raises ValueError naming the option."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("--watermark-pos: must be two numbers, X,Y") from None
    return x, y
