"""How a running relay is shown: a line that is kept up to date, a line for each change, or JSON.

All writing is done by a separate thread. A paused terminal or a pipe that nobody reads would otherwise stop the event
loop, and with it the media; here it only costs lines. When the reader has gone, the relay ends.
"""

import asyncio
import json
import os
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamferry.relay import DestinationStatus, RelayStatus, State
from streamferry.relay.host import Relay

_PRINT_S = 1.0
_REFRESH_S = 0.25
#: How long the last lines may take to be written.
_LAST_LINES_S = 2.0
#: Lines that wait for a reader: some minutes' worth; after that new ones are dropped.
_MAX_LINES = 500
_STYLES = {
    State.STREAMING: "green",
    State.ENDED: "green",
    State.STOPPED: "green",
    State.RETRYING: "yellow",
    State.STALLED: "yellow",
    State.FAILED: "red",
}


class _LinePrinter:
    """Writes lines to standard output; ``on_closed`` is called on the event loop when nobody can read them."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_LINES)
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue a line for writing; it is dropped when too many wait."""
        if not self._lines.full():
            self._lines.put_nowait(line)

    async def aclose(self) -> None:
        """Wait a moment for the remaining lines to be written."""
        if not self._lines.full():
            self._lines.put_nowait(None)
        await asyncio.to_thread(self._thread.join, _LAST_LINES_S)

    def _write(self) -> None:
        # Not through sys.stdout, whose lock a stuck thread would still hold when the interpreter exits.
        for line in iter(self._lines.get, None):
            data = memoryview(f"{line}\n".encode())
            try:
                while data:
                    data = data[os.write(sys.stdout.fileno(), data) :]
            except OSError:
                self._loop.call_soon_threadsafe(self._on_closed)
                return


async def show_json(running: Relay) -> RelayStatus:
    """One JSON object per line: at the start, at each change, each second, and at the end."""
    return await _show_lines(running, _json_line, each_second=True)


async def show_progress(running: Relay) -> RelayStatus:
    """A line that is kept up to date on a terminal, otherwise a line for each change."""
    if sys.stdout.isatty():
        return await _show_on_terminal(running)
    return await _show_lines(running, lambda status: progress_line(status).plain, each_second=False)


async def _show_lines(running: Relay, line: Callable[[RelayStatus], str], *, each_second: bool) -> RelayStatus:
    printer = _LinePrinter(running.request_stop)
    printer.put(line(running.status))
    running.watch(lambda status: printer.put(line(status)))
    try:
        percent = None
        async for status in _each_second(running):
            # A long preparation does not change the state, but its progress moves.
            moved = status.preparing_percent is not None and status.preparing_percent != percent
            if each_second or moved:
                printer.put(line(status))
            percent = status.preparing_percent
        return await running.wait()
    finally:
        await printer.aclose()


async def _show_on_terminal(running: Relay) -> RelayStatus:
    shown = [running.status]
    done = threading.Event()

    def render() -> None:
        with Live(progress_line(shown[0]), console=Console(), auto_refresh=False) as display:
            while not done.wait(_REFRESH_S):
                display.update(progress_line(shown[0]), refresh=True)
            display.update(progress_line(shown[0]), refresh=True)

    thread = threading.Thread(target=render, name="display", daemon=True)
    thread.start()
    running.watch(lambda status: shown.__setitem__(0, status))
    try:
        async for status in _each_second(running):
            shown[0] = status
        shown[0] = await running.wait()
        return shown[0]
    finally:
        done.set()
        await asyncio.to_thread(thread.join, _LAST_LINES_S)


def _json_line(status: RelayStatus) -> str:
    """The documented object, with these keys in this order."""
    values: dict[str, Any] = {
        "state": status.state.value,
        "media_time_ms": status.media_time_ms,
        "bytes_out": status.bytes_out,
        "kbps_out": status.kbps_out,
        "dropped_tags": status.dropped_tags,
        "lost_ms": status.lost_ms,
        "lost_packets": status.lost_packets,
        "retries": status.retries,
        "repairs": status.repairs,
        "fault": status.fault.value if status.fault else None,
        "reason": status.reason,
        "on_air": None if status.on_air is None else str(status.on_air),
        "final": status.final,
    }
    if status.found:
        values["found"] = [one.fault.value for one in status.found]
    if status.unseen:
        values["unseen"] = [one.sense.value for one in status.unseen]
    if status.unready:
        values["unready"] = [one.which for one in status.unready]
    if status.destinations:
        values["destinations"] = [_destination(one) for one in status.destinations]
    return json.dumps(values)


def _destination(status: DestinationStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        "state": status.state.value,
        "bytes_out": status.bytes_out,
        "kbps_out": status.kbps_out,
        "dropped_tags": status.dropped_tags,
        "lost_ms": status.lost_ms,
        "retries": status.retries,
        "fault": status.fault.value if status.fault else None,
        "reason": status.reason,
    }


def progress_line(status: RelayStatus) -> Text:
    """State, media time, rates and problems; after the end, a summary."""
    seconds, ms = divmod(status.media_time_ms, 1000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms // 100}"
    line = Text()
    line.append(f"{status.state:<10}", style=_STYLES.get(status.state, "cyan"))
    line.append(f" {clock}")
    if status.final:
        line.append(f" sent  {status.bytes_out / 1e6:.1f} MB")
    else:
        if status.playhead is None:
            line.append(f"  in {status.kbps_in} kbps")
        line.append(f"  out {status.kbps_out} kbps")
    for name, count in (
        *(("dropped", status.dropped_tags), ("packets lost", status.lost_packets)),
        *(("retries", status.retries), ("repairs", status.repairs)),
    ):
        if count or (status.final and name == "retries"):
            line.append(f"  {name} {count}", style="yellow" if count else "")
    if status.playhead is not None:
        line.append(f"  loop {status.playhead.loop + 1} file {status.playhead.item + 1}")
    for finding in status.found:
        line.append(f"  {finding.fault.value.replace('_', ' ')}", style="red")
    for unseen in status.unseen:
        line.append(f"  {unseen.sense.value} not watched", style="yellow")
    if status.on_air is not None and not status.final:
        line.append(f"  on air {status.on_air}", style="" if status.on_air.input == 0 else "yellow")
    if status.preparing_percent is not None:
        line.append(f"  preparing {status.preparing_percent:.0f} %", style="cyan")
    if status.reason:
        line.append(f"  {status.reason}", style=_STYLES.get(status.state, "cyan"))
    for one in status.destinations:
        line.append(f"\n  {one.id:<3} ")
        line.append(f"{one.state:<10}", style=_STYLES.get(one.state, "cyan"))
        line.append(f" {one.kbps_out} kbps" if not status.final else f" sent {one.bytes_out / 1e6:.1f} MB")
        if one.dropped_tags:
            line.append(f"  dropped {one.dropped_tags}", style="yellow")
        if one.retries:
            line.append(f"  retries {one.retries}", style="yellow")
        if one.reason:
            line.append(f"  {one.reason}", style=_STYLES.get(one.state, "cyan"))
    return line


async def _each_second(running: Relay) -> AsyncIterator[RelayStatus]:
    """The status once a second until the relay ends."""
    ended = asyncio.ensure_future(running.wait())
    while True:
        await asyncio.wait([ended], timeout=_PRINT_S)
        if ended.done():
            return
        yield running.status
