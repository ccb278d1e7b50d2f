"""As many encodes as there are slots, no more."""

from pathlib import Path

from streamferry.prepare.slots import encode_slot


def test_who_finds_no_slot_waits_until_one_is_free(tmp_path: Path) -> None:
    """Two slots are taken; the third gets one when the first lets go, and says meanwhile that it waits."""
    first = encode_slot(tmp_path, count=2)
    waits = []
    first.__enter__()

    def let_go(_: float) -> None:
        first.__exit__(None, None, None)

    with (
        encode_slot(tmp_path, count=2),
        encode_slot(tmp_path, lambda: waits.append(True), count=2, sleep=let_go),
    ):
        assert waits == [True]
    with encode_slot(tmp_path, lambda: waits.append(True), count=1):
        assert waits == [True]
