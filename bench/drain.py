"""What a viewer misses when a worker is drained: 50 live and 50 list streams that move to other workers.

    python bench/drain.py [--streams N] [--trials N] [--only WORDS]

Real PostgreSQL, a service, three workers; the one with the most streams is drained. The destinations are, in turn:

    one publisher   our receiver, as any destination: the next worker publishes when the one before has let go
    overlap         the same with the option ``overlap``: both publish for a moment, and the one before lets go then
    nginx-rtmp      takes one publisher of a stream; what it has received of each is read from its statistics

A gap is how long no frame arrives at a stream, from the last frame of one session to the first of the next; less than
0: both showed some at once. At nginx-rtmp it is the longest time for which the bytes of a stream stood still, so also
what a beat and a read take. Bars: with overlap none is above 0; without, p99 below 4 s. Kept in
``results/drain-COMMIT.json``; 2 minutes a trial.
"""

import argparse
import asyncio
import statistics
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree

from rich.console import Console
from rich.table import Table

from fleet import fleet
from measure import about, allow_many_files
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.media.url import MediaUrl
from streamferry.store.records import Intent
from streamferry.tasks.model import TaskKind

sys.path.append(str(BENCH.parent / "tests"))
from kit.machines import Machines
from kit.nginx_rtmp import NginxRtmp

WORKERS = ("one", "two", "three")
WAYS = ("one publisher", "overlap", "nginx-rtmp")
ALONE_BAR_S, OVERLAP_BAR_S = 4.0, 0.0
PATIENCE_S = 60.0
LOOK_S = 0.02


class Standstill:
    """How long the bytes of each stream at nginx stood still at most."""

    def __init__(self, nginx: NginxRtmp) -> None:
        self._url = f"http://127.0.0.1:{nginx.http_port}/stat"
        self._seen: dict[str, tuple[int, float]] = {}
        self.longest_s: dict[str, float] = {}

    def look(self, now: float) -> None:
        """Once; a stream whose publisher is away has no bytes at all."""
        with urllib.request.urlopen(self._url, timeout=5) as page:
            root = ElementTree.fromstring(page.read())
        received = {
            stream.findtext("name") or "": int(stream.findtext("bytes_in") or 0) for stream in root.iter("stream")
        }
        for name, (seen, at) in self._seen.items():
            self.longest_s[name] = max(self.longest_s.get(name, 0.0), now - at)
            if received.get(name, 0) in (0, seen):
                received.pop(name, None)
        self._seen |= {name: (count, now) for name, count in received.items() if count}

    async def watch(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.to_thread(self.look, loop.time())
            await asyncio.sleep(LOOK_S)


async def drain(fleet: Machines) -> tuple[set[str], float]:
    """Empty the fullest worker: the streams that it had, and how long that took."""
    held = await fleet.held_by()
    victim = max(held, key=lambda worker_id: len(held[worker_id]))
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await fleet.actions.set_intent(victim, Intent.DRAINING)
    async with asyncio.timeout(PATIENCE_S):
        while victim in await fleet.held_by():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return held[victim], loop.time() - began_at


async def try_once(way: str, streams: int) -> dict[str, object]:
    """A fleet of its own."""
    async with fleet(workers=WORKERS, services=1) as (clip, nginx, _, ours):
        for number in range(streams // 2):
            for kind, source in (
                (TaskKind.LIVE, f"{nginx.url('camera')}?for={number}"),
                (TaskKind.VOD, f"file://{clip}"),
            ):
                name = f"{kind.name.lower()}-{number}"
                to = MediaUrl.parse(nginx.url(name)) if way == "nginx-rtmp" else None
                await ours.make(name, kind, source, to=to, overlaps=way == "overlap")
        if way == "nginx-rtmp":
            for name in ours.made:
                await asyncio.to_thread(nginx.wait_published, name, seconds=PATIENCE_S)
            standstill = Standstill(nginx)
            watching = asyncio.create_task(standstill.watch())
            await asyncio.sleep(1.0)
            before_s = max(standstill.longest_s.values())
            moved, took_s = await drain(ours)
            for name in moved:
                await asyncio.to_thread(nginx.wait_published, name, seconds=PATIENCE_S)
            await asyncio.sleep(1.0)
            watching.cancel()
            gaps_s = [standstill.longest_s[name] for name in moved]
            return {"gaps_s": sorted(gaps_s), "took_s": took_s, "longest_before_s": before_s, "doubled": 0}
        await ours.on_air(seconds=2 * PATIENCE_S)
        began_at = asyncio.get_running_loop().time()
        moved, took_s = await drain(ours)
        await ours.on_air(moved, began_at, PATIENCE_S)
        gaps_s = [ours.sightings.gaps_s(name)[-1] for name in moved]
        again_s = [
            ours.sightings.frames.apart_ms(old.last[1], new.first[1]) / 1000
            for old, new in (ours.sightings.of(name)[-2:] for name in moved if name.startswith("vod"))
        ]
        doubled = len(ours.sightings.doubled)
        return {"gaps_s": sorted(gaps_s), "took_s": took_s, "list_again_s": sorted(again_s), "doubled": doubled}


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--only", default="", help="destinations with these words in their name")
    asked = parser.parse_args()
    allow_many_files()
    ways = [way for way in WAYS if asked.only in way]
    found = {way: [asyncio.run(try_once(way, asked.streams)) for _ in range(asked.trials)] for way in ways}
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("destination", "streams moved", "gap, s: p50", "p99", "max", "drained in, s", "two at once")
    bars = []
    for way, trials in found.items():
        gaps_s: list[float] = [one for trial in trials for one in trial["gaps_s"]]  # type: ignore[attr-defined]
        p50, p99 = statistics.median(gaps_s), statistics.quantiles(gaps_s, n=100, method="inclusive")[-1]
        took_s = max(float(str(trial["took_s"])) for trial in trials)
        doubled = sum(int(str(trial["doubled"])) for trial in trials)
        row = (f"{p50:.2f}", f"{p99:.2f}", f"{max(gaps_s):.2f}", f"{took_s:.1f}", str(doubled))
        table.add_row(way, str(len(gaps_s)), *row)
        bars.append(Bar(f"{way}: gap p99, s", p99, OVERLAP_BAR_S if way == "overlap" else ALONE_BAR_S))
        if way == "one publisher":
            bars.append(Bar(f"{way}: streams with two publishers", doubled, 0))
    console.print(table)
    print_bars(console, bars)
    result = {**about("drain", vars(asked)), "found": found}
    console.print(f"kept in {keep('drain', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
