"""Usage: how long its documented calls take over 93 days of 1,000 channels, on SQLite and on PostgreSQL.

    python bench/usage.py [--channels N] [--days N] [--calls N] [--stores sqlite,postgresql] [--whole]

The store is filled with sums as ``store.usage_sums`` makes them: hours of every channel, five minutes of the groups,
of all together and of one channel, minutes of the last two days of these, and a quarter of an hour of every channel
that has not been summed up. Five minutes and minutes of the other channels are left out: they lie elsewhere in the
index, and no call here reads them. Each call is timed as its action makes it, in the same process, one after the
other. Bar: 1 s for the slowest of each. Also told: what moving a minute of all channels into the sums takes, which
happens once a minute.

With ``--whole`` all of every channel is there, and nothing is timed: that tells the size of the store, which grows by
channel, so ask for few.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rich.console import Console
from rich.table import Table

from measure import about
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.store import Seal, Store, groups, migrate, sqlite_url, usage, usage_sums
from streamferry.store.given import bind, table_of
from streamferry.store.records import GroupRecord
from streamferry.store.schema import usage as usage_minute
from streamferry.store.schema import usage_sum
from streamferry.store.usage_sums import ALL, FINE_DAYS, FIVE_S, GROUP, HOUR_S, MINUTE_S
from streamferry.tasks.times import to_ms

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql

BAR_MS = 1_000.0
GROUPS = 10
#: Bytes of a channel in a minute, at 2 Mbps.
_MINUTE_BYTES = 15_000_000


def name_of(group: int) -> str:
    """Of a group."""
    return f"group{group}"


def digest_of(channel: int) -> str:
    """Of a channel's stream."""
    return f"{channel:032}"


async def fill(store: Store, channels: int, days: int, *, whole: bool) -> datetime:
    """Put the sums of so many days into the store; returns when they end: at the last full hour."""
    now = datetime.now(UTC)
    end_at = now.replace(minute=0, second=0, microsecond=0)
    of_groups = [(GROUP + name_of(group), name_of(group), channels // GROUPS) for group in range(GROUPS)]
    together = [(ALL, "", channels), *of_groups]
    each = [(digest_of(number), name_of(number % GROUPS), 1) for number in range(channels)]
    minute_ms = to_ms(now) // 60_000 * 60_000
    async with store.write_at_length() as connection:
        for group in range(GROUPS):
            record = GroupRecord(name_of(group), "default", (), deleted=False)
            await groups.put(connection, record, now_ms=to_ms(now))
        for step_s, some, kept_days in (
            (HOUR_S, each, days),
            (FIVE_S, each if whole else each[:1], FINE_DAYS[FIVE_S]),
            (MINUTE_S, each if whole else each[:1], FINE_DAYS[MINUTE_S]),
        ):
            begin_at = end_at - timedelta(days=min(days, kept_days))
            rows = [{"subject": one, "group_name": group, "count": count} for one, group, count in (*together, *some)]
            await connection.execute(_sums(connection.dialect.name, step_s, begin_at, end_at), bind(rows))
        rows = [
            {
                "minute_ms": minute_ms - ago * 60_000,
                "task_id": digest,
                "group_name": group_name,
                "stream_digest": digest,
                "streamed_ms": 60_000,
                "bytes_out": _MINUTE_BYTES,
            }
            for ago in range(15)
            for digest, group_name, _ in each
        ]
        await connection.execute(usage_minute.insert(), rows)
        if not store.is_file:
            # As its autovacuum does where rows come one after the other.
            await connection.execute(sa.text("ANALYZE"))
    return end_at


def _sums(dialect: str, step_s: int, begin_at: datetime, end_at: datetime) -> sa.Insert:
    """Of all subjects that are given, in the order of time, as they come: so the index grows everywhere."""
    begins = _begins(step_s, begin_at, end_at)
    kinds = {"subject": usage_sum.c.subject.type, "group_name": usage_sum.c.group_name.type, "count": sa.BigInteger()}
    given = table_of(dialect, kinds)
    sent = given.c.count * (step_s // 60 * _MINUTE_BYTES)
    values = {
        "step_s": sa.literal(step_s),
        "subject": given.c.subject,
        "group_name": given.c.group_name,
        "streamed_ms": given.c.count * (step_s * 1000),
        "bytes_out": sent,
        "most_bytes": sent / (step_s // FIVE_S) if step_s > FIVE_S else sent,
        "begin_ms": begins.c.begin_ms,
    }
    cells = [sa.cast(value, usage_sum.c[name].type).label(name) for name, value in values.items()]
    query = sa.select(*cells).select_from(begins.join(given, sa.true())).order_by(begins.c.begin_ms)
    return usage_sum.insert().from_select([*values], query)


def _begins(step_s: int, start_at: datetime, end_at: datetime) -> sa.CTE:
    """All steps of a time, made by the database."""
    first = sa.select(sa.literal(to_ms(start_at), sa.BigInteger).label("begin_ms")).cte("begins", recursive=True)
    following = first.c.begin_ms + step_s * 1000
    return first.union_all(sa.select(following).where(following < to_ms(end_at)))


async def size_mib(store: Store) -> float:
    """Of the whole database."""
    async with store.read() as connection:
        if store.is_file:
            pages, page = [
                (await connection.execute(sa.text(f"PRAGMA page_{what}"))).scalar_one() for what in ("count", "size")
            ]
            return float(pages * page / 2**20)
        return float(
            (await connection.execute(sa.text("SELECT pg_database_size(current_database())"))).scalar_one() / 2**20
        )


def questions(end_at: datetime) -> dict[str, dict[str, Any]]:
    """What is asked, by a name: the arguments of ``usage.buckets``."""

    def ask(step_s: int, days: int, some: Sequence[str] = (), stream: str | None = None, *, each: bool = False) -> Any:
        span = {"start_at": end_at - timedelta(days=days), "end_at": end_at, "step_s": step_s}
        return {**span, "groups": some, "stream_digest": stream, "by_group": each}

    ten = [name_of(group) for group in range(GROUPS)]
    one = digest_of(0)
    return {
        "93 days by the hour": ask(3_600, 93),
        "93 days by the day": ask(86_400, 93),
        "93 days by the hour, each group": ask(3_600, 93, each=True),
        "93 days by the day, ten groups together": ask(86_400, 93, ten),
        "93 days by the hour, one stream": ask(3_600, 93, stream=one),
        "31 days by five minutes": ask(300, 31),
        "31 days by five minutes, each group": ask(300, 31, each=True),
        "31 days by five minutes, one stream": ask(300, 31, stream=one),
        "a day by the minute": ask(60, 1),
        "a day by the minute, one stream": ask(60, 1, stream=one),
    }


async def measure(url: str, channels: int, days: int, calls: int, whole: bool) -> dict[str, Any]:
    """All figures of one database."""
    store = Store(url, Seal(Fernet.generate_key().decode()), answer_s=None)
    await migrate(store)
    end_at = await fill(store, channels, days, whole=whole)
    figures: dict[str, Any] = {"calls": {}, "size_mib": await size_mib(store)}
    if whole:
        await store.aclose()
        return figures
    for name, asked in questions(end_at).items():
        taken = []
        for _ in range(calls):
            began = time.perf_counter()
            async with store.read() as connection:
                found = await usage.buckets(connection, **asked)
            taken.append((time.perf_counter() - began) * 1000)
        if not found:
            raise RuntimeError(f"{name}: nothing is told, so nothing is measured")
        figures["calls"][name] = {"ms": taken, "sums": len(found)}
    async with store.read() as connection:
        oldest = await connection.scalar(sa.select(sa.func.min(usage_minute.c.minute_ms)))
    began = time.perf_counter()
    async with store.write() as connection:
        await usage_sums.add_settled(connection, oldest + usage_sums.SETTLED_MS + 1)
    figures["move_a_minute_ms"] = (time.perf_counter() - began) * 1000
    await store.aclose()
    return figures


def run_all(stores: list[str], channels: int, days: int, calls: int, whole: bool) -> dict[str, dict[str, Any]]:
    """Database -> its figures."""
    figures = {}
    for name in stores:
        with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as place, contextlib.ExitStack() as stack:
            url = sqlite_url(Path(place) / "store.db")
            if name == "postgresql":
                url = stack.enter_context(postgresql.running(is_durable=True)).database()
            figures[name] = asyncio.run(measure(url, channels, days, calls, whole))
    return figures


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=93)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--whole", action="store_true", help="five minutes and minutes of every channel, too")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    figures = run_all(asked.stores.split(","), asked.channels, asked.days, asked.calls, asked.whole)
    table = Table("size, MiB" if asked.whole else "slowest call, ms", *figures, "sums")
    bars: list[Bar] = []
    for name in () if asked.whole else questions(datetime.now(UTC)):
        told = {store: one["calls"][name] for store, one in figures.items()}
        slowest = {store: max(one["ms"]) for store, one in told.items()}
        table.add_row(name, *(f"{ms:.0f}" for ms in slowest.values()), str(next(iter(told.values()))["sums"]))
        bars += [Bar(f"{store}: {name}, ms", ms, BAR_MS) for store, ms in slowest.items()]
    if not asked.whole:
        table.add_row(
            "a minute is moved into sums", *(f"{one['move_a_minute_ms']:.0f}" for one in figures.values()), ""
        )
    table.add_row("size of the store, MiB", *(f"{one['size_mib']:.0f}" for one in figures.values()), "")
    console.print(table)
    if bars:
        print_bars(console, bars)
    path = keep("usage_whole" if asked.whole else "usage", {**about("usage", vars(asked)), "stores": figures}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
