"""Builds a body for REST from the options of ``task create`` and ``update``. All raise ValueError naming the option."""

import base64
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamferry.cli.options import parse_position
from streamferry.cli.time_arguments import read_time
from streamferry.media.picture import MAX_PICTURE_BYTES

#: As the service accepts it.
_MAX_BODY_BYTES = 4 << 20
_LIVE_SCHEMES = ("rtmp", "rtmps", "rtsp", "rtsps", "srt", "udp")
_LIVE_NAMES = (".flv", ".m3u8")


def plain_fields(
    continue_at: str | None = None,
    predownload: bool | None = None,
    callback: str | None = None,
    to: str | dict[str, str] | None = None,
    **others: object,
) -> dict[str, Any]:
    """The fields that need no conversion; those not given are left out. ``others`` are named as REST names them."""
    strategies = {None: None, "break": "at_break", "elapsed": "at_break_plus_elapsed"}
    if continue_at not in strategies:
        raise ValueError("--continue: must be break or elapsed")
    given = {
        **others,
        "continue_strategy": strategies[continue_at],
        "pre_download": predownload,
        "callback_url": callback,
        "destination": to,
    }
    return {name: value for name, value in given.items() if value is not None}


def destination_field(to: str | None, key: str | None) -> str | dict[str, str] | None:
    """An address, or a server and a key."""
    if key is None:
        return to
    if to is None:
        raise ValueError("--key: needs --to with the server")
    return {"server": to, "key": key}


def check_latency(text: str | None) -> str | None:
    """A latency class by its name."""
    if text not in (None, "low", "normal", "dense"):
        raise ValueError("--latency: must be low, normal or dense")
    return text


def source_fields(
    sources: list[str], live: bool | None, offsets: list[float] | None, ends: list[float] | None
) -> dict[str, Any]:
    """Kind and sources. A path becomes a ``file:`` address; without ``--live`` or ``--vod`` the name decides."""
    urls = [text if "://" in text else Path(text.removeprefix("file:")).absolute().as_uri() for text in sources]
    if live is None:
        parts = urlsplit(urls[0])
        live = len(urls) == 1 and (parts.scheme in _LIVE_SCHEMES or parts.path.endswith(_LIVE_NAMES))
    return {"kind": "live" if live else "vod", "sources": spread_offsets(urls, offsets, ends)}


def spread_offsets(urls: list[str], offsets: list[float] | None, ends: list[float] | None) -> list[dict[str, Any]]:
    """Each address with its offsets; an offset that is given once applies to all."""
    spread: dict[str, list[float]] = {}
    for option, values in (("--offset", offsets or [0.0]), ("--end-offset", ends or [0.0])):
        if len(values) not in (1, len(urls)):
            raise ValueError(f"{option}: give it once, or once for each of the {len(urls)} files")
        spread[option] = values * len(urls) if len(values) == 1 else values
    return [
        {"url": url, "start_s": start_s, "end_s": end_s}
        for url, start_s, end_s in zip(urls, spread["--offset"], spread["--end-offset"], strict=True)
    ]


def window_fields(start: str | None, end: str | None, known: dict[str, Any]) -> dict[str, Any]:
    """The times given; an end such as ``+2h`` counts from the start, or else from the start in ``known``."""
    now = datetime.now(UTC)
    given: dict[str, Any] = {}
    start_at = read_time("start_at", str(known["start_at"]), now) if known.get("start_at") else now
    if start is not None:
        start_at = read_time("--start", start, now)
        given["start_at"] = start_at.isoformat()
    if end is not None:
        given["end_at"] = "never" if end == "never" else read_time("--end", end, start_at).isoformat()
    return given


def watermark_field(path: Path | None, position: str, ratio: float) -> dict[str, Any]:
    """The picture with its position; nothing without a picture."""
    if path is None:
        return {}
    x, y = parse_position(position)
    picture = base64.b64encode(_read("--watermark", path, MAX_PICTURE_BYTES)).decode()
    # The service checks the bytes: the type is only a formality.
    return {"watermark": {"picture": f"data:image/png;base64,{picture}", "x": x, "y": y, "ratio": ratio}}


def read_body(path: Path | None) -> dict[str, Any]:
    """The JSON object in a file, or from standard input for ``-``; empty without a file."""
    if path is None:
        return {}
    try:
        body = json.loads(_read("--from-json", path, _MAX_BODY_BYTES))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError(f"--from-json: {path} is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError(f"--from-json: {path} must hold a JSON object")
    return body


def _read(option: str, path: Path, limit: int) -> bytes:
    """The content of a file, or of standard input for ``-``, up to a limit. Raises ValueError."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with path.open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be read ({error.strerror})") from None
    if len(data) > limit:
        raise ValueError(f"{option}: {path} is larger than {limit:,} bytes")
    return data
