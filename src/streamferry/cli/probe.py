"""``streamferry probe``: what a file contains, and what relaying it will need."""

import json
from typing import Annotated, Never

import typer
from rich.console import Console

from streamferry.cli.exit_status import ExitStatus
from streamferry.cli.media_options import STATUS_OF_FAULT, parse_address
from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.s3 import Buckets
from streamferry.prepare.probe import DEFAULT_SECONDS, Probe, describe
from streamferry.prepare.probe import probe as probe_file
from streamferry.prepare.route import Route
from streamferry.relay.spec import VOD_SCHEMES


def probe(
    address: Annotated[str, typer.Argument(help="Address or local file.", show_default=False)],
    seconds: Annotated[float, typer.Option(help="How many seconds of it to inspect.", min=1)] = DEFAULT_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Inspect a file: codecs, keyframes, sound, index, and what may go wrong when it is relayed.

    Exit status: 0 it can be relayed, 2 usage, 3 it cannot, 5 our fault.
    """
    try:
        url = parse_address("address", address)
        if url.scheme not in VOD_SCHEMES:
            raise ValueError("address: must be a file, http://, https:// or s3://")
    except ValueError as error:
        _fail(str(error), ExitStatus.USAGE)
    try:
        found = probe_file(url, ffmpeg_program(), seconds, Route.to(url, buckets=Buckets.of_environment()))
    except (MediaError, ChildError) as error:
        _fail(str(error), STATUS_OF_FAULT[error.fault] if isinstance(error, MediaError) else ExitStatus.SERVICE)
    except OSError as error:
        _fail(f"{url.redacted} cannot be read: {error.strerror}", ExitStatus.SOURCE)
    if as_json:
        print(json.dumps(describe(url, found)))
    else:
        _show(url, found)


def _show(url: MediaUrl, found: Probe) -> None:
    video, audio = found.inside.video, found.inside.audio
    picture, sound = "none", "none"
    if video is not None:
        rate = f"{video.frame_rate:g} frame{'s' * (video.frame_rate != 1)} a second"
        picture = f"{video.form.codec} {video.form.width}x{video.form.height}, {rate}, "
        picture += f"keyframes up to {found.gop_s:.1f} s apart, {'with' if found.has_b_frames else 'no'} B-frames"
    if audio is not None:
        sound = f"{audio.codec} {audio.rate_hz} Hz, {audio.channels} channel{'s' * (audio.channels != 1)}"
    index = {True: ", index in front", False: ", index at the end", None: ""}[
        found.index_first if found.is_remote else None
    ]
    console = Console(highlight=False)
    for name, words in (
        ("file", f"{url.redacted} ({found.container}{index}), {found.inside.claimed_seconds:.1f} s, {found.kbps} kbps"),
        ("picture", picture),
        ("sound", sound),
        ("opened", f"after {found.open_s:.2f} s; {found.looked_s:.1f} s looked at"),
        ("relayed", f"{' and '.join(found.encodes)} encoded once" if found.encodes else "as it is, nothing is encoded"),
    ):
        console.print(f"[bold]{name:<9}[/]", end="")
        console.print(words, markup=False)
    for warning in found.warnings:
        console.print(f"[yellow]warning[/]  {warning}")


def _fail(words: str, status: ExitStatus) -> Never:
    typer.echo(f"streamferry probe: {words}", err=True)
    raise typer.Exit(status)
