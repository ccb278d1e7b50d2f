"""Live RTSP: what 100 cameras through us cost, beside 100 ffmpeg processes that do the whole job.

    python bench/rtsp_live.py [--streams N] [--windows N] [--seconds S]

``rtsp_server.py`` plays one clip of 2 Mbps without B-frames for every relay, over TCP, on the load's core. Ours are one
process; should one of them need an ffmpeg child, that is counted with it.
Prints a table, keeps everything in ``results/rtsp_live-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict

from rich.console import Console

from clip import camera_clip
from measure import about, allow_many_files
from programs import BENCH, SERVER_UP_SECONDS, Program, build_native, cores, unused_port
from results import keep, print_bars
from whole_job import OURS, THEIRS, bars_of, measure, table_of

#: Most CPU that ours may take of theirs, and most memory of a stream in MiB.
CPU_BAR, MEMORY_BAR_MIB = 0.35, 1.0


def serve(stack: ExitStack) -> str:
    """Start a camera; its address."""
    port = unused_port()
    words = [sys.executable, str(BENCH / "rtsp_server.py"), str(port), str(camera_clip())]
    stack.enter_context(Program(words, cores()[1]))
    deadline = time.monotonic() + SERVER_UP_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise RuntimeError("no camera came into being") from None
            time.sleep(0.1)
    return f"rtsp://127.0.0.1:{port}/camera"


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), camera_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    amount = (asked.streams, asked.windows, asked.seconds)
    mine = measure(OURS, serve, None, *amount)
    theirs = measure(THEIRS, serve, ["-rtsp_transport", "tcp"], *amount)
    console.print(table_of([mine, theirs]))
    bars = bars_of(mine, theirs, CPU_BAR, MEMORY_BAR_MIB)
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("rtsp_live", settings), "rows": [asdict(row) for row in (mine, theirs)]}
    console.print(f"kept in {keep('rtsp_live', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
