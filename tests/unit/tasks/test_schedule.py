"""When a task needs attention, and where a list goes on: pure, so time is a number."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from streamferry.relay import ENDLESS, Playhead
from streamferry.tasks.model import ApiStatus, ContinueStrategy, decide_api_status
from streamferry.tasks.schedule import END_TOLERANCE_MS, LOOK_AHEAD_MS, decide_due, decide_playhead

START_MS, END_MS = 1_000_000, 2_000_000
ELAPSED = ContinueStrategy.AT_BREAK_PLUS_ELAPSED
#: Three items: 10 s from its start, 20 s from 5 s on, 1 s.
SPANS = [(0, 10_000), (5_000, 25_000), (0, 1_000)]
LOOP_MS = 31_000


@pytest.mark.parametrize(
    ("now_ms", "due_ms"),
    [
        (0, START_MS - LOOK_AHEAD_MS),
        (START_MS - LOOK_AHEAD_MS, START_MS - LOOK_AHEAD_MS),
        (START_MS - 1, START_MS - 1),
        (START_MS + 7, START_MS + 7),
        (END_MS - END_TOLERANCE_MS, END_MS - END_TOLERANCE_MS),
        (END_MS + 1, END_MS + 1),
    ],
)
def test_an_enabled_task_is_due_shortly_before_its_start(now_ms: int, due_ms: int) -> None:
    """Never in the past, so that the look for due tasks finds those that wait longest first; after the end as well,
    because somebody has to conclude it."""
    assert decide_due(enabled=True, finished=False, start_ms=START_MS, end_ms=END_MS, now_ms=now_ms) == due_ms


@pytest.mark.parametrize(("enabled", "finished"), [(False, False), (False, True), (True, True)])
def test_a_stopped_or_finished_task_is_never_due(enabled: bool, finished: bool) -> None:
    """Nothing is to be done until somebody changes it."""
    for now_ms in (0, START_MS, END_MS):
        assert decide_due(enabled=enabled, finished=finished, start_ms=START_MS, end_ms=END_MS, now_ms=now_ms) is None


def test_the_status_of_the_api_for_every_combination() -> None:
    """Disabled whatever the clock says; then not started, then ended by the clock or by its list, else active."""
    start_at = datetime(2026, 3, 1, tzinfo=UTC)
    end_at = start_at + timedelta(hours=1)
    second = timedelta(seconds=1)
    for enabled, finished, now in product(
        (True, False), (True, False), (start_at - second, start_at, end_at - second, end_at, end_at + second)
    ):
        status = decide_api_status(enabled=enabled, finished=finished, start_at=start_at, end_at=end_at, now=now)
        if not enabled:
            expected = ApiStatus.DISABLED
        elif now < start_at:
            expected = ApiStatus.NOT_STARTED
        else:
            expected = ApiStatus.ENDED if finished or now >= end_at else ApiStatus.ACTIVE
        assert status is expected


def test_strategy_0_goes_on_where_it_broke() -> None:
    """However long ago that was."""
    broke = Playhead(4, 1, 7_000)
    assert decide_playhead(broke, 10**9, ContinueStrategy.AT_BREAK, SPANS, ENDLESS) == broke


@pytest.mark.parametrize(
    ("elapsed_ms", "expected"),
    [
        (0, Playhead(0, 0, 4_000)),
        (5_999, Playhead(0, 0, 9_999)),
        (6_000, Playhead(0, 1, 5_000)),
        (25_999, Playhead(0, 1, 24_999)),
        (26_000, Playhead(0, 2, 0)),
        (26_999, Playhead(0, 2, 999)),
        (27_000, Playhead(1, 0, 0)),
        (27_000 + LOOP_MS + 10_000, Playhead(2, 1, 5_000)),
    ],
)
def test_strategy_1_goes_on_where_it_would_be(elapsed_ms: int, expected: Playhead) -> None:
    """Across items, their start offsets, and loops; to the millisecond at each border."""
    assert decide_playhead(Playhead(0, 0, 4_000), elapsed_ms, ELAPSED, SPANS, ENDLESS) == expected


@pytest.mark.parametrize("strategy", ContinueStrategy)
def test_a_place_behind_the_end_of_its_item_lies_in_what_follows(strategy: ContinueStrategy) -> None:
    """The list of a worker that vanished is set on a little, and its item may have been about to end."""
    elapsed_ms = 1_000 if strategy is ELAPSED else 0
    spans = SPANS[:2]
    goes_on = decide_playhead(Playhead(0, 0, 10_700), elapsed_ms, strategy, spans, 1)
    assert goes_on == Playhead(0, 1, 5_700 + elapsed_ms)
    assert decide_playhead(Playhead(0, 1, 25_700), elapsed_ms, strategy, spans, 1) is None
    assert decide_playhead(Playhead(0, 1, 25_700), elapsed_ms, strategy, spans, 2) == Playhead(1, 0, 700 + elapsed_ms)


@pytest.mark.parametrize("strategy", ContinueStrategy)
def test_an_end_that_a_list_is_far_behind_is_not_its_files_end(strategy: ContinueStrategy) -> None:
    """The file broke off the last time, or there is another one in its place: it goes on in that."""
    elapsed_ms = 1_000 if strategy is ELAPSED else 0
    goes_on = decide_playhead(Playhead(1, 0, 40_000), elapsed_ms, strategy, SPANS, 2)
    assert goes_on == Playhead(1, 0, 40_000 + elapsed_ms)


def test_strategy_1_walks_like_a_clock() -> None:
    """Going on twice is going on once for both times together, for any split of them."""
    broke = Playhead(2, 1, 9_000)
    for first_ms, second_ms in product(range(0, 3 * LOOP_MS, 1_700), repeat=2):
        half_way = decide_playhead(broke, first_ms, ELAPSED, SPANS, ENDLESS)
        assert half_way is not None
        assert decide_playhead(half_way, second_ms, ELAPSED, SPANS, ENDLESS) == decide_playhead(
            broke, first_ms + second_ms, ELAPSED, SPANS, ENDLESS
        )


def test_a_week_is_no_more_work_than_a_second() -> None:
    """Whole loops are skipped at once: a millisecond of media for a week."""
    week_ms = 7 * 86_400_000
    assert decide_playhead(Playhead(), week_ms, ELAPSED, [(0, 1)], ENDLESS) == Playhead(week_ms, 0, 0)


@pytest.mark.parametrize("loops", [1, 2, 7])
def test_a_finite_list_can_have_been_played_out(loops: int) -> None:
    """None from the very millisecond of its end on."""
    whole_ms = loops * LOOP_MS
    assert decide_playhead(Playhead(), whole_ms - 1, ELAPSED, SPANS, loops) == Playhead(loops - 1, 2, 999)
    assert decide_playhead(Playhead(), whole_ms, ELAPSED, SPANS, loops) is None
    assert decide_playhead(Playhead(), whole_ms * 1000, ELAPSED, SPANS, loops) is None


def test_an_item_whose_end_nobody_has_seen_is_not_left() -> None:
    """Only the item itself can tell whether it is that long."""
    spans = [(0, 10_000), (5_000, None), (0, 1_000)]
    assert decide_playhead(Playhead(), 10_000 + 90_000, ELAPSED, spans, ENDLESS) == Playhead(0, 1, 95_000)


def test_items_of_no_length_end_the_walk() -> None:
    """A list that could be walked for ever without time passing is walked once."""
    assert decide_playhead(Playhead(), 5_000, ELAPSED, [(0, 0), (3, 3)], ENDLESS) == Playhead(1, 0, 0)
