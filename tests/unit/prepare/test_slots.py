"""As many encodes as there are slots, no more."""

from pathlib import Path

from streamferry.prepare.slots import EncodeSlot


def test_who_finds_no_slot_waits_until_one_is_free(tmp_path: Path) -> None:
    """Two slots are taken; the third gets one when the first lets go, and says meanwhile that it waits."""
    first = EncodeSlot(tmp_path, count=2)
    waits = []
    first.take()
    with (
        EncodeSlot(tmp_path, count=2),
        EncodeSlot(tmp_path, lambda: waits.append(True), count=2, sleep=lambda _: first.give_back()),
    ):
        assert waits == [True]
    with EncodeSlot(tmp_path, lambda: waits.append(True), count=1):
        assert waits == [True]
