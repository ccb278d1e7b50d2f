"""What fails, and how soon each stream is back: real PostgreSQL, two services, four workers, 100 streams.

    python bench/failover.py [--streams N] [--trials N] [--only WORDS]

Half of the streams are live, each with a pull of its own from nginx-rtmp, half are lists; one receiver takes them all
and knows each frame. A trial is a fleet of its own. What is measured is seen by that receiver: from the failure to the
first frame of a stream's next session. Failures, one after the other:

    killed      kill -9 of a worker
    frozen      a worker is stopped for 20 s (SIGSTOP) and then wakes
    cut off     a worker reaches PostgreSQL no more, and nobody tells it
    service     kill -9 of the service that was asked so far; the other one has to answer
    PostgreSQL  kill -9 of all its processes; 2 s later it is started again. Here the lease is 30 s, as operators are
                told to set it: it has to recover and to be found again

Bars: each stream of a worker that fails is back within 8 s; no other stream gets a new session, by any of them; no
frame of a session comes after the first of the next (no two live publishers of a key). A list goes back by what it
played since the last word of its worker, which is shown. Kept in ``results/failover-COMMIT.json``; 3 minutes a trial.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from fleet import fleet
from measure import about, allow_many_files
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.control.actions import Actions
from streamferry.tasks.model import TaskKind
from streamferry.worker import LEASE_S

sys.path.append(str(BENCH.parent / "tests"))
from kit.machines import Machines
from kit.postgresql import PostgreSql

BACK_BAR_S = 8.0
WORKERS = ("one", "two", "three", "four")
FROZEN_S, DATABASE_AWAY_S = 20.0, 2.0
LONG_LEASE_S = 30
#: For how long is waited before a stream is said to be lost.
PATIENCE_S = 60.0


class Trial:
    """A fleet with its streams on the air, and what became of it."""

    def __init__(self, fleet: Machines, server: PostgreSql) -> None:
        self.fleet = fleet
        self.server = server
        self.found: dict[str, dict[str, Any]] = {}

    async def fail(self, what: str) -> None:
        """One failure, and what is seen of it."""
        fleet, loop = self.fleet, asyncio.get_running_loop()
        held = await fleet.held_by()
        victim = max(held, key=lambda worker_id: len(held[worker_id]))
        before = fleet.sessions()
        began_at = loop.time()
        hit = held[victim] if await _FAILURES[what](self, victim) else set()
        await fleet.on_air(hit, began_at, PATIENCE_S)
        await fleet.go_on()
        if what == "frozen":
            await asyncio.sleep(max(0.0, began_at + FROZEN_S - loop.time()))
            fleet.workers[victim].wake()
            await fleet.are_alive([victim])
            await fleet.go_on()
        if what == "cut off":
            fleet.workers[victim].way.passing.set()
            await fleet.are_alive([victim])
            await fleet.go_on()
        after = fleet.sessions()
        sightings = fleet.sightings
        back_s, off_s = [], []
        for name in hit:
            old, new = sightings.of(name)[before[name] - 1 : before[name] + 1]
            back_s.append(new.first[0] - began_at)
            if name.startswith("list"):
                off_s.append(sightings.frames.apart_ms(old.last[1], new.first[1]) / 1000)
        self.found[what] = {
            "streams": len(hit),
            "back_s": sorted(round(one, 3) for one in back_s),
            "list_goes_back_s": sorted(round(one, 3) for one in off_s),
            "others_with_a_new_session": sum(after[name] != before[name] + (name in hit) for name in before),
            "two_at_once": sum(any(gap_s <= 0 for gap_s in sightings.gaps_s(name)) for name in before),
        }

    async def kill(self, victim: str) -> bool:
        """Its connections are closed by the kernel."""
        self.fleet.workers[victim].kill()
        return True

    async def freeze(self, victim: str) -> bool:
        """Its connections stay."""
        self.fleet.workers[victim].freeze()
        return True

    async def cut_off(self, victim: str) -> bool:
        """What it sends is lost, and nothing comes."""
        self.fleet.workers[victim].way.passing.clear()
        return True

    async def kill_service(self, _: str) -> bool:
        """Of the calls, and of half of the scheduling."""
        first, second = self.fleet.services
        await asyncio.to_thread(first.kill_tree)
        await asyncio.to_thread(second.wait_ready)
        return False

    async def kill_database(self, _: str) -> bool:
        """And all that it had in memory."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(DATABASE_AWAY_S)
        await asyncio.to_thread(self.server.start)
        await _answers(self.fleet.actions)
        return False


async def _answers(actions: Actions) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await actions.list_workers()
            except Exception:
                await asyncio.sleep(0.1)
            else:
                return


_FAILURES: dict[str, Callable[[Trial, str], Awaitable[bool]]] = {
    "PostgreSQL": Trial.kill_database,
    "service": Trial.kill_service,
    "frozen": Trial.freeze,
    "cut off": Trial.cut_off,
    "killed": Trial.kill,
}


async def try_once(streams: int, failures: Sequence[str], lease_s: int) -> dict[str, dict[str, Any]]:
    """These failures, one after the other, of one fleet."""
    settings = {"STREAMFERRY_LEASE_S": str(lease_s)}
    async with fleet(workers=WORKERS, settings=settings) as (clip, nginx, server, ours):
        for number in range(streams // 2):
            await ours.make(f"live-{number}", TaskKind.LIVE, f"{nginx.url('camera')}?for={number}")
            await ours.make(f"list-{number}", TaskKind.VOD, f"file://{clip}")
        await ours.on_air(seconds=2 * PATIENCE_S)
        trial = Trial(ours, server)
        for what in failures:
            await trial.fail(what)
        return trial.found


async def try_all(streams: int, words: str) -> dict[str, dict[str, Any]]:
    """All that are asked for, those of the database in a fleet of their own."""
    found: dict[str, dict[str, Any]] = {}
    for lease_s in (LONG_LEASE_S, round(LEASE_S)):
        failures = [what for what in _FAILURES if words in what and (what == "PostgreSQL") == (lease_s == LONG_LEASE_S)]
        if failures:
            found |= await try_once(streams, failures, lease_s)
    return found


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--only", default="", help="failures with these words in their name")
    asked = parser.parse_args()
    allow_many_files()
    began_at = time.monotonic()
    trials = [asyncio.run(try_all(asked.streams, asked.only)) for _ in range(asked.trials)]
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("failure", "streams", "back, s: p50", "max", "a list goes back, s: max", "others", "two at once")
    bars = []
    for what in trials[0]:
        rows = [trial[what] for trial in trials]
        back_s = [one for row in rows for one in row["back_s"]]
        goes_back_s = [one for row in rows for one in row["list_goes_back_s"]]
        others, doubled = (sum(row[name] for row in rows) for name in ("others_with_a_new_session", "two_at_once"))
        p50, most = (f"{figure(back_s):.2f}" if back_s else "-" for figure in (statistics.median, max))
        back = f"{max(goes_back_s):.2f}" if goes_back_s else "-"
        table.add_row(what, str(sum(row["streams"] for row in rows)), p50, most, back, str(others), str(doubled))
        if back_s:
            bars.append(Bar(f"{what}: the last stream is back, s", max(back_s), BACK_BAR_S))
        bars.append(Bar(f"{what}: other streams with a new session", others, 0))
        bars.append(Bar(f"{what}: streams with two live publishers", doubled, 0))
    console.print(table)
    print_bars(console, bars)
    result = {
        **about("failover", vars(asked)),
        "took_s": round(time.monotonic() - began_at),
        "trials": trials,
    }
    console.print(f"kept in {keep('failover', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
