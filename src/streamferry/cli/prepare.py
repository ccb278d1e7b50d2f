"""``streamferry prepare``: fill the cache ahead of time, just as ``streamferry relay`` with the same options would."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from streamferry.cli.exit_status import ExitStatus
from streamferry.cli.media_options import STATUS_OF_FAULT, FileChoices, parse_address
from streamferry.cli.options import (
    DEFAULT_POSITION,
    DEFAULT_RATIO,
    CodecsOption,
    NormalizeOption,
    SilenceOption,
    WatermarkOption,
    WatermarkPositionOption,
    WatermarkRatioOption,
)
from streamferry.cli.process import run
from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.prepare.file import PreparedFile, PrepareProgress
from streamferry.prepare.home import Home
from streamferry.prepare.store import PreparedStore
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.spec import Codecs


def prepare(
    address: Annotated[
        list[str], typer.Argument(help="Addresses or local files, in the order of the list.", show_default=False)
    ],
    normalize: NormalizeOption = "first",
    silence: SilenceOption = True,
    watermark: WatermarkOption = None,
    watermark_pos: WatermarkPositionOption = DEFAULT_POSITION,
    watermark_ratio: WatermarkRatioOption = DEFAULT_RATIO,
    codecs: CodecsOption = "any",
) -> None:
    """Fetch and prepare files into the cache, so that a relay of the same list starts at once.

    Exit status: 0 done, 2 usage, 3 a source's fault, 5 ours.
    """
    try:
        choices = FileChoices.parse(normalize, silence, watermark, watermark_pos, watermark_ratio, codecs)
        if choices.codecs is Codecs.H264_IF_NEEDED:
            raise ValueError("--codecs: what a destination takes is known when it is connected to; choose any or h264")
        urls = [parse_address("address", text) for text in address]
    except ValueError as error:
        typer.echo(f"streamferry prepare: {error}", err=True)
        raise typer.Exit(ExitStatus.USAGE) from None
    raise typer.Exit(run(_prepare(urls, choices)))


async def _prepare(urls: list[MediaUrl], choices: FileChoices) -> ExitStatus:
    """Prepare one file after another: the first sets the form of the rest."""
    status = ExitStatus.DONE
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(),
        disable=not sys.stdout.isatty(),
    )
    with bars:
        async with PreparedStore(home=Home.of_environment()) as store:
            prepared_list = PreparedList(store)
            for url in urls:
                bar = bars.add_task(url.redacted, total=None, note="")
                try:
                    file = await _prepare_one(prepared_list, choices, url, bars, bar)
                except MediaError as error:
                    bars.update(bar, total=1, completed=0, note="failed")
                    typer.echo(f"streamferry prepare: {error}", err=True)
                    status = max(status, STATUS_OF_FAULT[error.fault])
                    continue
                note = f"{_clock(file.duration_ms)}{', cut short' if file.cut_short else ''}"
                bars.update(bar, total=1, completed=1, note=note)
                if bars.disable:
                    print(f"{url.redacted} {note}", flush=True)
            await store.settle()
    return status


async def _prepare_one(
    prepared_list: PreparedList, choices: FileChoices, url: MediaUrl, bars: Progress, bar: TaskID
) -> PreparedFile:
    def show(progress: PrepareProgress) -> None:
        percent = progress.percent
        if progress.claimed_ms:
            percent = min(100, 100 * progress.media_ms // progress.claimed_ms)
        bars.update(bar, total=None if percent is None else 100, completed=percent or 0, note=_clock(progress.media_ms))

    file = await prepared_list.open(choices, url, on_progress=show)
    try:
        await file.wait_complete(show)
    finally:
        file.close()
    return file


def _clock(ms: int) -> str:
    seconds = ms // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
