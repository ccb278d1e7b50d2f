"""Sums of usage tell what the minutes told, and questions about months read few rows."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from streamferry.control.actions import Actions
from streamferry.store import Store, digests, retention, usage_sums
from streamferry.store.database import read_now_ms
from streamferry.store.retention import Retention
from streamferry.store.schema import usage, usage_sum
from streamferry.tasks.times import to_ms

#: Five minutes are kept for so long, and it is no beginning of a day.
BEGIN = (datetime.now(UTC) - timedelta(days=40)).replace(hour=22, minute=0, second=0, microsecond=0)
DAY_MS = 86_400_000
STREAMS = {"a": "sport", "b": "sport", "c": "news", "d": "news", "e": "art"}


@dataclass(frozen=True)
class Measured:
    """Of one stream in one minute."""

    minute_ms: int
    stream: str
    streamed_ms: int
    bytes_out: int


class Meter:
    """A store with measured minutes of some streams, and what is to be told of them."""

    def __init__(self, store: Store, minutes: Sequence[Measured]) -> None:
        self.store = store
        self.actions = Actions(store)
        self.minutes = minutes

    async def fill(self) -> None:
        for group in sorted(set(STREAMS.values())):
            await self.actions.create_group(group, "media")
        rows = [
            {
                "minute_ms": one.minute_ms,
                "task_id": one.stream,
                "group_name": STREAMS[one.stream],
                "stream_digest": digests.stream_digest(self.store.seal, "app", one.stream),
                "streamed_ms": one.streamed_ms,
                "bytes_out": one.bytes_out,
            }
            for one in self.minutes
        ]
        async with self.store.write() as connection:
            await connection.execute(usage.insert(), rows)

    async def sum_up(self) -> bool:
        async with self.store.write() as connection:
            return await usage_sums.add_settled(connection, await read_now_ms(connection))

    async def told(self, end_at: datetime, step_s: int, **question: object) -> dict[tuple[int, str | None], list[int]]:
        found = await self.actions.usage(BEGIN, end_at, step_s=step_s, **question)
        seconds = min(step_s, 300)
        return {
            (to_ms(one.begin_at), one.group): [
                round(one.streamed_s * 1000),
                one.bytes_out,
                round(one.peak_bps * seconds / 8),
            ]
            for one in found
        }

    def expected(
        self,
        end_at: datetime,
        step_s: int,
        *,
        groups: Sequence[str] = (),
        stream: tuple[str, str] | None = None,
        by_group: bool = False,
    ) -> dict[tuple[int, str | None], list[int]]:
        """Summed up in the plainest way."""
        sums: dict[tuple[int, str | None], list[int]] = defaultdict(lambda: [0, 0, 0])
        stretches: dict[tuple[int, int, str | None], int] = defaultdict(int)
        begin_ms, fine_ms = to_ms(BEGIN), min(step_s, 300) * 1000
        for one in self.minutes:
            if not begin_ms <= one.minute_ms < to_ms(end_at) or (groups and STREAMS[one.stream] not in groups):
                continue
            if stream is not None and one.stream != stream[1]:
                continue
            group = STREAMS[one.stream] if by_group else None
            step_ms = one.minute_ms - (one.minute_ms - begin_ms) % (step_s * 1000)
            found = sums[step_ms, group]
            found[0] += one.streamed_ms
            found[1] += one.bytes_out
            stretches[step_ms, one.minute_ms // fine_ms, group] += one.bytes_out
        for (step_ms, _, group), bytes_out in stretches.items():
            sums[step_ms, group][2] = max(sums[step_ms, group][2], bytes_out)
        return dict(sums)


def some_minutes(count: int, hours: int, seed: int) -> list[Measured]:
    """At random in so many hours, at most one for each minute and stream."""
    drawn = random.Random(seed)
    keys = {(drawn.randrange(hours * 60), drawn.choice(sorted(STREAMS))) for _ in range(count)}
    return [
        Measured(to_ms(BEGIN) + minute * 60_000, stream, drawn.randrange(1, 60_000), drawn.randrange(1, 10**9))
        for minute, stream in sorted(keys)
    ]


QUESTIONS: list[dict[str, object]] = [
    {},
    {"groups": ["sport"]},
    {"groups": ["sport", "art"]},
    {"by_group": True},
    {"by_group": True, "groups": ["news", "art"]},
    {"stream": ("app", "c")},
    {"stream": ("app", "c"), "groups": ["sport"]},
]


async def test_answers_are_the_same_before_while_and_after_minutes_are_summed_up(store: Store) -> None:
    """Whatever is asked. The peak of an hour may be low while the five minutes of it are just being summed up."""
    meter = Meter(store, some_minutes(120, 12, seed=1))
    await meter.fill()
    for moment in ("before", "while", "after"):
        for number, question in enumerate(QUESTIONS):
            for step_s, hours in ((60, 12), (300, 12), (3600, 11)):
                end_at = BEGIN + timedelta(hours=hours)
                expected = meter.expected(end_at, step_s, **question)
                told = await meter.told(end_at, step_s, **question)
                if moment == "while":
                    expected, told = ({key: sums[:2] for key, sums in one.items()} for one in (expected, told))
                assert told == expected, (moment, number, step_s)
        while await meter.sum_up():
            if moment == "before":
                break
    async with store.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(usage))).scalar_one() == 0


async def test_a_minute_that_comes_late_is_added(store: Store) -> None:
    """As after the clock was set back."""
    minute = Measured(to_ms(BEGIN), "a", 30_000, 500)
    meter = Meter(store, [minute])
    await meter.fill()
    await meter.sum_up()
    row = {"task_id": "a", "group_name": "sport", "stream_digest": digests.stream_digest(store.seal, "app", "a")}
    async with store.write() as connection:
        await connection.execute(
            usage.insert(), {**row, "minute_ms": minute.minute_ms + 60_000, "streamed_ms": 10_000, "bytes_out": 100}
        )
        await connection.execute(
            usage.insert(), {**row, "minute_ms": minute.minute_ms, "streamed_ms": 1_000, "bytes_out": 50}
        )
    await meter.sum_up()
    end_at = BEGIN + timedelta(hours=1)
    for question in ({}, {"groups": ["sport"]}, {"stream": ("app", "a")}):
        assert list((await meter.told(end_at, 3600, **question)).values()) == [[41_000, 650, 650]]


async def test_what_was_measured_lately_is_not_summed_up(store: Store) -> None:
    """The last report of a deleted task finds its group by the task's last row."""
    async with store.write() as connection:
        now = await read_now_ms(connection)
        row = {"task_id": "t", "group_name": "g", "stream_digest": "d", "streamed_ms": 1, "bytes_out": 1}
        await connection.execute(usage.insert(), {**row, "minute_ms": now // 60_000 * 60_000 - 600_000})
        assert not await usage_sums.add_settled(connection, now)
        assert (await connection.execute(sa.select(sa.func.count()).select_from(usage_sum))).scalar_one() == 0


async def test_minutes_are_kept_for_two_days_and_days_for_good(store: Store) -> None:
    """Hours for as long as the settings say; then they become days, which the question for days still finds."""
    meter = Meter(store, some_minutes(60, 30, seed=2))
    await meter.fill()
    while await meter.sum_up():
        pass
    end_at = BEGIN + timedelta(days=3)
    before = await meter.told(end_at, 86400)
    async with store.write() as connection:
        now = await read_now_ms(connection)
        age_days = (now - to_ms(BEGIN)) // DAY_MS
        assert await retention.has_old(connection, Retention(usage_days=age_days + 2))
        while await retention.prune(connection, Retention(usage_days=age_days + 2)):
            pass
        lengths = sa.select(usage_sum.c.step_s).distinct().order_by(usage_sum.c.step_s)
        assert list((await connection.execute(lengths)).scalars()) == [300, 3600]
    assert await meter.told(end_at, 86400) == before
    async with store.write() as connection:
        while await retention.prune(connection, Retention(usage_days=1)):
            pass
        await connection.execute(usage_sum.delete().where(usage_sum.c.step_s == 300))
        assert not await retention.has_old(connection, Retention(usage_days=1))
        assert list((await connection.execute(lengths)).scalars()) == [86400]
    # Days are those of UTC: the two hours of the first one began before the question.
    later = await meter.actions.usage(BEGIN.replace(hour=0), end_at, step_s=86400)
    assert sum(one.bytes_out for one in later) == sum(one.bytes_out for one in meter.minutes)
    assert max(one.peak_bps for one in later) * 300 / 8 == max(peak for _, _, peak in before.values())


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_question_about_months_reads_few_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tasks as many as there are hours, however many tasks there are."""
    drawn = [Measured(to_ms(BEGIN) + hour * 3_600_000 + 60_000 * minute, stream, 1, 1)
             for hour in range(12) for minute in range(0, 60, 20) for stream in STREAMS]  # fmt: skip
    meter = Meter(store, drawn)
    await meter.fill()
    while await meter.sum_up():
        pass
    monkeypatch.setattr("streamferry.store.usage.MAX_MEASURED", 12)
    assert len(await meter.told(BEGIN + timedelta(days=2), 3600)) == 12
    assert len(await meter.told(BEGIN + timedelta(days=2), 3600, stream=("app", "a"))) == 12
