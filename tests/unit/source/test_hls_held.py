"""HeldTags: what is due, in which order, and what it takes."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.tag import AUDIO, KEPT_TAG_BYTES, VIDEO
from streamferry.source.hls_held import HeldTags, as_tags

BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from([AUDIO, VIDEO]), st.integers(0, 500), st.binary(max_size=3)), max_size=8),
    max_size=8,
)


def test_sound_that_comes_after_its_picture_is_handed_out_beside_it():
    held = HeldTags()
    held.add([(VIDEO, 0, b"a"), (VIDEO, 40, b"b"), (VIDEO, 80, b"c")], 1000)
    held.add([(AUDIO, 0, b"1"), (AUDIO, 50, b"2")], 1000)
    assert held.first_ms == 1000
    assert as_tags(held.take(1050, 2_000)) == [
        (VIDEO, 1000, b"a"),
        (AUDIO, 1000, b"1"),
        (VIDEO, 1040, b"b"),
        (AUDIO, 1050, b"2"),
    ]
    assert held.size_bytes == 1 + KEPT_TAG_BYTES
    assert held.take(1079, 2_000) == []


def test_stamps_have_32_bits():
    held = HeldTags()
    held.add([(VIDEO, 5, b"a")], 1 << 32)
    assert as_tags(held.take(1 << 33, 2_000)) == [(VIDEO, 5, b"a")]


@given(BATCHES, st.lists(st.integers(0, 500), max_size=8))
def test_all_is_handed_out_once_and_each_track_stays_in_its_order(batches, dues):
    """Also where stamps go back: a picture is never decoded before those that it needs."""
    held, given_out, came = HeldTags(), [], []
    for number, batch in enumerate(batches):
        held.add(batch, 0)
        came += batch
        if number < len(dues):
            given_out += as_tags(held.take(dues[number], 2_000))
        size_bytes = sum(len(body) for _, _, body in came) - sum(len(body) for _, _, body in given_out)
        assert held.size_bytes == size_bytes + KEPT_TAG_BYTES * (len(came) - len(given_out))
    given_out += as_tags(held.take(10_000, 2_000))
    assert held.first_ms is None
    for kind in (AUDIO, VIDEO):
        assert [tag for tag in given_out if tag[0] == kind] == [tag for tag in came if tag[0] == kind]
    for kind, last in held.last_of.items():
        assert last == next(stamp for one, stamp, _ in reversed(came) if one == kind)


def test_tiny_bodies_count_for_the_memory_that_they_take():
    """A source whose sound has frames of one byte, for a picture that does not come: 16 MiB of bodies took 1 GB."""
    held = HeldTags()
    tracemalloc.start()
    try:
        for number in range(200):
            held.add([(AUDIO, 1000 + number, b"\xaf\x01" + bytes((frame,))) for frame in range(50)], 1 << 20)
        taken_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken_bytes <= held.size_bytes


def test_a_flood_is_handed_out_in_many_visits():
    """Each tag costs the visit some microseconds, and all other streams wait for it."""
    held = HeldTags()
    held.add([(AUDIO, number // 9, b"%d" % number) for number in range(5_000)], 0)
    taken = [held.take(1_000, 2_000) for _ in range(4)]
    assert [len(found) for found in taken] == [2_000, 2_000, 1_000, 0]
    assert [found[3] for some in taken for found in some] == [b"%d" % number for number in range(5_000)]
    assert held.size_bytes == 0
