"""``streamferry receive``: an RTMP receiver that prints what arrives."""

import asyncio
import errno
from typing import Annotated

import typer

from streamferry.cli.guard import words_of
from streamferry.cli.process import on_interrupt, run
from streamferry.receiver import ReceivedStream, Receiver


def receive(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 1935,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Accept RTMP publishers under any app and key, keep nothing, print what arrives."""
    try:
        run(_receive(host, port))
    except OSError as error:
        hint = "; --port takes another" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        typer.echo(f"streamferry receive: cannot listen on {host}:{port}: {words_of(error)}{hint}", err=True)
        raise typer.Exit(2) from None


async def _receive(host: str, port: int) -> None:
    stopped = asyncio.Event()
    on_interrupt(stopped.set)
    async with Receiver(host, port, on_stream=_print_change) as receiver:
        place = f"[{host}]" if ":" in host else host
        typer.echo(f"listening on rtmp://{place}:{receiver.port}/APP/KEY")
        while not stopped.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await stopped.wait()
            except TimeoutError:
                for stream in receiver.streams:
                    if stream.ended is None:
                        typer.echo(_line(stream))


def _print_change(stream: ReceivedStream) -> None:
    what = "began" if stream.ended is None else f"ended ({stream.ended})"
    typer.echo(f"{stream.peer} {stream.app}/***: {what}")
    if stream.ended is not None:
        typer.echo(_line(stream))


def _line(stream: ReceivedStream) -> str:
    meter = stream.meter
    errors = meter.video.dts_errors + meter.audio.dts_errors
    return (
        f"{stream.peer} {stream.app}/***: {meter.description}, {meter.media_time_ms / 1000:.1f} s of media, "
        f"{meter.video.frames} pictures ({meter.video.keyframes} keyframes), {meter.audio.frames} sounds, "
        f"{meter.size_bytes / 1024:.0f} KiB, {errors} DTS errors, longest gap {meter.video.longest_gap_ms} ms"
    )
