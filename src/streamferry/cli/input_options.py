"""The options of further inputs, of the slate and of what decides between them, for ``streamferry relay``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from streamferry.cli.media_options import parse_address
from streamferry.media.slate import Slate, SlateKind
from streamferry.relay import Item
from streamferry.relay.eyes.judge import Watch
from streamferry.relay.inputs.policy import SWITCHING, Normalize, Switching
from streamferry.relay.live_or_file import looks_live
from streamferry.relay.network import Network
from streamferry.relay.spec import Input

InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        show_default=False,
        help="What is shown when the source sends nothing: an address or a local file. Several are tried in order.",
    ),
]
WarmOption = Annotated[
    bool, typer.Option("--warm", help="Pull live inputs all the time, so that they are on air at once.")
]
SlateOption = Annotated[
    str | None,
    typer.Option(
        "--slate",
        metavar="TEXT|#RRGGBB|FILE",
        show_default=False,
        help="What is shown when no input sends anything: a card with this title, a colour, a PNG or JPEG, or a clip.",
    ),
]
SwitchAfterOption = Annotated[float, typer.Option(help="An input is down after so many seconds without media.")]
ReturnAfterOption = Annotated[float, typer.Option(help="A preferred input is shown again after so many good seconds.")]
OneFormOption = Annotated[
    str,
    typer.Option(
        "--one-form",
        metavar="copy|first|WxH",
        help="Encode inputs that differ to the form of the first on air, or to a size; copy joins them as they are.",
    ),
]
SWITCH_AFTER_S, RETURN_AFTER_S = SWITCHING.switch_after_s, SWITCHING.return_after_s
_PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class InputOptions:
    """What was given of them."""

    addresses: list[str]
    warm: bool
    slate: Slate | None
    switching: Switching
    watch: Watch

    async def parse(self, network: Network) -> tuple[Input, ...]:
        """The further inputs. Raises ValueError naming the option."""
        inputs: list[Input] = []
        for text in self.addresses:
            url = parse_address("--input", text)
            is_live = await looks_live(url, network)
            inputs.append(Input((Item(url),), is_live, self.warm and is_live))
        return tuple(inputs)


def parse_one_form(text: str) -> Normalize:
    """How unlike inputs become one stream. Raises ValueError."""
    try:
        return Normalize.parse(text)
    except ValueError as error:
        raise ValueError(f"--one-form: {str(error).removeprefix('normalize: ')}") from None


def parse_slate(text: str | None) -> Slate | None:
    """What the slate shows. Raises ValueError."""
    if text is None:
        return None
    if text == str(SlateKind.LAST_FRAME):
        return Slate(SlateKind.LAST_FRAME)
    if text.startswith("#"):
        return Slate(SlateKind.COLOR, color=text)
    if text.lower().endswith(_PICTURES):
        try:
            return Slate(SlateKind.PICTURE, picture=Path(text).read_bytes())
        except OSError as error:
            raise ValueError(f"--slate: {text} cannot be read ({error.strerror})") from None
    if text.startswith(("http://", "https://", "file:", "/")) or Path(text).is_file():
        return Slate(SlateKind.CLIP, clip=parse_address("--slate", text))
    return Slate(title=text)
