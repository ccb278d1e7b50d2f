"""Samples of runs for charts."""

from typing import Any

from streamferry.control.samples import KEPT, MAX_TASKS, STEP_S, Sample, Samples
from streamferry.relay import State
from streamferry.store.records import RunningTask

LATE = {"w": 3}


def reading(task_id: str = "a", *, dropped: int = 0, retries: int = 0, out: int = 990, into: int = 1000) -> RunningTask:
    numbers = {"kbps_out": out, "bytes_out": 0, "dropped_tags": dropped, "retries": retries, "kbps_in": into}
    line = {
        "sound_drift_ms": None,
        "lost_ms": 0,
        "lost_packets": 0,
        "rtt_ms": None,
        "retransmits": None,
        "delivery_kbps": None,
    }
    told: dict[str, Any] = {**numbers, **line, "media_time_ms": 0}
    return RunningTask(task_id=task_id, state=State.STREAMING, worker_id="w", in_trouble=False, **told)


def test_counters_are_told_by_their_growth() -> None:
    """Also over a run that began anew and counts from 0 again."""
    samples = Samples()
    for at_s, (dropped, retries) in enumerate([(5, 1), (9, 1), (2, 0)]):
        samples.add([reading(dropped=dropped, retries=retries)], LATE, at_s)
    assert samples.of("a") == [Sample(1, 1000, 990, 4, 0, 3), Sample(2, 1000, 990, 2, 0, 3)]


def test_an_hour_is_kept() -> None:
    """And no more, of tasks that run and of those that ended."""
    samples = Samples()
    for step in range(KEPT + 50):
        samples.add([reading()] + [reading("ended")] * (step < 5), LATE, round(step * STEP_S))
    assert len(samples.of("a")) == KEPT - 1
    assert samples.of("a")[-1].at_s == round((KEPT + 49) * STEP_S)
    assert samples.of("ended") == []


def test_memory_is_bounded() -> None:
    """Tasks beyond the limit push the oldest out."""
    samples = Samples()
    for at_s in range(3):
        samples.add([reading(str(number)) for number in range(at_s * 100, at_s * 100 + MAX_TASKS)], LATE, at_s)
    assert samples.of("0") == []
    assert len(samples.of(str(MAX_TASKS + 50))) == 1


def test_a_value_that_cannot_be_is_cut() -> None:
    """A broken report does not end the sampling."""
    samples = Samples()
    samples.add([reading()], LATE, 0)
    samples.add([reading(out=2**40, into=-5)], {}, 1)
    assert samples.of("a")[0].kbps_in == 0
    assert samples.of("a")[0].kbps_out == 2**32 - 1
