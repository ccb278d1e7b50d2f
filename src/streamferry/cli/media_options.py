"""What the options of media mean: addresses, watermarks, the form of files; and whose fault ends in which status."""

from dataclasses import dataclass
from pathlib import Path

from streamferry.cli.exit_status import ExitStatus
from streamferry.cli.options import check_codecs, parse_position
from streamferry.media.errors import Fault
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.prepare.processing import FIRST, Normalize
from streamferry.relay.spec import Codecs

STATUS_OF_FAULT = {
    None: ExitStatus.DONE,
    Fault.USER_SOURCE: ExitStatus.SOURCE,
    Fault.USER_DESTINATION: ExitStatus.DESTINATION,
    Fault.SERVICE: ExitStatus.SERVICE,
}


@dataclass(frozen=True)
class FileChoices:
    """The choices that apply to all files of a list; some of them to a live source, too."""

    normalize: Normalize = FIRST
    silence: bool = True
    watermark: Watermark | None = None
    codecs: Codecs = Codecs.ANY
    pre_download: bool = True
    source_options: PeerOptions = NO_OPTIONS

    @classmethod
    def parse(
        cls,
        normalize: str,
        silence: bool,
        watermark: Path | None,
        position: str,
        ratio: float,
        codecs: str,
        pre_download: bool = True,
    ) -> "FileChoices":
        """The choices from the options. Raises ValueError naming the option or its field."""
        mark = _parse_watermark(watermark, position, ratio)
        return cls(Normalize.parse(normalize), silence, mark, Codecs(check_codecs(codecs)), pre_download)


def parse_address(name: str, text: str) -> MediaUrl:
    """The address. Raises ValueError naming the option or argument."""
    try:
        return MediaUrl.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _parse_watermark(path: Path | None, position: str, ratio: float) -> Watermark | None:
    if path is None:
        return None
    pos_x, pos_y = parse_position(position)
    return Watermark.from_file(path, pos_x, pos_y, ratio)
