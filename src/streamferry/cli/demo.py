"""``streamferry demo``: a clip, a receiver and a relay between them, with a verdict on what arrived."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamferry.cli.clip import FPS, make_clip
from streamferry.cli.display import show_progress
from streamferry.cli.process import on_interrupt, run
from streamferry.media.url import MediaUrl
from streamferry.prepare.store import PreparedStore
from streamferry.receiver import ReceivedStream, Receiver
from streamferry.relay import ENDLESS, Item, RelaySpec, RelayStatus, State
from streamferry.relay.host import RelayHost

_CLIP_S = 4
#: Sound and picture of the clip end within a frame of each other, and stamps are whole milliseconds.
_LONGEST_GAP_MS = 2 * 1000 // FPS


def demo(
    seconds: Annotated[int, typer.Option(min=10, max=3600, help="How long to relay.")] = 15,
) -> None:
    """Make a clip, relay it in a loop to a receiver on this machine, and judge what arrived."""
    with tempfile.TemporaryDirectory(prefix="streamferry-demo-") as folder:
        clip = Path(folder, "clip.mp4")
        typer.echo(f"making a clip of {_CLIP_S} s ...")
        make_clip(clip, _CLIP_S)
        stream, status = run(_relay_in_a_loop(clip, Path(folder, "cache"), seconds))
    if status.state is State.STOPPED:
        typer.echo("stopped before its end: there is nothing to judge")
        raise typer.Exit(1)
    raise typer.Exit(0 if _judge(stream, seconds) else 1)


async def _relay_in_a_loop(clip: Path, cache: Path, seconds: int) -> tuple[ReceivedStream | None, RelayStatus]:
    async with Receiver() as receiver, RelayHost(store=PreparedStore(cache)) as host:
        destination = MediaUrl.parse(f"rtmp://127.0.0.1:{receiver.port}/demo/stream")
        item = Item(MediaUrl.parse(str(clip)))
        typer.echo(f"relaying it in a loop for {seconds} s to {destination} ...")
        relay = host.start(RelaySpec.vod([item], destination, loops=ENDLESS, duration_s=seconds, patience_s=10))
        on_interrupt(relay.request_stop)
        status = await show_progress(relay)
        return (receiver.streams[0] if len(receiver.streams) == 1 else None), status


def _judge(stream: ReceivedStream | None, seconds: int) -> bool:
    """Print what was measured at the receiver, and whether it is right."""
    console = Console(highlight=False)
    if stream is None:
        console.print("[red]WRONG[/]: the receiver did not see exactly one stream")
        return False
    video, audio = stream.meter.video, stream.meter.audio
    loops = video.frames / (_CLIP_S * FPS)
    errors = video.dts_errors + audio.dts_errors
    gap_ms = max(video.longest_gap_ms, audio.longest_gap_ms)
    checks = {
        "one publish, ended by an unpublish": stream.ended == "unpublished",
        "at least two loops": loops >= 2,
        # The relay sends its lead ahead of time; starting takes less than that.
        "the media time of the wall clock": abs(stream.meter.media_time_ms / 1000 - seconds) <= 2,
        "DTS strictly rising": errors == 0,
        "no gap beyond a frame at the joins": gap_ms <= _LONGEST_GAP_MS,
        "sound beside the picture": abs((audio.last_dts_ms or 0) - (video.last_dts_ms or 0)) <= 100,
    }
    console.print(
        f"received: {stream.meter.description}, {video.frames} pictures, {audio.frames} sounds, {loops:.1f} loops, "
        f"{errors} DTS errors, longest gap {gap_ms} ms (a picture lasts {1000 // FPS} ms)"
    )
    for check, holds in checks.items():
        if not holds:
            console.print(f"[red]WRONG[/]: not {check}")
    if all(checks.values()):
        console.print("[green]ALL RIGHT[/]: " + ", ".join(checks))
    return all(checks.values())
