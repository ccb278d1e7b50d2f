"""``streamferry serve``: the service.

The parts of the service are imported when it runs: that takes a second, and other commands need none of them.
"""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamferry.cli.guard import explain
from streamferry.cli.process import begin, importing, on_interrupt, run

if TYPE_CHECKING:
    from streamferry.config import Settings

Config = Annotated[Path | None, typer.Option(help="TOML file of settings.", show_default=False)]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the store and its key.", show_default=False)]
StoreAddress = Annotated[
    str | None,
    typer.Option(
        "--store", help="sqlite:///PATH or postgresql://...; STREAMFERRY_STORE hides a password.", show_default=False
    ),
]
Egress = Annotated[
    str | None, typer.Option(help="public, lan or any: which addresses tasks may reach.", show_default=False)
]
Files = Annotated[
    list[Path] | None,
    typer.Option(help="Folder from which file: sources may be read. Repeat for more.", show_default=False),
]
CacheDir = Annotated[Path | None, typer.Option(help="Folder of the cache of prepared files.", show_default=False)]
Ffmpeg = Annotated[str | None, typer.Option(help="The ffmpeg program.", show_default=False)]
Capacity = Annotated[int | None, typer.Option(help="Most tasks that one worker process takes.", show_default=False)]


def serve(
    config: Config = None,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default=False)] = None,
    store: StoreAddress = None,
    egress: Egress = None,
    files: Files = None,
    workers: Annotated[
        str | None, typer.Option(help="Worker processes; 0: one per core, none: APIs only.", show_default=False)
    ] = None,
    capacity: Capacity = None,
    cache_dir: CacheDir = None,
    ffmpeg: Ffmpeg = None,
) -> None:
    """Run the service: dashboard, APIs, scheduler and workers.

    Every setting can also be given in a file (--config) or in the environment (STREAMFERRY_...).
    """
    settings = read_settings(
        config,
        data_dir=data_dir,
        host=host,
        port=port,
        store=store,
        egress=egress,
        files=files or None,
        workers=workers,
        capacity=capacity,
        cache_dir=cache_dir,
        ffmpeg=ffmpeg,
    )
    begin_service(settings)
    run_or_exit(_serve(settings))


def read_settings(config: Path | None, **flags: object) -> "Settings":
    """The settings; bad ones end the command with a sentence."""
    from streamferry.config import load_settings

    try:
        return load_settings(config, **flags)
    except ValueError as error:
        typer.echo(f"streamferry: {error}", err=True)
        raise typer.Exit(2) from None


def run_or_exit(main: Coroutine[None, None, None]) -> None:
    """Run a command; a failure becomes a sentence and an exit status."""
    try:
        run(main)
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, BaseExceptionGroup) as error:
        words, status = explain(error)
        typer.echo(f"streamferry: {words}", err=True)
        raise typer.Exit(status) from None


async def _serve(settings: "Settings") -> None:
    with importing():
        from streamferry.service.assembly import serve

    stopping = asyncio.Event()
    on_interrupt(stopping.set)
    await serve(settings, stopping, lambda line: print(line, flush=True))


def begin_service(settings: "Settings") -> None:
    """Set up the process, forget what is secret in its environment, and log what may be wrong."""
    from streamferry.config import forget_secrets
    from streamferry.net import sandbox
    from streamferry.service.doubtful import doubts

    forget_secrets()
    begin(settings.log_level, settings.log_format)
    sandbox.tell_missing()
    for words in doubts(settings):
        logging.getLogger("streamferry").warning("%s", words)
