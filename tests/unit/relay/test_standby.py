"""Standby: what it keeps of a source that is not on air."""

import pytest

from scripted.camera import Camera
from streamferry.media.tag import AUDIO, Tag
from streamferry.relay.inputs import standby
from streamferry.relay.inputs.standby import Standby


class Flood:
    """A picture, then a thousand sounds of one byte at each pull, all at one stamp."""

    silence_s = 5.0
    is_mute = False
    lost_packets = 0

    def __init__(self) -> None:
        self._camera = Camera()
        self._next: list[Tag] = [*self._camera.headers(), *self._camera.shoot()]

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet``."""
        out += self._next
        self._next = [(AUDIO, self._camera.stamp_ms, b"\xaf\x01\0")] * 1000
        return len(out)

    def close(self) -> None:
        """Nothing is open."""


def test_a_flood_of_tiny_sounds_is_bounded_by_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their bytes nor their length say how many there are."""
    monkeypatch.setattr(standby, "MOST_KEPT_BYTES", 1 << 20)
    kept = Standby(Flood(), memoryview(bytearray(64)), 0.0)
    for _ in range(20):
        kept.pull(0.1)
        assert len(kept.take()) < 10_000
