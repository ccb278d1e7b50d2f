"""What so many streams need, computed from kept results; and a simulation of placement and of machines that are lost.

    python bench/capacity.py --streams 10000 --kbps 2000 [--live 0.5] [--cores 8] [--memory-gib 32] [--gbit 10]
                             [--load 0.5] [--lost 1] [--store-scale FILE] [--machine-price P] [--gb-price P]
    python bench/capacity.py --document

CPU and memory of a stream are those of the result of ``scale.py`` that README.md names. What the database writes
follows from the intervals in the code, and what that costs PostgreSQL from a result of ``store_scale.py``. CPU grows
with the bit rate from the one that was measured, and is never taken for less. No worker is given more streams than were
measured in one process. Then all streams are placed by the product's own code (``tasks.placement``) on as many workers
as there are cores, and the machines that are fullest are lost. ``--document`` writes the table of
docs/explain/scale.md, which a test compares.
"""

import argparse
import json
import math
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from programs import BENCH
from streamferry.tasks.placement import Candidate, Wanted, decide_places
from streamferry.worker.task_runner import COUNTERS_S
from streamferry.worker.worker import REPORT_S

ROOT = BENCH.parent
DOCUMENT = ROOT / "docs/explain/scale.md"
MONTH_S = 30 * 86_400


@dataclass(frozen=True)
class Stream:
    """What one stream costs a worker: a share of a core at this bit rate, memory, and how many one process had."""

    core: float
    kbps: float
    memory_mib: float
    most: int


@dataclass(frozen=True)
class Database:
    """What a written row costs PostgreSQL, with its share of transactions: CPU, log, network."""

    cpu_s: float
    log_bytes: float
    network_bytes: float


@dataclass(frozen=True)
class Asked:
    """What is wanted, of machines such as these. ``live``: which part is live; ``load``: how busy a core may be."""

    streams: int
    kbps: float = 2_000
    live: float = 0.5
    cores: int = 8
    memory_gib: float = 32
    gbit: float = 10
    load: float = 0.5
    lost: int = 1


@dataclass(frozen=True)
class Need:
    """``machines``: with those that may be lost. ``by``: what decides their number."""

    machines: int
    by: str
    cores: float
    memory_gib: float
    gbit_in: float
    gbit_out: float
    rows_a_second: float
    transactions_a_second: float
    tb_a_month: float


def measured(kind: str) -> Stream:
    """``live`` or ``loops``, by the result that README.md names."""
    found = re.search(r"bench/results/scale-\w+\.json", (ROOT / "README.md").read_text())
    if found is None:
        raise SystemExit("README.md names no kept result of scale.py")
    return stream_of(json.loads((ROOT / found.group()).read_text()), kind)


def stream_of(scale: dict[str, Any], kind: str) -> Stream:
    """The worst window of a scene."""
    scene = next(one for one in scale["scenes"] if one["kind"] == kind)
    count, windows = scene["count"], scene["windows"]
    kbps = min(one["sink"]["bytes"] * 8 / 1000 / one["seconds"] / count for one in windows)
    core = max(one["cpu_percent"] for one in windows) / 100
    return Stream(core, kbps, scene["memory_mib"] + scene["sockets_mib"], count)


def database_of(store_scale: dict[str, Any]) -> Database:
    """Of PostgreSQL."""
    one = store_scale["stores"]["postgresql"]
    rows = one["rows_a_second"]
    return Database(
        one["store_cpu_percent"] / 100 / rows, one["log_bytes_a_second"] / rows, one["network_bytes_a_second"] / rows
    )


def need_of(asked: Asked, live: Stream, looped: Stream) -> Need:
    """The machines, the network and what is written, for what is asked."""
    lives, lists = asked.streams * asked.live, asked.streams * (1 - asked.live)
    cores = memory_mib = processes = 0.0
    for count, one in ((lives, live), (lists, looped)):
        cores += count * one.core * max(1.0, asked.kbps / one.kbps) / asked.load
        memory_mib += count * one.memory_mib
        processes += count / one.most
    gbit_out, gbit_in = asked.streams * asked.kbps / 1e6, lives * asked.kbps / 1e6
    by = {
        "cores": max(cores, processes) / asked.cores,
        "memory": memory_mib / 1024 / asked.memory_gib / 0.8,
        "network": gbit_out / (asked.gbit * 0.7),
    }
    which = max(by, key=lambda name: by[name])
    machines = math.ceil(by[which]) + asked.lost
    rows = asked.streams / COUNTERS_S
    return Need(
        machines=machines,
        by=which,
        cores=max(cores, processes),
        memory_gib=memory_mib / 1024,
        gbit_in=gbit_in,
        gbit_out=gbit_out,
        rows_a_second=rows,
        transactions_a_second=machines * asked.cores / REPORT_S,
        tb_a_month=gbit_out / 8 * MONTH_S / 1000,
    )


@dataclass(frozen=True)
class Simulated:
    """Fullness is of the fullest worker. ``freed``: tasks of the lost machines; ``left``: those without a place."""

    workers: int
    fullest: float
    emptiest: float
    freed: int
    left: int
    fullest_after: float


def simulate(asked: Asked, machines: int, most: int) -> Simulated:
    """Place the streams on a worker a core of these machines, then lose the machines with the most tasks.

    ``most``: streams that one worker takes.
    """
    workers = [
        Candidate(f"{machine:05}-{core:03}", 0, most) for machine in range(machines) for core in range(asked.cores)
    ]
    places = _place([Wanted(str(number)) for number in range(asked.streams)], workers)
    held: dict[str, int] = dict.fromkeys((one.worker_id for one in workers), 0)
    for worker_id in places.values():
        held[worker_id] += 1
    of_machine: dict[str, int] = {}
    for worker_id, count in held.items():
        machine = worker_id.partition("-")[0]
        of_machine[machine] = of_machine.get(machine, 0) + count
    lost = set(sorted(of_machine, key=lambda one: of_machine[one])[machines - asked.lost :])
    freed = [Wanted(task_id) for task_id, worker_id in places.items() if worker_id.partition("-")[0] in lost]
    left = [replace(one, streams=held[one.worker_id]) for one in workers if one.worker_id.partition("-")[0] not in lost]
    again = _place(freed, left)
    after = {one.worker_id: one.streams for one in left}
    for worker_id in again.values():
        after[worker_id] += 1
    return Simulated(
        len(workers),
        max(held.values()) / most,
        min(held.values()) / most,
        len(freed),
        asked.streams - len(places) + len(freed) - len(again),
        max(after.values(), default=0) / most,
    )


def _place(tasks: list[Wanted], workers: list[Candidate]) -> dict[str, str]:
    """As workers do: each asks in turn, decides for all that is due, at most as many as it has room for, and takes its
    part."""
    places: dict[str, str] = {}
    standing = {one.worker_id: one for one in workers}
    due = tasks
    while due:
        # So many workers decide at once that each task of a batch is for another one.
        batch, due = due[: len(workers)], due[len(workers) :]
        found = decide_places(batch, list(standing.values()), {})
        if not found:
            break
        for task_id, worker_id in found.items():
            standing[worker_id] = replace(standing[worker_id], streams=standing[worker_id].streams + 1)
            places[task_id] = worker_id
    return places


def streams_a_core(asked: Asked, live: Stream, looped: Stream) -> int:
    """Of the mix that is asked for, one process on one core with that load; no more than was measured."""
    mixed = asked.live * live.core * max(1.0, asked.kbps / live.kbps)
    mixed += (1 - asked.live) * looped.core * max(1.0, asked.kbps / looped.kbps)
    measured = 1 / (asked.live / live.most + (1 - asked.live) / looped.most)
    return int(min(asked.load / mixed, measured))


def document() -> list[str]:
    """The table of docs/explain/scale.md."""
    live, looped = measured("live"), measured("loops")
    lines = [
        "| streams | machines | cores | memory | out | in | rows/s | transactions/s | TB a month |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for streams in (1_000, 10_000, 100_000):
        need = need_of(Asked(streams), live, looped)
        lines.append(
            f"| {streams:,} | {need.machines} (for the {need.by}) | {need.cores:.1f} | {need.memory_gib:.2f} GiB"
            f" | {need.gbit_out:g} Gbit/s | {need.gbit_in:g} Gbit/s | {need.rows_a_second:,.0f}"
            f" | {need.transactions_a_second:,.0f} | {need.tb_a_month:,.0f} |"
        )
    return lines


def main() -> int:
    """Print it. Returns the exit status: 1 if the simulation leaves a stream without a place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Asked(10_000)
    for name in ("streams", "kbps", "live", "cores", "memory_gib", "gbit", "load", "lost"):
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--store-scale", type=Path, help="a kept result of store_scale.py")
    parser.add_argument("--machine-price", type=float, help="of one machine, for a month")
    parser.add_argument("--gb-price", type=float, help="of one GB that leaves")
    parser.add_argument("--document", action="store_true")
    given = vars(parser.parse_args())
    machine_price, gb_price, store_scale = (given.pop(one) for one in ("machine_price", "gb_price", "store_scale"))
    if given.pop("document"):
        print("\n".join(document()))
        return 0
    asked = Asked(**given)
    if min(asked.streams, asked.kbps, asked.cores, asked.memory_gib, asked.gbit, asked.load) <= 0 or asked.lost < 0:
        parser.error("streams, kbps, cores, memory-gib, gbit and load must be above 0, and lost 0 or more")
    if asked.load > 1 or not 0 <= asked.live <= 1:
        parser.error("load is at most 1, and live from 0 to 1")
    live, looped = measured("live"), measured("loops")
    need = need_of(asked, live, looped)
    for name, value in vars(need).items():
        print(f"{name:24}", value if isinstance(value, str) else f"{value:,.2f}".removesuffix(".00"))
    if store_scale is not None:
        database = database_of(json.loads(store_scale.read_text()))
        rows = need.rows_a_second
        print(f"{'postgresql: cores':24} {rows * database.cpu_s:,.2f}")
        print(f"{'postgresql: log, MB/s':24} {rows * database.log_bytes / 1e6:,.2f}")
        print(f"{'postgresql: Mbit/s':24} {rows * database.network_bytes * 8 / 1e6:,.2f}")
    if machine_price is not None:
        print(f"{'machines cost':24} {need.machines * machine_price:,.2f} a month")
    if gb_price is not None:
        print(f"{'what leaves costs':24} {need.tb_a_month * 1000 * gb_price:,.2f} a month")
    most = streams_a_core(asked, live, looped)
    found = simulate(asked, need.machines, most)
    print(f"\nplaced on {found.workers} workers of {most} streams: the fullest {found.fullest:.0%}, ", end="")
    print(f"the emptiest {found.emptiest:.0%}")
    print(f"{asked.lost} machines lost: {found.freed} tasks move, {found.left} without a place, ", end="")
    print(f"the fullest worker then {found.fullest_after:.0%}")
    return 1 if found.left else 0


if __name__ == "__main__":
    sys.exit(main())
