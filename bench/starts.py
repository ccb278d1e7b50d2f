"""Starts: many tasks of the service with the same StartTime and EndTime, from the time to the first and last media.

    python bench/starts.py [--tasks N] [--trials N] [--store URL]

Half of the tasks are live (HTTP-FLV and RTMP from a source with a GOP cache), half play a VOD file that is in the
cache; a service with a worker a core has the whole machine, beside the source and the sink. The clock starts at
StartTime and stops when the sink has a task's first frame; sequence headers do not count. A frame before StartTime, or
later than a second after EndTime, is a failure. Bars: at most 1 s at p99 for both.
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from measure import about, allow_many_files
from programs import Sink, Source
from results import Bar, keep, print_bars
from serving import Service
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store, sqlite_url
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

BAR_S = 1.0
#: How long before StartTime the last task is there: more than a worker looks ahead.
AHEAD_S = 8.0
WINDOW_S = 6.0
PATIENCE_S = 30.0


def specs(keys: list[str], source: Source, sink: Sink, start_at: datetime) -> Iterator[TaskSpec]:
    """A task for each key: live over HTTP, VOD, live over RTMP, VOD, and so on."""
    for i, key in enumerate(keys):
        kind = TaskKind.VOD if i % 2 else TaskKind.LIVE
        live = source.url("http" if i % 4 else "rtmp", "bursts", key)
        address = f"file://{vod_clip()}" if kind is TaskKind.VOD else live
        yield TaskSpec(
            kind,
            (TaskItem(MediaUrl.parse(address)),),
            MediaUrl.parse(sink.url(key)),
            start_at=start_at,
            end_at=start_at + timedelta(seconds=WINDOW_S),
        )


def hear_all(sink: Sink, what: str, keys: list[str], at: datetime) -> list[float]:
    """Seconds from ``at`` to that event of each stream. Raises RuntimeError if one does not come."""
    at_ns = time.monotonic_ns() + round((at.timestamp() - time.time()) * 1e9)
    waiting, taken = set(keys), []
    deadline = time.monotonic() + PATIENCE_S
    while waiting:
        event = sink.hear(max(0.1, deadline - time.monotonic()))
        if event.get(what) in waiting:
            waiting.discard(event[what])
            taken.append((event["ns"] - at_ns) / 1e9)
    return taken


async def create(actions: Actions, wanted: Iterator[TaskSpec]) -> None:
    """Make them all."""
    for spec in wanted:
        await actions.create_task(spec)


async def trial(actions: Actions, source: Source, sink: Sink, tasks: int) -> tuple[list[float], list[float]]:
    """(seconds from StartTime to the first frame, seconds from EndTime to the last) of each task."""
    keys = [secrets.token_hex(6) for _ in range(tasks)]
    begin_s = AHEAD_S + tasks / 50
    start_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=round(begin_s))
    await create(actions, specs(keys, source, sink, start_at))
    first = await asyncio.to_thread(hear_all, sink, "first", keys, start_at)
    end_at = start_at + timedelta(seconds=WINDOW_S)
    return first, await asyncio.to_thread(hear_all, sink, "last", keys, end_at)


async def run(tasks: int, trials: int, store_url: str) -> list[tuple[list[float], list[float]]]:
    """The trials, after one with few tasks that puts the file into the cache."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        sink = stack.enter_context(Sink(drain_ms=0, events=True))
        source = stack.enter_context(Source(live_clip()))
        service = stack.enter_context(Service(home, store_url or sqlite_url(home / "store.db")))
        store = Store(service.store, Seal(service.seal_key))
        try:
            actions = Actions(store)
            await trial(actions, source, sink, 2)
            return [await trial(actions, source, sink, tasks) for _ in range(trials)]
        finally:
            await store.aclose()


def p99(values: list[float]) -> float:
    """99th percentile, inclusive."""
    return statistics.quantiles(values, n=100, method="inclusive")[-1]


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--store", default="", help="another store than a new SQLite file")
    asked = parser.parse_args()
    allow_many_files()
    vod_clip()
    console = Console(width=None if sys.stdout.isatty() else 120)
    trials = asyncio.run(run(asked.tasks, asked.trials, asked.store))
    table = Table(
        "trial", "StartTime to first frame, s: min", "p50", "p99", "max", "EndTime to last frame, s: min", "max"
    )
    for number, (first, last) in enumerate(trials, 1):
        figures = (min(first), statistics.median(first), p99(first), max(first), min(last), max(last))
        table.add_row(str(number), *(f"{figure:.3f}" for figure in figures))
    console.print(table)
    is_early = any(min(first) < 0 for first, _ in trials)
    bars = [
        Bar("StartTime to first frame p99, s", None if is_early else max(p99(first) for first, _ in trials), BAR_S),
        Bar("EndTime to last frame p99, s", max(p99(last) for _, last in trials), BAR_S),
    ]
    print_bars(console, bars)
    result = {
        **about("starts", {**vars(asked), "store": asked.store.partition(":")[0] or "sqlite"}),
        "trials": [{"first_s": sorted(first), "last_s": sorted(last)} for first, last in trials],
    }
    console.print(f"kept in {keep('starts', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
