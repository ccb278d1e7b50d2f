"""What so many streams need: the document has what the program computes, and the simulation loses no stream."""

from dataclasses import replace

import pytest

from capacity import DOCUMENT, Asked, Stream, document, measured, need_of, simulate, streams_a_core

LIVE, LOOPED = Stream(0.001, 2_000, 0.1, 1_500), Stream(0.0002, 2_000, 0.05, 3_000)


def test_the_table_in_the_document_is_computed_from_what_was_kept() -> None:
    """To write it: python bench/capacity.py --document."""
    assert "\n".join(document()) in DOCUMENT.read_text()


@pytest.mark.parametrize("streams", [1, 100, 700])
def test_a_lost_machine_leaves_no_stream_without_a_place(streams: int) -> None:
    """With the machines that are said to be enough, one may be lost; with all lost there is no place."""
    asked = Asked(streams, live=1.0, cores=2, load=0.1)
    need = need_of(asked, LIVE, LOOPED)
    most = streams_a_core(asked, LIVE, LOOPED)
    found = simulate(asked, need.machines, most)
    assert found.left == 0
    assert 0 < found.freed <= streams
    assert found.emptiest <= found.fullest <= found.fullest_after <= 1
    assert simulate(replace(asked, lost=need.machines), need.machines, most).left == streams


def test_each_measure_can_be_what_decides() -> None:
    """Small cores, little memory, a slow network; and twice the bit rate is twice the CPU."""
    asked = Asked(10_000, live=1.0)
    assert need_of(replace(asked, gbit=1_000, load=0.01), LIVE, LOOPED).by == "cores"
    assert need_of(replace(asked, gbit=1_000, memory_gib=0.1), LIVE, LOOPED).by == "memory"
    assert need_of(asked, LIVE, LOOPED).by == "network"
    cores = [need_of(replace(asked, kbps=kbps), LIVE, LOOPED).cores for kbps in (1_000, 2_000, 4_000)]
    assert cores == pytest.approx([20, 20, 40])


def test_no_worker_is_given_more_than_was_measured() -> None:
    """However little a stream costs."""
    assert streams_a_core(Asked(1, live=1.0, load=1.0), replace(LIVE, core=1e-6), LOOPED) == LIVE.most
    assert measured("live").most > 0
